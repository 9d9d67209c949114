"""The script on weights, in this process: what it reads, what it refuses, what it leaves."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import safetensors.numpy
from absl import flags
from absl.testing import flagsaver

from dynamics import checkpoints, models
from dynamics.checkpoints import config_json
from dynamics.data.corpus import Corpus, Document
from dynamics.data.tokenizer import train
from dynamics.errors import InputError
from dynamics.models import bert, gpt_neox
from dynamics.questions import site, weights
from dynamics.results import Store
from dynamics.study import Study
from dynamics.suite import folder_tree
from experiments import common
from experiments import weights as script

CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=2, num_heads=2, intermediate_size=24, vocab_size=270,
    max_positions=24,
)  # fmt: skip
MODEL, STEPS = "toy-16", (0, 4, 8)
NAME = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"
TEXT = "".join(f"The word {k} stands here, and then another one.\n" for k in range(100))


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    """Tensors of a model."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: models.init(key, CONFIG), jax.random.key(0))
    params = jax.tree.map(lambda x: (0.1 * rng.normal(size=x.shape)).astype(np.float32), shapes)
    return checkpoints.from_params(CONFIG, params)


@pytest.fixture
def study(drawn, tmp_path) -> Study:
    """A run of three checkpoints in half precision, which grow."""
    words = train([TEXT], 270).to_str()
    for step in STEPS:
        folder = tmp_path / "suite" / MODEL / "seed0" / f"step{step}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config_json.to_hub(CONFIG)))
        (folder / "tokenizer.json").write_text(words)
        grown = {name: (x * (1 + step / 8)).astype(np.float16) for name, x in drawn.items()}
        safetensors.numpy.save_file(grown, folder / "model.safetensors")
    documents = tuple(Document(name=f"text {k}", text=TEXT, domain="prose") for k in range(30))
    corpus = Corpus(name="toy", documents=documents)
    suite = folder_tree("toy", tmp_path / "suite", [MODEL], [0], STEPS)
    return Study(suite=suite, store=Store(tmp_path / "out"), read_corpus=lambda: corpus)


@pytest.fixture(autouse=True)
def parsed():
    with flagsaver.flagsaver():
        flags.FLAGS(["test", "--nopictures"])
        yield


def run(study: Study, **changed):
    with flagsaver.flagsaver(**changed):
        for experiment in script.experiments(study):
            common.run(study, experiment)


def records(study: Study) -> list[weights.record.Record]:
    return [
        weights.record.from_dataset(data)
        for _, data in study.store.committed(weights.record.MEASURE)
    ]


def change(study: Study, step: int, **tensors):
    path = f"{study.suite.source(MODEL, 0, step).location}/model.safetensors"
    loaded = {name: x.copy() for name, x in safetensors.numpy.load_file(path).items()}
    safetensors.numpy.save_file(loaded | tensors, path)


def test_every_matrix_by_default_and_what_a_pattern_matches_else(study, drawn, tmp_path):
    run(study)
    every = records(study)
    assert every[0].tensors[:3] == ("embed_out", "embed_out (centred)", "embed_in")
    assert len(every[0].tensors) == 3 + 4 * CONFIG.num_layers
    chosen = Study(suite=study.suite, store=Store(tmp_path / "b"), read_corpus=study.read_corpus)
    run(chosen, tensors="embed_out|0.attention.dense$")
    for step, full, part in zip(STEPS, every, records(chosen), strict=True):
        assert part.tensors == ("embed_out", "embed_out (centred)", "layers.0.attention.dense")
        for name in ("counts", "mean", "sd", "exponent", "depth_sem"):
            places = [full.tensors.index(tensor) for tensor in part.tensors]
            np.testing.assert_array_equal(getattr(full, name)[places], getattr(part, name))
        stored = (drawn["embed_out.weight"] * (1 + step / 8)).astype(np.float16).astype(float)
        assert part.sd[0] == pytest.approx(stored.std(), rel=1e-12)
        centred = stored - stored.mean(0)
        assert part.sd[1] == pytest.approx(centred.std(), rel=1e-12)


