"""What a step and minibatch noise add to an estimate, told by traces alone, against closed forms.

Axes: C chains, d weights, N data items, m items of a batch.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import slt
from dynamics.slt import bias, diagnostics, exact_values, gradient, pull, verdict

pytestmark = pytest.mark.computes

CURVATURE = np.array([0.3, 1.0, 3.0])
NO_DATA = np.zeros((2, 1), np.float32)
SETTINGS = {"nbeta": 100.0, "localization": 20.0}


def quadratic(w, batch):
    return 0.5 * jnp.sum(jnp.asarray(CURVATURE, jnp.float32) * w**2)


def crossing(w, batch):
    return (w[0] * w[1]) ** 2


def noisy(w, batch):
    """A quadratic whose gradient has noise: the items are what it adds, 0 in the mean."""
    return quadratic(w, batch) + batch.mean(0) @ w


def noises(scale) -> np.ndarray:
    """[N,3] items of mean 0, uncorrelated, of SD `scale` [3]."""
    items = np.random.default_rng(0).normal(size=(4096, 3))
    items -= items.mean(0)
    whitened = items @ np.linalg.inv(np.linalg.cholesky(np.cov(items.T))).T
    return (whitened * scale).astype(np.float32)


@pytest.mark.parametrize("step_size", [1e-3, 4e-3])
def test_a_step_on_a_quadratic(step_size):
    exact = exact_values.quadratic_posterior(CURVATURE, **SETTINGS)
    biased = exact_values.quadratic_sgld(CURVATURE, **SETTINGS, step_size=step_size)
    sampler = slt.SGLD(
        **SETTINGS, step_size=step_size, num_chains=64, num_draws=1600, burn_in=100, thinning=2
    )
    got = slt.estimate_llc(quadratic, jnp.zeros(3), NO_DATA, jax.random.key(0), sampler)
    assert abs(got.llc - biased) < 4 * got.error
    assert got.bias.step == pytest.approx(biased - exact, rel=0.05)
    assert got.bias.noise == 0
    metropolis = dataclasses.replace(got, sampler=slt.MALA(**_settings(sampler))).sampler
    assert metropolis.step_bias(1.0) == 0


def _settings(sampler) -> dict:
    return {name: getattr(sampler, name) for name in ("step_size", "nbeta", "localization")} | {
        "num_chains": sampler.num_chains,
        "num_draws": sampler.num_draws,
    }


def test_a_step_where_curvature_at_the_start_is_zero():
    """The bound at w* says nothing; the traces tell the bias to a fifth of it."""
    exact = exact_values.crossing_posterior(nbeta=144.76, localization=1.0)
    sampler = slt.SGLD(
        step_size=4e-3,
        nbeta=144.76,
        localization=1.0,
        num_chains=400,
        num_draws=600,
        burn_in=200,
        thinning=10,
    )
    got = slt.estimate_llc(crossing, jnp.zeros(2), NO_DATA, jax.random.key(0), sampler)
    assert got.stability.bias_factor < 1.01
    assert got.bias.step == pytest.approx(got.llc - exact, rel=0.25)
    assert "biased" in got.verdict.warnings


@pytest.mark.parametrize(("localization", "within"), [(20.0, 0.3), (1000.0, 0.5)])
def test_noise_of_batches_on_a_quadratic(localization, within):
    """Noise of variance N_i in a gradient widens direction i by epsilon n beta^2 N_i / 4."""
    scale, m, step_size, nbeta = np.sqrt(CURVATURE), 4, 1e-3, 100.0
    a = nbeta * CURVATURE + localization
    wider = step_size * nbeta**2 * scale**2 / m / 4 / (1 - step_size * a / 4)
    exact = float(np.sum(nbeta * CURVATURE / (2 * a) * wider))
    sampler = slt.SGLD(
        step_size=step_size,
        nbeta=nbeta,
        localization=localization,
        num_chains=64,
        num_draws=1000,
        burn_in=100,
        batch_size=m,
    )
    got = slt.estimate_llc(noisy, jnp.zeros(3), noises(scale), jax.random.key(0), sampler)
    whole = exact_values.quadratic_sgld(
        CURVATURE, nbeta=nbeta, localization=localization, step_size=step_size
    )
    assert abs(got.llc - whole - exact) < 4 * got.error
    assert got.bias.noise == pytest.approx(exact, rel=within)  # to first order
    assert "heated by minibatch noise" in got.verdict.warnings


def test_the_thermostat_absorbs_noise_alike_in_all_directions_and_no_other():
    """Temperatures are (A + B_i) / (A + B): of equal noise none is left, of unequal some."""
    settings = {
        "step_size": 1e-4,
        "nbeta": 100.0,
        "localization": 0.5,
        "num_chains": 32,
        "num_draws": 4000,
        "burn_in": 500,
        "batch_size": 4,
        "thinning": 4,
    }
    sampler = slt.SGNHT(**settings)
    for scale in (np.full(3, 0.6), np.array([0.0, 0.0, 1.0])):
        total = sampler.step_size * sampler.nbeta**2 * np.sum(scale**2 / 4) / (2 * 0.1)
        each = total * scale**2 / np.sum(scale**2)
        raised = float(np.sum((1 + each) / (1 + total / 3) - 1) / 2)
        got = slt.estimate_llc(noisy, jnp.zeros(3), noises(scale), jax.random.key(0), sampler)
        exact = exact_values.quadratic_posterior(CURVATURE, nbeta=100.0, localization=0.5)
        assert abs(got.llc - exact - raised) < 4 * got.error + 0.1 * abs(raised) + 0.02
    assert "without bias" not in got.stability.sentence


def test_batches_noise_is_no_mixing():
    """Slow chains under loud batches: the loss looks mixed, the places do not."""
    sampler = slt.SGLD(
        **SETTINGS, step_size=2e-6, num_chains=4, num_draws=1000, burn_in=100, batch_size=4
    )
    items = noises(np.full(3, 2.0))
    got = slt.estimate_llc(noisy, jnp.zeros(3), items, jax.random.key(0), sampler)
    assert got.loss_rhat < 1.05
    assert got.loss_ess > 1000
    assert got.rhat > 1.2
    assert got.ess < 40
    assert {"not converged", "too few draws"} <= set(got.verdict.warnings)


def test_directions_are_gradients_of_batches():
    sampler = slt.SGLD(**SETTINGS, step_size=1e-3, num_chains=4, num_draws=10, batch_size=4)
    scale = np.array([0.0, 1.0, 3.0])
    start = gradient.at_start(noisy, jnp.zeros(3), noises(scale), jax.random.key(0), sampler)
    assert start.directions is not None
    np.testing.assert_allclose(np.linalg.norm(start.directions, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(start.directions)[:, 0], 0, atol=1e-3)
    assert start.noise == pytest.approx(10 / 4, rel=0.5)
    assert abs(start.square) < 4 * start.square_sem
    singular = gradient.directions(crossing, jnp.zeros(2), NO_DATA, jax.random.key(0), sampler)
    assert singular is None  # no gradient, no direction
    whole = dataclasses.replace(sampler, batch_size=None)
    assert gradient.directions(noisy, jnp.zeros(3), items_of(8), jax.random.key(0), whole) is None


def items_of(count: int):
    return noises(np.ones(3))[:count]


def test_offsets_along_gradients_bound_the_pull():
    """Where gradients weigh directions by curvature, gamma E y^2 is the mean of gamma / a by h."""
    a = SETTINGS["nbeta"] * CURVATURE + SETTINGS["localization"]
    shares = SETTINGS["nbeta"] * CURVATURE / a
    exponent = -float(np.sum(shares * SETTINGS["localization"] / a) / shares.sum())
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(8, 3)) * np.sqrt(CURVATURE)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    offsets = rng.normal(size=(20, 4000, 3)) / np.sqrt(a)
    constants = slt.Constants(1e-3, SETTINGS["nbeta"], SETTINGS["localization"])
    bound = pull.bound_by_offset(offsets @ directions.T, constants, 0.0)
    assert 0.5 * abs(exponent) < bound < abs(exponent)
    assert pull.bound_by_offset(offsets @ directions.T, constants._replace(localization=0.0), 0.0)


def test_curvature_along_a_gradient_limits_what_it_explains():
    constants, steps = slt.Constants(1e-3, 100.0, 0.01), np.arange(100_000)
    on_plane = verdict.gradient_drop(0.3, constants, steps)
    in_a_well = verdict.gradient_drop(0.3, constants, steps, curvature=5.0)
    exact = -exact_values.quadratic_posterior([5.0], 0.3, nbeta=100.0, localization=0.01)
    width = exact_values.quadratic_posterior([5.0], nbeta=100.0, localization=0.01)
    assert in_a_well == pytest.approx(exact + width, rel=1e-3)
    assert on_plane > 100 * in_a_well
    assert verdict.gradient_drop(0.3, constants, steps, curvature=-5.0) == on_plane


def test_a_preconditioner_goes_farther_down_a_gradient():
    """Along a plane RMSprop's steps are longer: the drop is that of its steps, and legitimate."""

    def plane(w, batch):
        return 1e-3 * jnp.sum(w)

    sampler = slt.RMSpropSGLD(
        step_size=1e-3,
        nbeta=1000.0,
        localization=1.0,
        damping=0.01,
        num_chains=8,
        num_draws=40,
        burn_in=10,
    )
    got = slt.estimate_llc(plane, jnp.zeros(4), NO_DATA, jax.random.key(0), sampler)
    assert got.verdict.state == "off a minimum"


