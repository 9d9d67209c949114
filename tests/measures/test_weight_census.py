"""The census of one tensor against NumPy, closed forms and what changes nothing.

Axes: N values, V rows, D columns.
"""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from dynamics.errors import InputError
from dynamics.measures.weights import NEAR_ZERO, census, common_vector, modes, patterns
from dynamics.measures.weights.bins import Bins, choose

TYPES = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
MANY = 1 << 21  # 16-bit numbers from which patterns are counted


def normal(size, sd: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, size)


def mixture(size: int, apart: float, seed: int = 0) -> np.ndarray:
    """Two normals of one size and width 1, `apart` from mode to mode."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=size) + np.where(rng.random(size) < 0.5, -apart, apart) / 2


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_every_pattern_is_counted(dtype):
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    tensor = np.repeat(every, 3)
    counts = patterns.count(tensor, num_blocks=4)
    assert counts.shape == (4, 1 << 16)
    np.testing.assert_array_equal(counts.sum(0), 3)
    with np.errstate(invalid="ignore"):
        numbers = every.astype(np.float64)
    finite = np.isfinite(numbers)
    values, pattern = patterns.patterns(dtype)
    np.testing.assert_array_equal(values, np.sort(numbers[finite]))
    np.testing.assert_array_equal(numbers[pattern], values)


@settings(max_examples=25, deadline=None)
@given(
    scale=st.floats(1e-4, 100),
    shift=st.floats(-3, 3),
    num_bins=st.integers(2, 300),
    size=st.sampled_from([1, 7, 3000]),
    dtype=st.sampled_from(TYPES),
    seed=st.integers(0, 2**31),
)
def test_counts_are_numpys(scale, shift, num_bins, size, dtype, seed):
    tensor = (normal(size, scale, seed) + shift * scale).astype(dtype)
    c = census(tensor, num_bins)
    values = tensor.astype(np.float64)
    inside = values[values < c.bins.edges[-1]]  # NumPy's last bin is closed
    np.testing.assert_array_equal(c.counts, np.histogram(inside, c.bins.edges)[0])
    assert c.below == (values < c.bins.edges[0]).sum()
    assert c.above == (values >= c.bins.edges[-1]).sum()
    assert c.mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-15 * scale)
    assert c.sd == pytest.approx(values.std(), rel=1e-9, abs=1e-12 * scale)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_counting_patterns_says_what_looking_at_every_weight_says(dtype):
    tensor = normal(MANY, 0.03).astype(dtype)
    tensor[:5] = 0, -0.0, np.nan, np.inf, 3.0
    by_pattern, one_by_one = census(tensor), census(tensor.astype(np.float64))
    assert by_pattern.bins == one_by_one.bins
    np.testing.assert_array_equal(by_pattern.counts, one_by_one.counts)
    for name in ("below", "above", "not_finite", "largest", "zeros", "near_zero"):
        assert getattr(by_pattern, name) == getattr(one_by_one, name), name
    assert by_pattern.not_finite == 2
    for name in ("mean", "sd", "skewness", "excess_kurtosis", "norm", "mean_size"):
        assert getattr(by_pattern, name) == pytest.approx(getattr(one_by_one, name), rel=1e-9), name
    off = normal(MANY, 0.03).astype(dtype)
    assert census(off).modes[:3] == pytest.approx(census(off.astype(float)).modes[:3], nan_ok=True)


@pytest.mark.parametrize("exponent", [-20, -3, 12])
def test_scaling_by_a_power_of_two_moves_the_bins_alone(exponent):
    tensor = normal(4000)
    c, scaled = census(tensor), census(np.ldexp(tensor, exponent))
    assert scaled.bins == Bins(c.bins.exponent + exponent, c.bins.first, c.bins.count)
    np.testing.assert_array_equal(scaled.counts, c.counts)
    for name in ("skewness", "excess_kurtosis", "near_zero", "zeros"):
        assert getattr(scaled, name) == getattr(c, name)
    assert scaled.norm == np.ldexp(c.norm, exponent)


def test_bins_of_twice_the_width_are_two_whole_bins():
    tensor = normal(5000)
    fine = Bins(-6, -512, 1024)
    coarse = Bins(-5, -256, 512)
    counts = [np.bincount(b.slots(tensor), minlength=b.count + 2)[1:-1] for b in (fine, coarse)]
    np.testing.assert_array_equal(counts[0].reshape(-1, 2).sum(1), counts[1])


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(0, 1e4), st.integers(2, 999))
def test_bins_hold_what_they_are_chosen_for(low, extent, count):
    high = low + extent
    bins = choose(low, high, (low + high) / 2, extent / 4, count)
    assert bins.edges[0] <= low
    assert high < bins.edges[-1]
    assert bins.width <= 4 * max(extent / count, 2**-7 * max(abs(low), abs(high)), 2**-24)


@pytest.mark.parametrize("size", [5000, MANY])
def test_bins_may_be_given_and_change_no_moment(size):
    tensor = normal(size).astype(np.float16)
    chosen_bins, bins = census(tensor), Bins(-2, -4, 8)
    c = census(tensor, bins)
    assert c.bins == bins
    assert (c.below, c.above) == ((tensor < -1).sum(), (tensor >= 1).sum())
    assert c.counts.sum() + c.below + c.above == size
    assert (c.sd, c.excess_kurtosis) == (chosen_bins.sd, chosen_bins.excess_kurtosis)


def test_a_normal_has_its_moments_and_shares():
    size, sd = 400_000, 0.07
    c = census(normal(size, sd).astype(np.float32))
    assert abs(c.mean) < 4 * sd / size**0.5
    assert abs(c.sd / sd - 1) < 4 / (2 * size) ** 0.5
    assert abs(c.skewness) < 4 * (6 / size) ** 0.5
    assert abs(c.excess_kurtosis) < 4 * (24 / size) ** 0.5
    assert c.norm == pytest.approx(sd * size**0.5, rel=0.01)
    assert c.mean_size == pytest.approx(sd * (2 / np.pi) ** 0.5, rel=0.01)
    near = 2 * norm.cdf(NEAR_ZERO) - 1
    assert abs(c.near_zero - near) < 4 * (near / size) ** 0.5
    assert c.zeros == 0
    assert c.modes.depth == 0


def test_a_vector_that_all_rows_share_does_not_move_the_centred_census():
    """Sixteenths, so that adding is exact."""
    tensor = np.round(normal((600, 32)) * 16) / 16
    drift = np.round(normal(32, 5.0, seed=1) * 16) / 16
    before, after = (
        census(t.astype(np.float16), less=common_vector(t.astype(np.float16)))
        for t in (tensor, tensor + drift)
    )
    assert before.bins == after.bins
    np.testing.assert_array_equal(before.counts, after.counts)
    assert before.sd == pytest.approx(after.sd, rel=1e-12)
    raw = census((tensor + drift).astype(np.float16))
    common = np.mean(common_vector(tensor + drift) ** 2)  # Pythagoras
    assert raw.mean**2 + raw.sd**2 == pytest.approx(after.mean**2 + after.sd**2 + common, rel=1e-9)


@pytest.mark.parametrize("apart", [2.5, 3.0, 4.0])
def test_two_modes_are_where_two_smoothed_normals_have_them(apart):
    m = census(mixture(400_000, apart), 512).modes
    width = (1 + (modes.BANDWIDTH**2) * (1 + apart**2 / 4)) ** 0.5
    x = np.linspace(-apart, apart, 20_001)
    density = norm.pdf(x, -apart / 2, width) + norm.pdf(x, apart / 2, width)
    depth = 1 - density[10_000] / density.max()
    assert m.high == pytest.approx(abs(x[density.argmax()]), abs=0.06)
    assert m.half_distance == pytest.approx(m.high, abs=0.05)
    assert abs(m.depth - depth) < 4 * m.depth_sem + 0.005
    assert m.asymmetry < 4 * m.asymmetry_sem


@pytest.mark.parametrize(
    "tensor",
    [
        normal(100_000),
        normal(100_000) + 3,  # one mode away from zero
        mixture(100_000, 1.8),  # one mode: nearer than two standard deviations
        np.random.default_rng(0).standard_t(3, 100_000),
        np.random.default_rng(0).laplace(size=100_000),
    ],
    ids=["normal", "shifted", "near mixture", "heavy tails", "Laplace"],
)
def test_one_mode_has_no_valley(tensor):
    m = census(tensor).modes
    assert m.depth <= max(0.01, 3 * np.nan_to_num(m.depth_sem))


def test_errors_of_the_valley_are_the_scatter_of_fresh_draws():
    drawn = [census(mixture(40_000, 3.0, seed)).modes for seed in range(40)]
    depths = np.array([m.depth for m in drawn])
    errors = np.array([m.depth_sem for m in drawn])
    assert 0.6 < errors.mean() / depths.std(ddof=1) < 1.6


def test_two_modes_of_different_places_are_asymmetric():
    rng = np.random.default_rng(0)
    side = rng.random(100_000) < 0.5
    m = census(rng.normal(size=100_000) * 0.3 + np.where(side, -1.0, 3.0)).modes
    assert (m.low, m.high) == pytest.approx((-1, 3), abs=0.1)
    assert m.asymmetry == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [1, 50, MANY])
def test_tensors_without_a_spread(dtype, size):
    zero, equal = census(np.zeros(size, dtype)), census(np.full(size, 0.3, dtype))
    value = float(np.asarray(0.3, dtype))
    assert (zero.sd, zero.zeros, zero.near_zero, zero.largest) == (0, 1, 1, 0)
    assert (equal.sd, equal.mean, equal.zeros, equal.near_zero) == (0, value, 0, 0)
    for c in (zero, equal):
        assert c.counts.sum() == size == c.counts.max()
        assert np.isnan(c.excess_kurtosis)
        assert np.isnan(c.modes).all()
    for value in (np.nan, np.inf):
        nothing = census(np.full(size, value, dtype))
        assert nothing.not_finite == size
        assert nothing.counts.sum() == 0
        assert np.isnan([nothing.mean, nothing.sd, nothing.norm, nothing.near_zero]).all()


def test_integers_and_nothing_are_refused():
    for tensor in (np.ones(3, np.int8), np.ones(3, bool), np.ones(0, np.float16)):
        with pytest.raises(InputError, match="floating-point"):
            census(tensor)
    with pytest.raises(InputError, match="1 bins"):
        census(np.ones(3), 1)


@pytest.mark.parametrize("size", [1 << 20, MANY, 1 << 23])
def test_memory_stays_below_three_times_the_stored_bytes(size):
    tensor = normal(size // 8).astype(np.float16).repeat(8)
    census(tensor[:10])
    patterns.patterns(tensor.dtype)  # once in a process
    tracemalloc.start()
    census(tensor)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * tensor.nbytes