def test_a_pattern_that_matches_nothing_names_near_tensors(study):
    with pytest.raises(InputError, match=r"unknown tensor 'embed_oot'.*Did you mean embed_out"):
        run(study, tensors="embed_oot")
    assert records(study) == []


def test_a_checkpoint_of_another_shape_is_named_and_the_rest_stays(study):
    change(study, 4, **{NAME: np.zeros((24, 17), np.float16)})
    with pytest.raises(
        InputError, match=r"h_to_4h of shape \(24, 17\), at .*step 4; expected"
    ) as e:
        run(study)
    assert "(24, 16), as at toy-16 seed 0 step 0" in str(e.value)
    assert len(records(study)) == 1


def test_integers_are_refused_by_name(study):
    change(study, 4, **{NAME: np.zeros((24, 16), np.int8)})
    with pytest.raises(InputError, match=r"h_to_4h\.weight of int8 numbers in .*step 4"):
        run(study)


@pytest.mark.long
def test_a_tensor_of_nan_is_counted_and_leaves_a_page(study, tmp_path):
    change(study, 8, **{NAME: np.full((24, 16), np.nan, np.float16)})
    change(study, 4, **{NAME: np.zeros((24, 16), np.float16)})
    run(study)
    last = records(study)[-1]
    place = last.tensors.index("layers.0.mlp.dense_h_to_4h")
    assert last.not_finite[place] == 24 * 16
    assert last.not_finite.sum() == 24 * 16
    page = site.write(study.store, "toy", tmp_path / "report.html")
    assert (page.parent / "report" / "weights.html").exists()


@pytest.mark.long
def test_pictures_are_of_the_first_and_the_last_step(study):
    run(study, pictures=True, tensors="embed_out")
    pictures = list(study.store.committed(weights.record_pictures.MEASURE))
    assert [unit.step for unit, _ in pictures] == [0, 8]
    first, last = (weights.record_pictures.from_dataset(data) for _, data in pictures)
    assert first.unembedding is not None
    assert last.unembedding is not None
    assert first.unembedding.shape == (16, 270)
    assert first.attention.shape == (24, 24)  # the positions, since they are fewer than --context
    np.testing.assert_allclose(last.unembedding, 2 * first.unembedding, atol=0.02)
    assert first.sentence.startswith("The word 0 stands here")


def test_a_sentence_with_a_nul_is_stored_and_read(study):
    documents = tuple(Document(name=f"{k}", text="\0" + TEXT, domain="prose") for k in range(30))
    run(
        dataclasses.replace(study, read_corpus=lambda: Corpus(name="nul", documents=documents)),
        pictures=True,
        tensors="embed_out",
    )
    for _, data in study.store.committed(weights.record_pictures.MEASURE):
        assert weights.record_pictures.from_dataset(data).sentence.startswith("\u2400The word")


def test_an_encoder_alone_has_tensors_and_no_unembedding(study, tmp_path):
    config = bert.Config(
        hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8, vocab_size=11,
        max_positions=9,
    )  # fmt: skip
    shapes = jax.eval_shape(lambda key: models.init(key, config), jax.random.key(0))
    params = jax.tree.map(lambda x: np.ones(x.shape, np.float32), shapes)
    tensors = checkpoints.from_params(config, params)
    folder = tmp_path / "alone" / "bert" / "seed0" / "step1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config_json.to_hub(config)))
    trunk = {n.removeprefix("bert."): x for n, x in tensors.items() if n.startswith("bert.")}
    safetensors.numpy.save_file(trunk, folder / "model.safetensors")
    suite = folder_tree("alone", tmp_path / "alone", ["bert"], [0], [1])
    alone = Study(suite=suite, store=Store(tmp_path / "c"), read_corpus=study.read_corpus)
    run(alone, tensors="query$|word_embeddings")
    (only,) = records(alone)
    assert only.tensors == ("embeddings.word_embeddings", "encoder.layer.0.attention.self.query")
    assert set(only.role) == {"other"}