def test_one_stuck_chain_of_several():
    acceptance, offset = np.full((4, 400), 0.8), np.random.default_rng(0).random((4, 400))
    assert not verdict.stuck(acceptance, offset, 1)
    assert verdict.stuck(np.where(np.arange(4)[:, None] == 2, 0.01, acceptance), offset, 1)
    waits = offset.copy()
    waits[1, 100:130] = 0.7  # thirty draws in one place
    assert verdict.stuck(acceptance, waits, 1)
    waits[1, 105:130] = np.random.default_rng(1).random(25)
    assert not verdict.stuck(acceptance, waits, 1)
    assert not verdict.stuck(np.full((4, 400), np.nan), waits, 1)


def test_a_bias_matters_by_its_size_or_by_the_error():
    assert bias.matters(0.11, llc=1.0, error=0.5)
    assert bias.matters(0.06, llc=1.0, error=0.01)
    assert not bias.matters(0.06, llc=1.0, error=0.03)
    assert not bias.matters(0.04, llc=1.0, error=0.001)
    assert not bias.matters(0.09, llc=0.01, error=1.0)  # an estimate lost in its noise


def test_mixing_without_directions_is_that_of_the_loss():
    rng = np.random.default_rng(0)
    excess, distance = rng.normal(size=(4, 200)), rng.random((4, 200))
    alone = diagnostics.mixing(excess, distance)
    assert (alone.rhat, alone.ess) == (alone.loss_rhat, alone.loss_ess)
    places = rng.normal(size=(4, 1, 3)) + 0.1 * rng.normal(size=(4, 200, 3))
    apart = diagnostics.mixing(excess, distance, places)
    assert apart.loss_rhat == alone.loss_rhat
    assert apart.rhat > 1.5
    assert apart.ess < 20


