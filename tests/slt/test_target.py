"""Sampling to a stated error, on quadratics whose finite chains have a closed form."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import slt
from dynamics.errors import InputError
from dynamics.slt import target

pytestmark = pytest.mark.computes

BUDGET = slt.SGLD(
    step_size=4e-3, nbeta=100.0, localization=10.0, num_chains=4, num_draws=20000, burn_in=200,
    segment=200,
)  # fmt: skip
CURVATURES = np.array([[0.5, 1.0, 2.0, 0.0]], np.float32)


def loss(w, curvatures):
    return 0.5 * jnp.sum(curvatures[0] * w**2)


@functools.cache
def sampled(seed: int, target_error: float = 0.05, **settings) -> slt.LLCEstimate:
    sampler = dataclasses.replace(BUDGET, **settings)
    return slt.estimate_llc(
        loss, jnp.zeros(4), CURVATURES, jax.random.key(seed), sampler, target_error=target_error
    )


def exact() -> float:
    """What chains of this step give on average, however long."""
    return slt.quadratic_llc(CURVATURES[0], BUDGET, 1).llc


def test_the_error_that_was_asked_for_is_met_and_no_more_is_sampled():
    estimate = sampled(0)
    outcome = estimate.target
    assert outcome.met
    assert outcome.error <= outcome.target == pytest.approx(0.05 * estimate.llc)
    assert outcome.draws == estimate.loss_trace.shape[1] == estimate.sampler.num_draws
    assert outcome.draws < BUDGET.num_draws
    assert outcome.draws <= 2 * outcome.foretold_draws
    assert "is met" in outcome.sentence


def test_half_the_error_takes_about_four_times_the_draws():
    draws = [np.mean([sampled(s, e).target.draws - 200 for s in range(4)]) for e in (0.02, 0.01)]
    assert 2.5 < draws[1] / draws[0] < 6


def test_a_budget_that_is_spent_is_said():
    outcome = sampled(0, num_draws=600).target
    assert not outcome.met
    assert outcome.draws == 600
    assert outcome.sentence.startswith("The budget of 600 draws is spent before the target")


def test_an_error_below_float32_is_said():
    outcome = slt.estimate_llc(
        lambda w, h: 1e4 + loss(w, h), jnp.zeros(4), CURVATURES, jax.random.key(0), BUDGET,
        target_error=1e-3,
    ).target  # fmt: skip
    assert not outcome.met
    assert "float32" in outcome.sentence
    assert outcome.draws < BUDGET.num_draws


def noisy_loss(w, centers):
    """A mean of losses around centres, so that batches differ in l(w*)."""
    return jnp.mean(jnp.sum(jnp.square(w[None] - centers), -1)) / 2


def test_an_error_that_all_chains_share_is_said():
    sampler = dataclasses.replace(BUDGET, baseline="recycled", batch_size=4)
    centers = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    outcome = slt.estimate_llc(
        noisy_loss, jnp.zeros(4), centers, jax.random.key(0), sampler, target_error=0.01
    ).target
    assert not outcome.met
    assert "all chains share" in outcome.sentence


@pytest.mark.parametrize(("error", "floor"), [(0, 0), (-0.1, 0), (np.nan, 0), (0.1, -1)])
def test_targets_that_are_none_are_refused(error, floor):
    with pytest.raises(InputError, match=r"target_error|error_floor"):
        slt.estimate_llc(
            loss, jnp.zeros(4), CURVATURES, jax.random.key(0), BUDGET,
            target_error=error, error_floor=floor,
        )  # fmt: skip


def autoregression(rng, repeats: int, draws: int, rho: float):
    """[R,4,draws] chains in their stationary distribution, of variance 1."""
    noise = rng.normal(size=(draws, repeats, 4)) * np.sqrt(1 - rho**2)
    values = np.empty_like(noise)
    values[0] = rng.normal(size=(repeats, 4))
    for step in range(1, draws):
        values[step] = rho * values[step - 1] + noise[step]
    return values.transpose(1, 2, 0)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_batch_means_state_the_error_of_draws_that_hang_together(rho):
    chains = autoregression(np.random.default_rng(1), 300, 800, rho)
    stated = np.array([target.batch_error(chain)[0] for chain in chains])
    actual = chains.mean((1, 2)).std(ddof=1)
    assert np.sqrt(np.mean(stated**2)) == pytest.approx(actual, rel=0.15)


@pytest.mark.long
def test_intervals_at_the_target_cover():
    """95 % intervals hold what chains of this step give in 92 to 98 % of 500 repeats."""
    covered = []
    for seed in range(500):
        estimate = sampled(seed, 0.04)
        low, high = estimate.target.interval(estimate.llc)
        covered.append(low <= exact() <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def regression_loss(w, batch):
    x, y = batch
    return jnp.mean(jnp.square(x @ w - y)) / 2


@pytest.mark.alone
def test_the_wall_time_is_within_a_factor_of_two_of_what_the_pilot_foretold():
    """On a loss whose chains take seconds; the target is met in every run."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 100)).astype(np.float32)
    data = x, (x @ np.ones(100) + rng.normal(size=4000)).astype(np.float32)
    minimum = np.linalg.lstsq(*data, rcond=None)[0]
    sampler = dataclasses.replace(
        BUDGET, nbeta=4000.0, step_size=1e-4, localization=400.0, batch_size=None, segment=None
    )
    ratios = []
    for seed in range(3):
        outcome = slt.estimate_llc(
            regression_loss, jnp.asarray(minimum), data, jax.random.key(seed), sampler,
            target_error=0.01,
        ).target  # fmt: skip
        assert outcome.met
        assert outcome.draws > 500
        ratios.append(outcome.seconds / outcome.foretold_seconds)
    assert 0.5 <= min(ratios) <= max(ratios) <= 2
