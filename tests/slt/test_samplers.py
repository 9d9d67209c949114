"""Every sampler on every landscape whose answer is known: one contract.

Axes: C chains, d weights. `posterior` values are exact for MALA, and for the others up to a bias
that is linear in
epsilon: SGLD and its preconditioned kin are held to 2 % at small steps, and SGLD's bias is seen to
shrink linearly.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import slt
from dynamics.errors import InputError
from dynamics.slt import deep_linear, exact_values

pytestmark = pytest.mark.computes

NO_DATA = np.zeros((2, 1), np.float32)


class Landscape(NamedTuple):
    loss: object
    start: object  # w*
    nbeta: float
    localization: float
    posterior: float
    stiff: float = 1.0  # by how much steps are shortened
    precision: float = 0.02  # of the standard error
    chains: int = 128


@functools.cache
def quadratic(slope=0.0):
    return lambda w, batch: (
        slope * w.sum() + 0.5 * jnp.sum(jnp.asarray((0.1, 1.0, 10.0))[: len(w)] * w**2)
    )


@functools.cache
def powers(exponents):
    return lambda w, batch: sum(jnp.abs(w[i]) ** p for i, p in enumerate(exponents))


@functools.cache
def monomial(p, q):
    return lambda w, batch: w[0] ** p * w[1] ** q


def off_minimum(w, batch):
    return 0.3 * w.sum() + 0.5 * jnp.sum(w**2)


def product(layers, batch):
    whole = functools.reduce(lambda below, layer: layer @ below, layers)
    return jnp.sum(whole**2) / 2


def two_layers(widths):
    return [jnp.zeros((after, before)) for before, after in itertools.pairwise(widths)]


def net(widths, nbeta):
    exact = deep_linear.two_layer_posterior(widths, nbeta=nbeta, localization=1.0)
    return Landscape(product, two_layers(widths), nbeta, 1.0, exact)


def crossing(nbeta, **changes):
    exact = exact_values.crossing_posterior(nbeta=nbeta, localization=1.0)
    return Landscape(
        monomial(2, 2),
        jnp.zeros(2),
        nbeta,
        1.0,
        exact,
        precision=0.05,
        **{"chains": 200, **changes},
    )


def quartic(nbeta):
    exact = exact_values.powers_posterior([4], nbeta=nbeta, localization=1.0)
    return Landscape(powers((4,)), jnp.zeros(1), nbeta, 1.0, exact, chains=400)


LANDSCAPES = {
    "quadratic": Landscape(quadratic(), jnp.zeros(3), 100.0, 1.0, 1.4491),
    "off a minimum": Landscape(off_minimum, jnp.zeros(1), 100.0, 10.0, -4.00826),
    "powers": Landscape(powers((2, 3, 4)), jnp.zeros(3), 100.0, 0.0, 13 / 12),
    "w^4 at 10": quartic(10.0),
    "w^4 at 100": quartic(100.0),
    "w^4 at 1000": quartic(1000.0),
    "crossing at 145": crossing(144.76),
    "crossing at 1000": crossing(1000.0, stiff=4.0),
    "w1^2 w2^4": Landscape(
        monomial(2, 4), jnp.zeros(2), 144.76, 1.0, 0.20953, stiff=2.0, chains=400
    ),
    "(2,2,2)": net((2, 2, 2), 144.76),
    "(2,2,2) at 1000": net((2, 2, 2), 1000.0)._replace(stiff=4.0),
    "(3,2,3)": net((3, 2, 3), 144.76),
    "(3,2,3) at 1000": net((3, 2, 3), 1000.0)._replace(stiff=4.0),
}
WRITTEN = {  # as they were computed once, apart from the closed forms of `exact_values`
    "w^4 at 10": 0.22490,
    "w^4 at 100": 0.24172,
    "w^4 at 1000": 0.24735,
    "crossing at 145": 0.36140,
    "crossing at 1000": 0.39027,
    "(2,2,2)": 1.3756,
    "(2,2,2) at 1000": 1.4418,
    "(3,2,3)": 2.3247,
    "(3,2,3) at 1000": 2.4178,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_closed_forms_agree_with_independent_numbers(name):
    assert LANDSCAPES[name].posterior == pytest.approx(WRITTEN[name], abs=6e-5)


# epsilon where the landscape is not stiff; draws of the burn-in, and after it; steps per draw
SAMPLERS = {
    slt.SGLD: (2.5e-4, 80, 160, 300),
    slt.MALA: (2e-3, 40, 120, 100),
    slt.SGNHT: (
        2.5e-4,
        40,
        120,
        100,
    ),  # at 1e-3 a few chains in a thousand fling themselves out of w1^2 w2^4
    slt.RMSpropSGLD: (2e-5, 60, 120, 300),
    slt.AdamSGLD: (2e-5, 60, 120, 300),
}
EXACT = {slt.MALA, slt.SGNHT}  # held to the posterior without an allowance


def estimate(kind, landscape: Landscape, **changes):
    step_size, burn_in, draws, thinning = SAMPLERS[kind]
    settings = {
        "step_size": step_size / landscape.stiff,
        "nbeta": landscape.nbeta,
        "localization": landscape.localization,
        "num_chains": landscape.chains,
        "num_draws": burn_in + draws,
        "burn_in": burn_in,
        "thinning": thinning,
        **changes,
    }
    return slt.estimate_llc(
        landscape.loss, landscape.start, NO_DATA, jax.random.key(0), kind(**settings)
    )


def holds(kind, name):
    landscape = LANDSCAPES[name]
    estimated, exact = estimate(kind, landscape), landscape.posterior
    allowance = 0.0 if kind in EXACT else 0.02 * abs(exact)
    assert estimated.sem <= landscape.precision * abs(exact)
    assert abs(estimated.llc - exact) < 4 * estimated.sem + allowance


@pytest.mark.long
@pytest.mark.parametrize("kind", [slt.SGLD, slt.MALA, slt.SGNHT], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", LANDSCAPES)
def test_sampler_finds_the_posterior(name, kind):
    holds(kind, name)


@pytest.mark.long
@pytest.mark.parametrize("kind", [slt.RMSpropSGLD, slt.AdamSGLD], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", ["quadratic", "powers", "crossing at 145", "(2,2,2)"])
def test_a_frozen_preconditioner_leaves_the_posterior(name, kind):
    holds(kind, name)


@pytest.mark.long
def test_step_size_bias_shrinks_linearly_on_a_singular_minimum():
    landscape, biases = LANDSCAPES["crossing at 145"], []
    for step_size in (1e-3, 2e-3):
        per_draw = round(0.05 / step_size)  # the same time between draws
        settings = {
            "step_size": step_size,
            "burn_in": 120,
            "num_draws": 520,
            "thinning": per_draw,
            "num_chains": 2000,
        }
        estimated = estimate(slt.SGLD, landscape, **settings)
        biases.append((estimated.llc - landscape.posterior, estimated.sem))
    (small, small_sem), (large, large_sem) = biases
    assert small > 8 * small_sem  # a bias is seen at all
    assert abs(large / small - 2) < 0.3 + 4 * np.hypot(large_sem, 2 * small_sem) / small


@pytest.mark.long
def test_crossing_at_a_low_temperature():
    """At n beta 1e6 momenta run along a valley, a thousandth as wide as long, where SGLD crawls."""
    exact = exact_values.crossing_posterior(nbeta=1e6, localization=1.0)
    assert exact == pytest.approx(0.43754, abs=1e-5)
    settings = {
        "step_size": 1e-7,
        "diffusion": 1e-3,
        "thinning": 1000,
        "burn_in": 60,
        "num_draws": 160,
    }
    estimated = estimate(slt.SGNHT, crossing(1e6), num_chains=200, **settings)
    assert estimated.sem <= 0.05 * exact
    assert abs(estimated.llc - exact) < 4 * estimated.sem


def lean(w, batch):
    return batch.mean() * w.sum()


@pytest.mark.parametrize("kind", [slt.SGLD, slt.SGNHT, slt.MALA], ids=lambda kind: kind.__name__)
def test_a_box_truncates_the_posterior(kind):
    """A flat loss in a box: uniform, so E u^2 = half-width^2 / 3; a linear one leans on the wall.

    A step that is cut short at a wall biases SGLD by the order of sqrt(epsilon) times the slope
    there.
    """
    settings = {
        "nbeta": 1.0,
        "localization": 0.0,
        "num_chains": 200,
        "num_draws": 300,
        "burn_in": 60,
        "thinning": 4,
    }
    sampler = kind(step_size=0.02, box=0.5, **settings)

    def sampled(slope, start):  # the slope is data, so that one program serves both
        return slt.estimate_llc(
            lean, start, np.full((2, 1), slope, np.float32), jax.random.key(0), sampler
        )

    flat = sampled(0.0, jnp.ones(3))
    assert (flat.distance.max(), (flat.distance**2)[:, 60:].mean()) == (
        pytest.approx(0.5 * 3**0.5, rel=0.1),
        pytest.approx(3 * 0.25 / 3, rel=0.02),
    )
    slope = 4.0  # exp(-slope u) on [-b, b] has mean 1/slope - b coth(slope b)
    tilted = sampled(slope, jnp.zeros(3))
    mean = slope * (1 / slope - 0.5 / np.tanh(slope * 0.5))
    allowance = 0.12 if kind is slt.SGLD else 0.02  # of each weight
    assert abs(tilted.llc - 3 * mean) < 4 * tilted.sem + 3 * allowance


@pytest.mark.long
def test_acceptance_of_small_and_large_steps():
    """MALA's probability for SGLD's moves: near 1 for small steps, else about MALA's own."""
    settings = {
        "nbeta": 100.0,
        "localization": 1.0,
        "num_chains": 64,
        "num_draws": 300,
        "burn_in": 100,
        "thinning": 30,
    }
    asked = {
        eps: estimate(
            slt.SGLD, LANDSCAPES["quadratic"], step_size=eps, acceptance=True, **settings
        ).acceptance
        for eps in (1e-5, 3e-3)
    }
    assert asked[1e-5] > 0.999
    assert asked[3e-3] < 0.8
    own = estimate(slt.MALA, LANDSCAPES["quadratic"], step_size=1e-3, **settings).acceptance
    other = estimate(
        slt.SGLD, LANDSCAPES["quadratic"], step_size=1e-3, acceptance=True, **settings
    ).acceptance
    assert own == pytest.approx(other, abs=0.06)  # the two sample posteriors a step's bias apart


