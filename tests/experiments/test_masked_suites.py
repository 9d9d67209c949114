"""Masked models from end to end: one of our own, trained first, and MultiBERTs of a size that fits
a test."""

import dataclasses

import jax
import job
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import checkpoints, models, results
from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError
from dynamics.models import bert, gpt_neox
from dynamics.study import Study
from dynamics.suite import folder_tree
from experiments import masked

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *".,()=_:'",
]
SMALL = bert.Config(
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=32,
    vocab_size=len(PIECES),
    max_positions=24,
)


@pytest.fixture
def multiberts(tmp_path):
    """A folder tree REPO/REVISION of two seeds and two steps in the layout of the hub's
    repositories."""
    init = jax.jit(models.init, static_argnums=1)
    for seed in (0, 1):
        for thousands in (0, 20):
            folder = (
                tmp_path / "weights" / f"google/multiberts-seed_{seed}-step_{thousands}k" / "main"
            )
            folder.parent.mkdir(parents=True)
            checkpoints.save(folder, SMALL, init(jax.random.key(seed + thousands), SMALL))
            (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    return tmp_path / "weights"


@pytest.mark.long
def test_multiberts_are_asked_in_the_frame_they_were_trained_in(multiberts, tmp_path):
    flags = (
        "--suite=multibert",
        "--seeds=0,1",
        "--steps=0,20000",
        f"--weights={multiberts}",
        "--windows=12",
    )
    code, _, stderr = job.run(
        "masked", *flags, "--mask_positions=5", cache=tmp_path / "cache", out=tmp_path / "out"
    )
    assert code == 0, stderr
    results_by_path = {
        name: data
        for name, data in job.numbers(tmp_path / "out").items()
        if name.startswith("masked/")
    }
    assert sorted(results_by_path) == [
        "masked/base/seed0-1/step0.nc",
        "masked/base/seed0-1/step20000.nc",
    ]
    for data in results_by_path.values():
        assert data.sizes["position"] == 5
        assert data["place"].min() >= 1  # never [CLS]
        assert data["place"].max() <= 22  # nor [SEP], the last of 24 positions
        assert not np.isin(
            data["token"], [PIECES.index(name) for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")]
        ).any()
        assert (data["kl"].values[[0, 1], [1, 0]] > 0).all()
        # The logits of untrained seeds are normal, of variance D E[e^2], and that is their
        # divergence.
        assert float(data["kl_token"].mean()) == pytest.approx(16 * 0.02**2 * 0.7737, rel=0.3)


@pytest.mark.long
def test_a_masked_suite_is_trained_measured_and_measured_once(cache, tmp_path):
    flags = ("--suite=smoke-masked", "--steps=0,8,32", "--windows=6")
    code, _, stderr = job.run("masked", *flags, cache=cache, out=tmp_path)
    assert code == 0, stderr
    numbers = job.numbers(tmp_path)
    steps = {name: numbers[f"masked/masked-16/seed0-1-2/step{name}.nc"] for name in (0, 8, 32)}
    assert steps[0].sizes == {
        "seed": 3,
        "other": 3,
        "document": steps[0].sizes["document"],
        "window": 48,
        "position": 8,
    }
    divergence = {name: float(data["kl_token"].mean()) for name, data in steps.items()}
    losses = {name: float(data["surprisal_token"].mean()) for name, data in steps.items()}
    assert divergence[0] == pytest.approx(0.7737, rel=0.15)  # the draw's width is 1 / sqrt(D) here
    assert losses[32] < losses[0] - 0.1
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("masked/*/*/*.nc")}
    assert job.run("masked", *flags, cache=cache, out=tmp_path)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A study whose models have the config put into `held`, and a corpus of letters."""
    held = {"config": SMALL}
    monkeypatch.setattr(checkpoints, "config", lambda *source, **_: held["config"])
    suite = folder_tree("toy", tmp_path, ["toy"], [0, 1], [0, 8])
    documents = tuple(Document(f"name {k}", "text", "abc xyz, " * 40) for k in range(30))
    corpus = Corpus("letters", documents)
    with flagsaver.flagsaver():
        flags.FLAGS(["test"])
        study = Study(suite=suite, store=results.Store(tmp_path), read_corpus=lambda: corpus)
        study.__dict__["tokenizer"] = word_pieces(tmp_path)
        yield study, held


def word_pieces(folder):
    from dynamics.data import tokenizer

    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    return tokenizer.load(folder)


def test_windows_stand_in_their_frame_and_no_mask_falls_on_it(opened):
    study, _ = opened
    length = masked.window_length(study)
    assert length == 24  # the models read less than --context
    with flagsaver.flagsaver(windows=3, mask_positions=0):
        text = masked.masked_text(study, length)
    assert text.tokens.shape == (3 * 128 // 24, 24)
    np.testing.assert_array_equal(text.tokens[:, 0], PIECES.index("[CLS]"))
    np.testing.assert_array_equal(text.tokens[:, -1], PIECES.index("[SEP]"))
    assert not np.isin(text.tokens[:, 1:-1], range(5)).any()
    np.testing.assert_array_equal(text.positions, [range(1, 23)] * len(text.tokens))
    assert text.mask == PIECES.index("[MASK]")


def test_what_is_asked_is_part_of_the_configuration(opened):
    study, _ = opened
    (experiment,) = masked.experiments(study)
    assert experiment.config["context"] == 24
    with flagsaver.flagsaver(mask_positions=3):
        (other,) = masked.experiments(study)
    assert experiment.config != other.config
    assert [unit.step for unit in experiment.units] == [0, 8]


def test_causal_models_are_sent_elsewhere(opened):
    study, held = opened
    held["config"] = gpt_neox.Config()
    with pytest.raises(InputError, match=r"toy, whose models are causal.*experiments\.convergence"):
        masked.experiments(study)


def test_masked_models_are_asked_for_no_next_token(opened, monkeypatch):
    study, _ = opened
    monkeypatch.setattr(
        checkpoints, "load", lambda *source, **_: checkpoints.Checkpoint(SMALL, None, {})
    )
    with pytest.raises(InputError, match=r"a bert asked for its next token.*experiments\.masked"):
        study.load("toy", 0, 0)
    assert study.load("toy", 0, 0, reads_text=False).config == SMALL


def test_one_seed_is_refused(opened):
    study, _ = opened
    single = dataclasses.replace(study, suite=study.suite.select(seeds=[1]))
    with pytest.raises(InputError, match="1 seed; expected two or more"):
        masked.experiments(single)
