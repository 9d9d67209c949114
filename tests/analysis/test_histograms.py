"""Histograms of several grids: nothing is lost, and distances are those of the values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from dynamics.analysis.histograms import Histogram, distance, rebinned, shared_edges


def of(values: np.ndarray, exponent: int) -> Histogram:
    width = 2.0**exponent
    edges = np.arange(np.floor(values.min() / width), np.floor(values.max() / width) + 2) * width
    return Histogram(edges, np.histogram(values, edges)[0])


@settings(max_examples=40, deadline=None)
@given(
    exponents=st.lists(st.integers(-6, 3), min_size=1, max_size=4),
    most=st.integers(8, 200),
    seed=st.integers(0, 999),
)
def test_a_shared_grid_holds_every_value(exponents, most, seed):
    rng = np.random.default_rng(seed)
    histograms = [of(rng.normal(rng.normal(), 2, 300), exponent) for exponent in exponents]
    edges = shared_edges(histograms, most)
    assert len(edges) - 1 <= max(most, 8) + 1
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0])
    for histogram in histograms:
        assert rebinned(histogram, edges).sum() == pytest.approx(300)


def test_grids_of_powers_of_two_merge_without_a_rest():
    values = np.random.default_rng(0).normal(size=1000)
    fine, coarse = of(values, -5), of(values, -2)
    edges = shared_edges([fine, coarse], 16)
    np.testing.assert_array_equal(rebinned(fine, edges), rebinned(coarse, edges))


def test_a_distance_is_how_far_values_move():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=20_000), rng.normal(0.4, 1.5, 20_000)
    exact = wasserstein_distance(first, second)
    assert distance(of(first, -7), of(second, -8)) == pytest.approx(exact, rel=0.01)
    shifted = Histogram(of(first, -4).edges + 3.0, of(first, -4).counts)
    assert distance(of(first, -4), shifted) == pytest.approx(3.0, rel=1e-12)
    assert distance(of(first, -4), of(first, -4)) == 0


def test_an_empty_histogram_has_no_extent_and_no_distance():
    empty, other = Histogram(np.arange(3.0), np.zeros(2)), Histogram(np.arange(3.0), np.ones(2))
    assert empty.extent() is None
    assert np.isnan(distance(empty, other))
    assert shared_edges([empty], 16)[0] == -1
