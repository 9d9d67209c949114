"""Suites of in-context regression by name: one trained on first use, one measured as far as it
goes."""

import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics.errors import InputError
from dynamics.models import icl_regression as model
from dynamics.training import icl_recipe, icl_regression, icl_suites
from experiments import common

CONFIG = model.Config(
    hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8, task_size=2, num_pairs=3
)
RECIPE = icl_recipe.Recipe(
    name="icl-small", config=CONFIG, num_steps=4, num_seeds=2, batch_size=4, checkpoints=(0, 4)
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty one, with recipes that take a moment."""
    monkeypatch.setenv("DYNAMICS_CACHE", str(tmp_path))
    paper = icl_recipe.Recipe(name="icl-paper", config=CONFIG, num_steps=8, num_seeds=1)
    monkeypatch.setattr(icl_suites, "RECIPES", {"icl-small": RECIPE, "icl-paper": paper})
    flags.FLAGS(sys.argv[:1])
    return tmp_path


@pytest.mark.long
def test_it_is_trained_on_first_use_and_once(cache):
    grid = icl_suites.suite("icl-small")
    assert (grid.seeds, grid.steps, grid.reads) == ((0, 1), (0, 4), "contexts")
    seen: list[int] = []
    icl_suites.ensure("icl-small", lambda recipe: seen.append)
    assert seen[-1] == 4
    seen.clear()
    icl_suites.ensure("icl-small", lambda recipe: seen.append)
    assert seen == []
    with flagsaver.flagsaver(suite="icl-small", out=str(cache / "out")):
        study = common.open_suite()
        assert study.load("icl-small", 1, 4).config == CONFIG
        assert common.single_seeds(study, None) == (0, 1)


@pytest.mark.long
def test_the_papers_is_measured_as_far_as_it_is_trained(cache):
    with pytest.raises(InputError, match="of which nothing is trained") as refusal:
        icl_suites.suite("icl-paper")
    assert "experiments.icl_regression --scale=paper --until=" in str(refusal.value)
    paper = icl_suites.RECIPES["icl-paper"]
    icl_regression.train(paper, icl_suites.folder_of(paper), until=3)
    icl_suites.ensure("icl-paper", lambda recipe: pytest.fail("trains what takes days"))
    assert icl_suites.suite("icl-paper").steps == (0, 1, 2, 3)


def test_the_small_scale_has_enough_checkpoints():
    """An LLC curve of twenty points and more, from before the first step to the run's end."""
    steps = icl_suites.RECIPES["icl-small"].checkpoint_steps()
    assert len(steps) >= 20
    assert (steps[0], steps[-1]) == (0, icl_suites.RECIPES["icl-small"].num_steps)
