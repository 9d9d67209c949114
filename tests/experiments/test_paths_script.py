"""The script on paths, in this process: what it leaves out, and what it refuses before it reads."""

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
from dynamics.models import gpt_neox
from dynamics.questions.paths import record
from dynamics.results import Store
from dynamics.study import Study
from dynamics.suite import folder_tree
from experiments import common
from experiments import paths as script

CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=1, num_heads=1, intermediate_size=24, vocab_size=270,
    max_positions=24,
)  # fmt: skip
FROZEN = "gpt_neox.layers.0.mlp.dense_h_to_4h.bias"
HOSTILE = "../../../../outside.weight"
STEPS = (0, 4, 8, 16)
TEXT = "The word stands here, and then another one.\n"


@pytest.fixture
def study(tmp_path) -> Study:
    """A run whose step 4 serves the last weights, with a bias that never changes."""
    words, rng = train([TEXT], 270).to_str(), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: models.init(key, CONFIG), jax.random.key(0))
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    drawn = checkpoints.from_params(CONFIG, params)
    for step in STEPS:
        folder = tmp_path / "suite" / "toy" / "seed0" / f"step{step}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config_json.to_hub(CONFIG)))
        (folder / "tokenizer.json").write_text(words)
        grown = {name: x * (1 + (16 if step == 4 else step)) for name, x in drawn.items()}
        grown |= {FROZEN: drawn[FROZEN], HOSTILE: grown["embed_out.weight"]}
        safetensors.numpy.save_file(grown, folder / "model.safetensors")
    corpus = Corpus(name="toy", documents=(Document(name="alone", text=TEXT, domain="prose"),))
    suite = folder_tree("toy", tmp_path / "suite", ["toy"], [0], STEPS)
    return Study(suite=suite, store=Store(tmp_path / "out"), read_corpus=lambda: corpus)


@pytest.fixture(autouse=True)
def parsed():
    with flagsaver.flagsaver():
        flags.FLAGS(["test", "--sampled_weights=40", "--rank_draws=2", "--loss_windows=0"])
        yield


def run(study: Study, **changed):
    with flagsaver.flagsaver(**changed):
        for experiment in script.experiments(study):
            common.run(study, experiment)


def test_a_checkpoint_repeats_another_where_all_its_tensors_do(study, tmp_path):
    run(study, tensors=f"embed_out|{FROZEN}|outside")
    ((_, data),) = study.store.committed(record.MEASURE)
    read = record.from_dataset(data)
    assert read.repeats == {4: 16}
    assert read.steps.tolist() == [0, 8, 16]
    stacks = tmp_path / "out" / "trajectories" / "toy" / "seed0"
    assert len(list(stacks.iterdir())) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "suite"]


def test_a_masked_model_has_paths_and_no_loss(study, monkeypatch):
    monkeypatch.setattr(gpt_neox, "CAUSAL", False)
    with flagsaver.flagsaver(loss_windows=None):
        assert script.experiments(study)[0].config["loss_windows"] == 0
    with pytest.raises(InputError, match="--loss_windows=8 of masked models"):
        run(study, loss_windows=8)


def test_a_text_that_is_too_short_is_refused_before_anything_is_read(study, tmp_path):
    with pytest.raises(InputError, match="held-out"):
        run(study, loss_windows=4)
    assert not (tmp_path / "out" / "trajectories").exists()
