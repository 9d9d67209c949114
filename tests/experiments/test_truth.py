"""A suite trained on text of a known distribution: its stages, and that no other is taken."""

import job
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import results
from dynamics.errors import InputError
from dynamics.questions import Committed
from dynamics.questions.truth import find
from dynamics.study import Study
from dynamics.suite import folder_tree
from dynamics.training import nano
from experiments import truth


@pytest.mark.long
def test_a_small_suite_comes_nearer_to_the_truth_and_is_shown(cache, tmp_path):
    flags = ("--suite=smoke-truth", "--steps=0,8,64", "--windows=48")
    code, _, stderr = job.run("truth", *flags, cache=cache, out=tmp_path)
    assert code == 0, stderr
    numbers = job.numbers(tmp_path)
    assert sorted(numbers) == [f"truth/truth-16/seed0-1-2/step{step}.nc" for step in (0, 64, 8)]
    to_truth = [
        float(numbers[f"truth/truth-16/seed0-1-2/step{step}.nc"]["truth_model"].mean())
        for step in (0, 8, 64)
    ]
    assert np.all(np.diff(to_truth) < 0)
    assert job.run("report", "--suite=smoke-truth", cache=cache, out=tmp_path)[0] == 0
    data = tmp_path / "report" / "data"
    names = {"truth-kl", "truth-share", "truth-loss", "truth-unigram"}
    assert {path.stem for path in data.glob("*.csv")} >= names


@pytest.fixture(scope="module")
def models(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("truth")
    # Its 1,280 training steps cost more than the compiler's slow passes.
    code, _, stderr = job.run("truth", "--suite=truth", cache=cache, out=out, as_users_do=True)
    assert code == 0, stderr
    return find(Committed(results.Store(out)))


@pytest.mark.long
def test_frequencies_come_before_what_follows_what(models):
    """KL(unigram || model) is least before the model is nearer to the truth than the unigram is."""
    assert [model.model for model in models] == ["truth-16", "truth-48"]
    for model in models:
        assert model.beats_unigram is not None
        assert model.unigram_step < model.beats_unigram
        assert model.from_unigram.value.min() < 0.4 * model.from_unigram.value[0]


@pytest.mark.long
def test_excess_loss_is_the_divergence_at_every_step(models):
    for model in models:
        assert (np.abs(model.gap[:, 0]) < 4 * model.gap[:, 1]).all()
        assert (model.loss.value > model.entropy[0] - 4 * model.entropy[1]).all()
        np.testing.assert_allclose(model.common + model.variance, model.to_truth.value, rtol=1e-3)


@pytest.mark.long
def test_seeds_end_near_one_another_and_near_the_truth(models):
    small, large = models
    for model in models:
        assert model.to_truth.value[-1] < 0.15
        assert model.between.value[-1] < model.to_truth.value[-1]
        # Pythia's initialisation, whatever the vocabulary.
        assert model.between.value[0] == pytest.approx(0.4, abs=0.06)
    assert large.to_truth.value[-1] < small.to_truth.value[-1]


@pytest.fixture
def study(tmp_path):
    grid = folder_tree("toy", tmp_path, ["toy"], [0, 1], [0, 8])
    with flagsaver.flagsaver():
        flags.FLAGS(["test"])
        yield Study(suite=grid, store=results.Store(tmp_path))


def test_text_of_unknown_distribution_is_refused(study):
    with flagsaver.flagsaver(suite="nano"), pytest.raises(InputError, match="truth or smoke-truth"):
        truth.experiments(study)
    with (
        flagsaver.flagsaver(suite="truth", corpus="some.txt"),
        pytest.raises(InputError, match="not known"),
    ):
        truth.experiments(study)


def test_windows_are_no_longer_than_models_were_trained_to_read(study):
    with flagsaver.flagsaver(suite="smoke-truth", context=128):
        (experiment,) = truth.experiments(study)
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
