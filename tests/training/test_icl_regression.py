"""Seeds do not interact, a killed run goes on to the same bits, and what cannot be is refused."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import checkpoints, suite
from dynamics.data import contexts
from dynamics.errors import InputError
from dynamics.models import icl_regression as model
from dynamics.training import icl_recipe, icl_regression, icl_steps

CONFIG = model.Config(
    hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8, task_size=2, num_pairs=3
)
RECIPE = icl_recipe.Recipe(
    name="tiny", config=CONFIG, num_steps=24, num_seeds=3, batch_size=8, checkpoints=(0, 5, 24)
)


def test_the_papers_schedule_and_work():
    paper = icl_recipe.Recipe(name="paper")
    steps = paper.checkpoint_steps()
    assert len(steps) == 190
    assert (steps[0], steps[1], steps[-2], steps[-1]) == (0, 1, 494_949, 499_999)
    assert {14, 341, 7192, 5050, 252_525} <= set(steps)
    assert paper.num_flops() == pytest.approx(3.2e15, rel=0.1)
    rates = [float(paper.learning_rate(step)) for step in (0, 249_999, 250_000, 499_999)]
    np.testing.assert_allclose(rates, [1.2e-8, 3e-3, 3e-3, 1.2e-8], rtol=1e-5)


def test_seeds_train_alike_alone_and_among_others():
    start, advance = icl_steps.functions(RECIPE, together=True)
    everyone = advance(advance(start(jnp.arange(3)), jnp.arange(3), 19), jnp.arange(3), 20)
    assert int(everyone.step) == 20
    assert advance._cache_size() == 1  # from the first state on
    for seed in range(3):
        alone = advance(start(jnp.array([seed])), jnp.array([seed]), 20)
        own = jax.tree.map(lambda leaf, k=seed: leaf[k : k + 1], everyone.params)
        chex.assert_trees_all_close(own, alone.params, atol=1e-5)
        np.testing.assert_allclose(alone.loss[0], everyone.loss[seed], rtol=1e-5)
    assert len(set(np.asarray(everyone.loss).tolist())) == 3  # each has its own batches


def test_a_run_that_is_cut_off_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(icl_regression, "_SAVE_EVERY", 10)
    assert icl_regression.train(RECIPE, tmp_path / "whole") == (0, 5, 24)

    class Killed(Exception):
        pass

    def kill(step: int):
        if step == 20:
            raise Killed

    with pytest.raises(Killed):
        icl_regression.train(RECIPE, tmp_path / "cut", kill)
    assert icl_regression.train(RECIPE, tmp_path / "cut", until=22) == (0, 5)
    assert icl_regression.train(RECIPE, tmp_path / "cut") == (0, 5, 24)
    whole, cut = (suite.read(tmp_path / name / "suite.toml") for name in ("whole", "cut"))
    for cell in whole.cells():
        loaded = [checkpoints.load(*grid.source(*cell)) for grid in (whole, cut)]
        assert loaded[0].config == CONFIG
        chex.assert_trees_all_equal(loaded[0].params, loaded[1].params)


def test_another_recipe_is_not_gone_on_with(tmp_path):
    icl_regression.train(RECIPE, tmp_path, until=1)
    other = dataclasses.replace(RECIPE, peak_rate=0.1)
    with pytest.raises(InputError, match=r"recipe.json with peak_rate 0.003 there and 0.1 here"):
        icl_regression.train(other, tmp_path)


def test_what_lies_beyond_the_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a checkpoint at step 25 of tiny; expected .* 0 to 24"):
        dataclasses.replace(RECIPE, checkpoints=(0, 25))
    with pytest.raises(InputError, match="until step 25"):
        icl_regression.train(RECIPE, tmp_path, until=25)


def test_a_loss_that_is_not_finite_stops_the_run_at_its_step(tmp_path, monkeypatch):
    """What was saved before it stays, and is the weights of before it."""
    draw = icl_steps.batch_at

    def batch_at(recipe, seed, step):
        tokens = draw(recipe, seed, step)
        return jnp.where((step == 7) & (seed == 1), jnp.inf, tokens)

    monkeypatch.setattr(icl_steps, "batch_at", batch_at)
    diverging = dataclasses.replace(RECIPE, name="diverging")
    with pytest.raises(InputError, match=r"not finite at step 7, seed 1; .*peak_rate"):
        icl_regression.train(diverging, tmp_path)
    saved = sorted(path.name for path in (tmp_path / "diverging" / "seed1").iterdir())
    assert saved == ["step0", "step5"]
    checkpoints.load(tmp_path / "diverging" / "seed1" / "step5")


def test_a_finite_set_of_tasks_is_the_same_at_every_step():
    """Three pairs of two numbers tell a task up to the noise, which is small here."""
    config = dataclasses.replace(CONFIG, noise_variance=1e-8)
    few = dataclasses.replace(RECIPE, config=config, num_tasks=2, batch_size=64)
    tasks = np.asarray(contexts.task_set(0, 2, 2))
    for seed, step in ((0, 0), (0, 9), (1, 9)):
        tokens = np.asarray(icl_steps.batch_at(few, seed, step))
        x, y = contexts.inputs_of(tokens), contexts.targets_of(tokens)
        solved = np.array([np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(x, y, strict=True)])
        distance = np.abs(solved[:, None] - tasks[None]).max(-1)  # [B,M]
        assert np.median(distance.min(1)) < 1e-3
        assert set(distance.argmin(1)) == {0, 1}
