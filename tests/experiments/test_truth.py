"""A suite trained on text of a known distribution: the stages that the truth shows, and that none
other is taken."""

import job
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import results
from dynamics.analysis import known_truth
from dynamics.errors import InputError
from dynamics.suite import folder_tree
from dynamics.training import nano
from experiments import common, truth


@pytest.mark.long
def test_a_small_suite_comes_nearer_to_the_truth_and_is_shown(cache, tmp_path):
    flags = ("--suite=smoke-truth", "--steps=0,8,64", "--windows=48")
    code, _, stderr = job.run("truth", *flags, cache=cache, out=tmp_path)
    assert code == 0, stderr
    found = job.numbers(tmp_path)
    assert sorted(found) == [f"truth/truth-16/seed0-1-2/step{step}.nc" for step in (0, 64, 8)]
    to_truth = [
        float(found[f"truth/truth-16/seed0-1-2/step{step}.nc"]["truth_model"].mean())
        for step in (0, 8, 64)
    ]
    assert np.all(np.diff(to_truth) < 0)
    assert job.run("report", "--suite=smoke-truth", cache=cache, out=tmp_path)[0] == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f'id="panel-truth-{name}"' in page for name in ("kl", "share", "loss", "unigram"))


@pytest.fixture(scope="module")
def measured(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("truth")
    code, _, stderr = job.run("truth", "--suite=truth", cache=cache, out=out)
    assert code == 0, stderr
    return out


@pytest.mark.long
def test_frequencies_come_before_what_follows_what(measured):
    """KL(unigram || model) is least before the model is nearer to the truth than the unigram is."""
    found = known_truth.known_truths(list(results.Store(measured).committed("truth")))
    assert [one.model for one in found] == ["truth-16", "truth-48"]
    for one in found:
        assert one.beats_unigram is not None
        assert one.unigram_step < one.beats_unigram
        assert one.from_unigram.value.min() < 0.4 * one.from_unigram.value[0]


@pytest.mark.long
def test_excess_loss_is_the_divergence_at_every_step(measured):
    for one in known_truth.known_truths(list(results.Store(measured).committed("truth"))):
        assert (np.abs(one.gap[:, 0]) < 4 * one.gap[:, 1]).all()
        assert (one.loss.value > one.entropy[0] - 4 * one.entropy[1]).all()
        np.testing.assert_allclose(one.common + one.variance, one.to_truth.value, rtol=1e-3)


@pytest.mark.long
def test_seeds_end_near_one_another_and_near_the_truth(measured):
    small, large = known_truth.known_truths(list(results.Store(measured).committed("truth")))
    for one in (small, large):
        assert one.to_truth.value[-1] < 0.15
        assert one.between.value[-1] < one.to_truth.value[-1]
        assert one.between.value[0] == pytest.approx(
            0.4, abs=0.06
        )  # Pythia's initialisation, whatever the vocabulary
    assert large.to_truth.value[-1] < small.to_truth.value[-1]


@pytest.fixture
def context(tmp_path):
    with flagsaver.flagsaver():
        flags.FLAGS(["test"])
        yield common.Context(
            folder_tree("toy", tmp_path, ["toy"], [0, 1], [0, 8]),
            results.Store(tmp_path),
            "0/1",
            None,
        )


def test_text_of_unknown_distribution_is_refused(context):
    with flagsaver.flagsaver(suite="nano"), pytest.raises(InputError, match="truth or smoke-truth"):
        truth.experiments(context)
    with (
        flagsaver.flagsaver(suite="truth", corpus="some.txt"),
        pytest.raises(InputError, match="not known"),
    ):
        truth.experiments(context)


def test_windows_are_no_longer_than_models_were_trained_to_read(context):
    with flagsaver.flagsaver(suite="smoke-truth", context=128):
        (experiment,) = truth.experiments(context)
    assert experiment.config["context"] == nano.RECIPES["smoke-truth"][0].context == 32
    assert [unit.step for unit in experiment.units] == [0, 8]


def test_the_synthetic_text_changes_no_other_suites_name():
    text = nano.text("nano")
    assert text.name == "embedded"
    assert nano.text("truth").name == "synthetic"
    for name in ("nano", "smoke"):
        fingerprints = "-".join(
            recipe.fingerprint(text.fingerprint()) for recipe in nano.RECIPES[name]
        )
        assert (
            nano.suite(name).source(nano.RECIPES[name][0].name, 0, 0).location.count(fingerprints)
            == 1
        )
