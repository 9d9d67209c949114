"""The quadratic reference and the pull's exponent: closed forms, sampled quadratics, known excess.

Axes: P weights, C chains.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dynamics import slt
from dynamics.errors import InputError
from dynamics.measures.curvature import lanczos
from dynamics.slt import deep_linear, exact_values, pull, quadratic

pytestmark = pytest.mark.computes

SAMPLER = slt.SGLD(
    step_size=1e-3, nbeta=100.0, localization=1.0, num_chains=32, num_draws=400, burn_in=100
)
STRONG_PULL = dataclasses.replace(SAMPLER, localization=300.0)


def quadratic_loss(w, curvatures):
    """sum h_i w_i^2 / 2, with h as the only data item, so that one program serves all spectra."""
    return 0.5 * jnp.sum(curvatures[0] * w**2)


def spectrum(seed: int, size: int = 12) -> np.ndarray:
    """Curvatures over four decades, some of them flat, none beyond the stability bound."""
    rng = np.random.default_rng(seed)
    h = 10 ** rng.uniform(-3, 1, size)
    return np.where(rng.uniform(size=size) < 0.2, 0.0, h).astype(np.float32)


@functools.cache
def sampled(seed: int, sampler: slt.Sampler) -> slt.LLCEstimate:
    h = spectrum(seed)
    return slt.estimate_llc(
        quadratic_loss, jnp.zeros(len(h)), h[None], jax.random.key(seed), sampler,
        pull_exponent="measure",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("burn_in", "num_draws", "thinning"), [(0, 1, 1), (0, 40, 3), (500, 900, 1)]
)
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_closed_form_of_finite_chains(burn_in, num_draws, thinning, slope):
    """`exact_values` sums draw by draw what is summed here node by node."""
    h, length = spectrum(0).astype(np.float64), {"num_draws": num_draws, "burn_in": burn_in}
    sampler = dataclasses.replace(SAMPLER, **length, thinning=thinning)
    expected = exact_values.quadratic_chain(
        h, slope, nbeta=100.0, localization=1.0, step_size=1e-3, thinning=thinning, **length
    )
    direction = quadratic.Slope(h, np.full(len(h), slope**2))
    reference = quadratic.quadratic_llc(h, sampler, 100, direction)
    assert reference.llc == pytest.approx(expected.mean, rel=1e-9)
    assert reference.sem == 0
    assert (reference.slope < 0) == (slope > 0 and num_draws > 1)


@pytest.mark.parametrize("kernel", [slt.MALA, slt.SGNHT])
def test_samplers_without_bias_have_the_posterior_as_reference(kernel):
    sampler = kernel(
        step_size=1e-3, nbeta=100.0, localization=1.0, num_chains=2, num_draws=40001, burn_in=40000
    )
    expected = exact_values.quadratic_posterior(spectrum(0), nbeta=100.0, localization=1.0)
    assert quadratic.quadratic_llc(spectrum(0), sampler, 100).llc == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sampler", [SAMPLER, STRONG_PULL], ids=["landscape", "pull"])
def test_sampled_quadratics_have_the_reference_within_three_errors(seed, sampler):
    estimate, reference = (
        sampled(seed, sampler),
        quadratic.quadratic_llc(spectrum(seed), sampler, 1),
    )
    assert abs(estimate.llc - reference.llc) < 3 * estimate.sem


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sampler", [SAMPLER, STRONG_PULL], ids=["landscape", "pull"])
def test_the_measured_exponent_is_the_closed_forms(seed, sampler):
    measured = sampled(seed, sampler).pull_exponent
    reference = quadratic.quadratic_llc(spectrum(seed), pull.doubled(sampler), 1)
    half = quadratic.quadratic_llc(
        spectrum(seed),
        dataclasses.replace(pull.doubled(sampler), localization=sampler.localization),
        1,
    )
    expected = np.log2(reference.llc / half.llc)
    assert half.pull_exponent == pytest.approx(expected)
    assert abs(measured.value - expected) < 3.5 * measured.sem
    assert measured.sem < 0.1


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_from_traces_is_below_the_exponent(seed):
    """Up to the step's bias: epsilon a = 0.4 takes up to a ninth off a stiff direction's answer."""
    sampler = dataclasses.replace(STRONG_PULL, step_size=3e-4)
    exponent = quadratic.quadratic_llc(spectrum(seed), sampler, 1).pull_exponent
    assert sampled(seed, sampler).pull_exponent.bound <= abs(exponent) / (1 - 1 / 9)


def test_what_the_pull_holds_is_named_and_what_it_does_not_hold_is_not():
    held = dataclasses.replace(SAMPLER, localization=3000.0, step_size=1e-4)
    assert all("held by the pull" in sampled(seed, held).verdict.warnings for seed in range(10))
    assert not any(
        "held by the pull" in sampled(seed, SAMPLER).verdict.warnings for seed in range(20)
    )


def test_traces_alone_name_what_the_pull_holds():
    h = spectrum(3)
    held = dataclasses.replace(SAMPLER, localization=3000.0, step_size=1e-4)
    estimate = slt.estimate_llc(quadratic_loss, jnp.zeros(12), h[None], jax.random.key(0), held)
    assert np.isnan(estimate.pull_exponent.value)
    assert "held by the pull" in estimate.verdict.warnings


def product(w, curvatures):
    """(w_1 w_2)^2, flat to second order at 0."""
    return jnp.square(w[0] * w[1]) * curvatures[0, 0]


def quartic(w, curvatures):
    return jnp.sum(w**4) * curvatures[0, 0]


@pytest.mark.parametrize(
    ("loss", "size", "exact"),
    [
        (quartic, 1, exact_values.powers_posterior([4], nbeta=100.0, localization=1.0)),
        (product, 2, exact_values.crossing_posterior(nbeta=100.0, localization=1.0)),
    ],
)
def test_at_singular_points_the_whole_llc_is_excess(loss, size, exact):
    sampler = dataclasses.replace(SAMPLER, num_chains=64, num_draws=6000, burn_in=1000)
    data, key = np.ones((1, 1), np.float32), jax.random.key(1)
    landscape = slt.measure_landscape(loss, jnp.zeros(size), data, key)
    reference = slt.quadratic_llc(landscape.density, sampler, 1, landscape.slope)
    estimate = slt.estimate_llc(loss, jnp.zeros(size), data, key, sampler)
    assert abs(reference.llc) < 1e-6
    assert estimate.llc - reference.llc == pytest.approx(exact, abs=3 * estimate.sem + 0.02 * exact)


def linear_network_loss(layers, target):
    """|W_2 W_1 - A|^2 / 2."""
    return jnp.sum(jnp.square(layers[1] @ layers[0] - target[0])) / 2


@pytest.mark.long
@pytest.mark.parametrize(("widths", "rank"), [((2, 2, 2), 0), ((3, 2, 3), 1)])
def test_excess_of_a_deep_linear_network(widths, rank):
    """The Hessian sees the r (H_0 + H_2) - r^2 regular directions, and the excess is the rest.

    In coordinates without the regular directions the rest is a network of rank 0 whose widths are r
    less, and that has an exact value; the two differ by terms of order 1 / n beta.
    """
    sampler = dataclasses.replace(
        SAMPLER, nbeta=1000.0, localization=30.0, step_size=1e-4, num_draws=4000, burn_in=1000
    )
    layers = [jnp.asarray(w, jnp.float32) for w in deep_linear.degenerate_point(widths, rank)]
    data = np.asarray(deep_linear.target(widths, rank), np.float32)[None]
    flat, unravel = ravel_pytree(layers)
    dense = jax.hessian(lambda w: linear_network_loss(unravel(w), data))(flat)
    reference = slt.quadratic_llc(np.linalg.eigvalsh(dense), sampler, 1)
    regular = rank * (widths[0] + widths[-1]) - rank**2
    assert reference.llc == pytest.approx(regular / 2, rel=0.06)
    estimate = slt.estimate_llc(linear_network_loss, layers, data, jax.random.key(2), sampler)
    rest = deep_linear.two_layer_posterior(
        [width - rank for width in widths], nbeta=1000.0, localization=30.0
    )
    excess = estimate.llc - reference.llc
    assert excess == pytest.approx(rest, abs=3 * estimate.sem + 0.03 * rest)


def network_loss(params, batch):
    x, y = batch
    return jnp.mean(jnp.square(jnp.tanh(x @ params["in"]) @ params["out"] - y))


def network():
    """A small network off its minimum, with 64 data items."""
    keys = jax.random.split(jax.random.key(5), 3)
    params = {"in": jax.random.normal(keys[0], (3, 4)), "out": jax.random.normal(keys[1], (4,))}
    x = jax.random.normal(keys[2], (64, 3))
    return params, (x, jnp.sin(x[:, 0]) + x[:, 1])


@pytest.mark.long
def test_spectrum_and_slope_of_a_network_are_those_of_its_dense_hessian():
    params, data = network()
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    dense = lambda w: network_loss(unravel(w), data)  # noqa: E731
    h, vectors = np.linalg.eigh(np.asarray(jax.hessian(dense)(flat), np.float64))
    slope = quadratic.Slope(h, np.square(vectors.T @ np.asarray(jax.grad(dense)(flat))))
    exact = quadratic.quadratic_llc(h, SAMPLER, 64, slope)
    landscape = slt.measure_landscape(
        network_loss, params, data, jax.random.key(0), num_probes=400, probe_items=64
    )
    measured = slt.quadratic_llc(landscape.density, SAMPLER, 64, landscape.slope)
    assert measured.slope == pytest.approx(exact.slope, rel=1e-3)
    assert abs(measured.llc - exact.llc) < 3 * measured.sem
    assert measured.largest == pytest.approx(h[-1], rel=1e-3)
    assert measured.unconfined == pytest.approx(exact.unconfined, abs=3)


@pytest.mark.long
def test_the_error_over_probes_has_that_of_their_batches():
    """SD between keys of tr H at 8 items a probe is what one key states."""
    params, data = network()

    def trace(seed):
        density = slt.measure_landscape(
            network_loss, params, data, jax.random.key(seed), num_probes=6, probe_items=8
        ).density
        return density.moment(1)

    values, stated = np.array([trace(seed) for seed in range(40)]).T
    ratio = values.std(ddof=1) / np.sqrt(np.mean(stated**2))
    assert 0.6 < ratio < 1.2  # batches of one key do not overlap, so it may overstate


def test_unconfined_directions_are_counted():
    reference = quadratic.quadratic_llc([-0.5, -0.02, 0.0, 1.0], SAMPLER, 1)
    assert reference.unconfined == 2
    assert (reference.smallest, reference.largest) == (-0.5, 1.0)


@pytest.mark.parametrize(
    ("eigenvalues", "sampler", "message"),
    [
        ([], SAMPLER, "spectrum"),
        ([np.nan, 1.0], SAMPLER, "spectrum"),
        ([1.0], dataclasses.replace(SAMPLER, box=1.0), "box"),
        ([1e6], SAMPLER, "step_size"),
        ([1.0], slt.RMSpropSGLD(step_size=1e-3, nbeta=1.0, localization=1.0, num_chains=2,
                                num_draws=9), "preconditioner"),
    ],
)  # fmt: skip
def test_what_has_no_closed_form_is_refused(eigenvalues, sampler, message):
    with pytest.raises(InputError, match=message):
        quadratic.quadratic_llc(eigenvalues, sampler, 1)


def test_a_landscape_that_is_known_is_not_measured_again(monkeypatch):
    """Off the minimum both ends of the spectrum and the curvature along the slope are needed."""
    sampler = dataclasses.replace(SAMPLER, step_size=2e-4)
    h, key = np.float32([[0.5, 1.0, 4.0]]), jax.random.key(0)
    off = jnp.full(3, 0.3)
    landscape = slt.measure_landscape(quadratic_loss, off, h, key)
    measured = slt.estimate_llc(quadratic_loss, off, h, key, sampler)

    def refuse(*_):
        raise AssertionError("a Hessian product")

    monkeypatch.setattr(lanczos, "run", refuse)
    known = slt.estimate_llc(quadratic_loss, off, h, key, sampler, landscape=landscape)
    assert known.llc == measured.llc < 0
    assert known.stability.step_curvature == pytest.approx(2e-4 * (100 * 4 + 1), rel=1e-4)
    assert known.verdict.state == measured.verdict.state == "off a minimum"
