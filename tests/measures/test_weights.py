"""Histograms against NumPy's and closed forms; the gauge freedom of the unembedding.

Axes: N values, D width, V vocabulary.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import weights
from dynamics.measures.weights import histogram
from dynamics.models import bert, gpt_neox, unembed_fn

CONFIG = gpt_neox.Config(
    hidden_size=16,
    num_layers=3,
    num_heads=2,
    intermediate_size=32,
    vocab_size=101,
    max_positions=16,
)
NAMES = {
    "unembed",
    "unembed_centred",
    "embed",
    "attention_qkv",
    "attention_out",
    "mlp_up",
    "mlp_down",
}


def normal(size, sd: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, size).astype(np.float32)


def same(a: weights.Density, b: weights.Density, **tolerance):
    for name in ("counts", "below", "above"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_allclose(a[3:], b[3:], **tolerance)


@pytest.fixture(scope="module")
def params():
    return jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(0), CONFIG)


@settings(max_examples=16, deadline=None)
@given(
    half_width=st.floats(1e-6, 1e4),
    num_bins=st.integers(1, 1500),
    size=st.sampled_from([1, 999, 20_000]),
    seed=st.integers(0, 2**31),
)
def test_counts_are_numpys(half_width, num_bins, size, seed):
    grid = weights.edges(half_width, num_bins)
    # The edges and their float neighbours are where arithmetic alone goes wrong.
    near = np.concatenate(
        [grid, np.nextafter(grid, np.float32(-np.inf)), np.nextafter(grid, np.float32(np.inf))]
    )
    near = near[(near == 0) | (np.abs(near) > 1e-37)]
    values = np.concatenate([normal(size, half_width / 2, seed), near])
    histogram = weights.density(values, grid, chunk=4096)
    np.testing.assert_array_equal(histogram.counts, np.histogram(values, grid)[0])
    assert int(histogram.counts.sum()) + int(histogram.below) + int(histogram.above) == values.size
    assert (int(histogram.below), int(histogram.above)) == (
        (values < grid[0]).sum(),
        (values > grid[-1]).sum(),
    )


def test_last_edge_is_closed_and_the_others_are_not():
    histogram = weights.density(np.array([-1, -0.5, 0, 0.5, 1], np.float32), weights.edges(1.0, 4))
    np.testing.assert_array_equal(histogram.counts, [1, 1, 1, 2])
    assert (int(histogram.below), int(histogram.above)) == (0, 0)


def test_normal_weights_fill_bins_by_their_probability():
    size, sd = 400_000, 0.07
    grid = weights.edges(0.3, 64)
    histogram = weights.density(normal(size, sd), grid)
    p = np.diff(ndtr(grid.astype(np.float64) / sd))
    assert (np.abs(histogram.counts - size * p) < 4 * np.sqrt(size * p * (1 - p))).all()
    assert abs(histogram.mean) < 4 * sd / size**0.5
    assert abs(histogram.sd / sd - 1) < 4 / (2 * size) ** 0.5
    assert abs(histogram.excess_kurtosis) < 4 * (24 / size) ** 0.5


def test_uniform_weights_have_kurtosis_minus_six_fifths():
    size = 300_000
    values = np.random.default_rng(1).uniform(-1, 1, size).astype(np.float32)
    histogram = weights.density(values, weights.edges(1.5, 10))
    # Delta method: the moments of a uniform on (-1, 1), EX^2n = 1/(2n+1), give var(kurtosis) =
    # 0.366 / N.
    second, fourth, sixth, eighth = 1 / 3, 1 / 5, 1 / 7, 1 / 9
    gradient = np.array([1 / second**2, -2 * fourth / second**3])
    covariance = np.array(
        [
            [eighth - fourth**2, sixth - second * fourth],
            [sixth - second * fourth, fourth - second**2],
        ]
    )
    standard_error = np.sqrt(gradient @ covariance @ gradient / size)
    assert abs(float(histogram.excess_kurtosis) + 1.2) < 4 * standard_error


@pytest.mark.parametrize("chunk", [1, 7, 1000, 4096, 10**9])
def test_chunked_is_whole(chunk):
    values, grid = normal(5000, 0.1) + np.float32(0.05), weights.edges(0.2, 33)
    same(
        weights.density(values, grid, chunk=chunk),
        weights.density(values, grid, chunk=5000),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
def test_moments_keep_their_digits_at_any_scale(scale):
    values = (normal(200_000, 1.0) + np.float32(3)) * np.float32(scale)
    exact = values.astype(np.float64)
    off = exact - exact.mean()
    histogram = weights.density(values, weights.edges(4 * scale, 100))
    assert float(histogram.mean) == pytest.approx(exact.mean(), rel=1e-6)
    assert float(histogram.sd) == pytest.approx(exact.std(), rel=1e-5)
    assert float(histogram.excess_kurtosis) == pytest.approx(
        (off**4).mean() / exact.var() ** 2 - 3, abs=1e-4
    )


@pytest.mark.long
def test_every_matrix_is_counted_whole(params):
    densities = weights.model_density(CONFIG)(params)
    tensors = weights.matrices(CONFIG, params)
    assert densities.keys() == tensors.keys() == NAMES
    grid = weights.edges(weights.default_half_width(CONFIG), 512)
    for name, tensor in tensors.items():
        assert (
            int(densities[name].counts.sum() + densities[name].below + densities[name].above)
            == tensor.size
        )
        same(densities[name], weights.density(tensor, grid), rtol=1e-5, atol=1e-5)
        assert int(densities[name].below + densities[name].above) == 0


def test_initial_spreads_are_the_initialisers(params):
    densities, width = weights.model_density(CONFIG)(params), CONFIG.hidden_size
    for name in ("embed", "unembed", "attention_qkv", "mlp_up"):
        size = weights.matrices(CONFIG, params)[name].size
        assert float(densities[name].sd) == pytest.approx(
            (2 / (5 * width)) ** 0.5, rel=4 / (2 * size) ** 0.5
        )
    for name in ("attention_out", "mlp_down"):
        size = weights.matrices(CONFIG, params)[name].size
        assert float(densities[name].sd) == pytest.approx(
            2 / (3 * width**0.5), rel=4 / (2 * size) ** 0.5
        )


def test_only_the_centred_density_ignores_a_drift_that_no_softmax_sees(params):
    # Multiples of 2^-10, so that the addition is exact and the densities can be compared bin by
    # bin.
    rounded = jnp.round(params["unembed"]["kernel"] * 1024) / 1024
    drift = jnp.round(jax.random.normal(jax.random.key(1), (CONFIG.hidden_size, 1)) * 256) / 1024
    before, after = ({**params, "unembed": {"kernel": k}} for k in (rounded, rounded + drift))
    h, unembed = jax.random.normal(jax.random.key(2), (5, CONFIG.hidden_size)), unembed_fn(CONFIG)
    np.testing.assert_allclose(
        jax.nn.log_softmax(unembed(before, h)),
        jax.nn.log_softmax(unembed(after, h)),
        rtol=1e-4,
        atol=1e-5,
    )
    measure = weights.model_density(CONFIG)
    original, drifted = measure(before), measure(after)
    moved = int(
        jnp.abs(original["unembed_centred"].counts - drifted["unembed_centred"].counts).sum()
    )
    assert moved <= 0.005 * rounded.size  # values within rounding of an edge
    np.testing.assert_allclose(
        original["unembed_centred"][3:], drifted["unembed_centred"][3:], atol=1e-5
    )
    assert float(drifted["unembed"].sd) > 1.2 * float(original["unembed"].sd)


def test_one_program_serves_every_checkpoint(params):
    measure = weights.model_density(CONFIG, num_bins=37)
    assert weights.model_density(CONFIG, num_bins=37) is measure
    with jax.log_compiles(False), jax.check_tracer_leaks(False):
        measure(params)
        before = histogram._density._cache_size()
        for scale in (0.5, 2.0):
            measure(jax.tree.map(lambda p, s=scale: np.asarray(p) * np.float32(s), params))
        assert histogram._density._cache_size() == before


def test_density_is_a_function_of_arrays_under_jit_and_vmap():
    values, grid = normal((3, 500), 0.1), weights.edges(0.3, 20)
    stacked = jax.jit(jax.vmap(lambda x: weights.density(x, grid)))(values)
    for index in range(3):
        alone = weights.density(values[index], grid)
        same(jax.tree.map(lambda x, i=index: x[i], stacked), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_weights_are_refused_by_name(params, bad):
    with pytest.raises(InputError, match="non-finite"):
        weights.density(np.array([0.0, bad, 1.0], np.float32), weights.edges(1.0, 4))
    broken = jax.tree.map(lambda p: p, params)
    broken["layers"]["mlp"]["up"]["kernel"] = (
        broken["layers"]["mlp"]["up"]["kernel"].at[0, 0, 0].set(bad)
    )
    with pytest.raises(InputError, match="mlp_up"):
        weights.model_density(CONFIG)(broken)


def test_bad_edges_sizes_and_configs_are_refused(params):
    with pytest.raises(InputError, match="evenly"):
        weights.density(np.ones(3, np.float32), np.array([0, 1, 10], np.float32))
    with pytest.raises(InputError, match="0 values"):
        weights.density(np.ones(0, np.float32), weights.edges(1.0, 4))
    for half_width, num_bins in ((0.0, 4), (-1.0, 4), (float("nan"), 4), (1.0, 0)):
        with pytest.raises(InputError, match="positive"):
            weights.edges(half_width, num_bins)
    with pytest.raises(AssertionError, match="type"):
        weights.density(np.ones(3, np.int32), weights.edges(1.0, 4))
    with pytest.raises(AssertionError, match="rank"):
        weights.density(np.ones(3, np.float32), weights.edges(1.0, 4)[None])
    with pytest.raises(InputError, match="gpt_neox"):
        weights.matrices(object(), params)


def test_matrices_of_a_bert_are_those_of_its_heads_and_its_tied_embedding():
    config = bert.Config(
        hidden_size=14,
        num_layers=3,
        num_heads=2,
        intermediate_size=5,
        vocab_size=11,
        initializer_range=0.1,
    )
    params = jax.jit(models.init, static_argnums=1)(jax.random.key(0), config)
    matrices = weights.matrices(config, params)
    np.testing.assert_array_equal(matrices["unembed"], params["embed"]["token"]["embedding"].T)
    assert matrices["attention_qkv"].shape == (3, 14, 2, 3, 7)
    for k, name in enumerate(("query", "key", "value")):
        np.testing.assert_array_equal(
            matrices["attention_qkv"][:, :, :, k], params["layers"]["attention"][name]["kernel"]
        )
    densities = weights.model_density(config, num_bins=16)(params)
    for name, density in densities.items():
        assert int(density.below + density.above) == 0, name
        assert int(density.counts.sum()) == matrices[name].size