def test_sums_of_many_directions_need_not_see_both_ends_of_each():
    """Settled chains that agree are judged by their loss; chains that do not settle are not."""
    rng = np.random.default_rng(0)
    slow = rng.normal(size=(4, 1, 8)) + 0.1 * rng.normal(size=(4, 200, 8))
    excess = 10 + 5 * rng.normal(size=(4, 200))
    settled = 3 + 0.01 * rng.normal(size=(4, 200))
    assert diagnostics.mixing(excess, settled, slow).rhat < 1.05
    spreading = settled * np.linspace(1, 1.2, 200)
    assert diagnostics.mixing(excess, spreading, slow).rhat > 1.5
    apart = excess + 5 * np.arange(4)[:, None]
    assert diagnostics.mixing(apart, settled, slow).rhat > 1.5


def test_intervals_have_the_error_of_a_shared_baseline():
    """A recycled l(w*) errs alike in all chains: over keys, intervals cover what they say."""
    sampler = slt.SGLD(
        step_size=1e-4,
        nbeta=50.0,
        localization=1.0,
        num_chains=20,
        num_draws=120,
        burn_in=60,
        batch_size=16,
        baseline="recycled",
    )
    items = noises(np.ones(3))

    def offset_loss(w, batch):
        return noisy(w, batch) + batch[:, 0].mean()  # what a batch draws is in l(w*) too

    runs = [
        slt.estimate_llc(
            offset_loss, jnp.zeros(3), items, jax.random.key(seed), sampler, top_eigenvalue=None
        )
        for seed in range(40)
    ]
    exact = exact_values.quadratic_chain(
        CURVATURE, nbeta=50.0, localization=1.0, step_size=1e-4, num_draws=120, burn_in=60
    ).mean
    covered = sum(low <= exact <= high for low, high in (run.interval() for run in runs))
    assert covered >= 34  # 38 are expected
    assert runs[0].error == math.hypot(runs[0].sem, runs[0].shared_sem)
    assert runs[0].shared_sem > runs[0].sem
    assert {word for run in runs for word in run.verdict.warnings} >= {"stability unknown"}