def test_each_sampler_knows_its_own_bias():
    """On a quadratic at epsilon a = 2, where SGLD's stiffest direction is twice too wide."""
    loss, start = LANDSCAPES["quadratic"].loss, jnp.zeros(3)  # curvature up to 10
    settings = {
        "nbeta": 100.0,
        "localization": 1.0,
        "num_chains": 20,
        "num_draws": 3000,
        "burn_in": 100,
    }
    problem = (loss, start, NO_DATA, jax.random.key(0))
    exact = exact_values.quadratic_posterior([0.1, 1.0, 10.0], nbeta=100.0, localization=1.0)
    for kind in (slt.MALA, slt.SGNHT):
        got = slt.estimate_llc(*problem, kind(step_size=2 / 1001, **settings), top_eigenvalue=10.0)
        assert abs(got.llc - exact) < 4 * got.sem
        assert (got.stability.state, got.stability.bias_factor) == ("stable", 1.0)
    assert slt.SGNHT(step_size=1.0, **settings).bias_factor(4.01) == np.inf
    assert slt.MALA(step_size=1.0, **settings).bias_factor(4.01) == 1.0
    for kind in (slt.RMSpropSGLD, slt.AdamSGLD):
        assert np.isnan(kind(step_size=1.0, **settings).bias_factor(0.39))  # G may be 10
        assert kind(step_size=1.0, **settings).bias_factor(0.039) == pytest.approx(
            1 / (1 - 0.39 / 4)
        )


def test_mala_wants_the_whole_data_and_preconditioners_a_burn_in():
    settings = {
        "step_size": 1e-3,
        "localization": 1.0,
        "num_chains": 2,
        "num_draws": 4,
        "nbeta": 1.0,
    }
    data = np.zeros((8, 1), np.float32)
    with pytest.raises(InputError, match="whole data"):
        slt.estimate_llc(
            off_minimum, jnp.zeros(1), data, jax.random.key(0), slt.MALA(batch_size=4, **settings)
        )
    with pytest.raises(InputError, match="burn-in"):
        slt.estimate_llc(
            off_minimum, jnp.zeros(1), data, jax.random.key(0), slt.RMSpropSGLD(**settings)
        )
    free = slt.estimate_llc(
        off_minimum,
        jnp.zeros(1),
        data,
        jax.random.key(0),
        slt.RMSpropSGLD(adapt="always", **settings),
    )
    assert np.isfinite(free.llc)
    with pytest.raises(InputError, match="decay"):
        slt.AdamSGLD(decay=1.0, **settings)


@pytest.mark.parametrize("kind", SAMPLERS, ids=lambda kind: kind.__name__)
def test_every_sampler_resumes_bit_for_bit(kind):
    settings = {
        "step_size": 1e-3,
        "localization": 1.0,
        "num_chains": 3,
        "num_draws": 15,
        "nbeta": 10.0,
        "burn_in": 5,
    }
    loss, params, data = LANDSCAPES["quadratic"].loss, jnp.zeros(3), NO_DATA
    key, cut = jax.random.key(2), kind(segment=5, **settings)
    whole = slt.estimate_llc(loss, params, data, key, kind(**settings))
    first = jax.tree.map(np.asarray, next(iter(slt.segments(loss, cut, params, data, key))))
    *_, last = slt.segments(loss, cut, params, data, key, run=first)
    np.testing.assert_array_equal(last.traces.loss, whole.loss_trace)
    np.testing.assert_array_equal(last.traces.distance, whole.distance)


@pytest.mark.parametrize("kind", SAMPLERS, ids=lambda kind: kind.__name__)
def test_frozen_weights_stay(kind):
    """Under a mask the frozen weights do not move, and the others have the smaller problem."""
    settings = {
        "step_size": 1e-3,
        "localization": 1.0,
        "num_chains": 2,
        "num_draws": 40,
        "nbeta": 50.0,
        "burn_in": 5,
    }
    start = jnp.asarray([0.1, 0.2, 0.3])
    frozen = slt.estimate_llc(
        lambda w, b: w[2] + 0.5 * jnp.sum(w[:2] ** 2),
        start,
        NO_DATA,
        jax.random.key(0),
        kind(**settings),
        mask=jnp.asarray([True, True, False]),
    )
    assert frozen.num_free == 2
    assert frozen.init_loss == pytest.approx(0.3 + 0.025)
    alone = [float(frozen.loss_trace[c, t]) for c in range(2) for t in range(40)]
    assert min(alone) >= 0.3  # w[2] is where it was, or the loss would fall with it
