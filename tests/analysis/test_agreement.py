"""Rank correlation, and how far errors leave it."""

import numpy as np
import pytest

from dynamics.analysis.agreement import rank_correlation
from dynamics.errors import InputError


def test_is_one_for_any_increasing_function_without_error():
    x = np.array([3.0, 1.0, 4.0, 1.5, 5.0])
    correlation = rank_correlation(x, np.exp(x))
    assert (correlation.rho, correlation.low, correlation.high) == pytest.approx((1, 1, 1))
    assert rank_correlation(x, -x).rho == pytest.approx(-1)


@pytest.mark.long
@pytest.mark.parametrize("shared", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_limits_hold_the_correlation_without_errors(shared, noise):
    rng, inside = np.random.default_rng(0), 0
    for trial in range(300):
        first = rng.normal(size=12)
        second = shared * first + (1 - shared**2) ** 0.5 * rng.normal(size=12)
        noisy = [curve + noise * rng.normal(size=12) for curve in (first, second)]
        correlation = rank_correlation(*noisy, noise, noise, seed=trial, num_resamples=200)
        inside += correlation.low <= rank_correlation(first, second).rho <= correlation.high
    assert inside / 300 >= 0.9


def test_large_errors_leave_nothing():
    correlation = rank_correlation(np.arange(10.0), np.arange(10.0), 100.0, 100.0)
    assert correlation.low < -0.4
    assert correlation.high > 0.4


@pytest.mark.parametrize(
    "curves",
    [([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0, np.nan], [1.0, 2.0, 3.0]), ([1.0, 2, 3], [1.0])],
)
def test_bad_curves(curves):
    with pytest.raises(InputError, match="three checkpoints"):
        rank_correlation(*curves)


def test_a_flat_curve_has_no_rank():
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0)).rho)


def walk(rng):
    return np.cumsum(rng.normal(size=30))


def trend(rng):
    return np.arange(30) * rng.normal() + rng.normal(size=30)


@pytest.mark.parametrize("curve", [walk, trend])
def test_independent_walks_and_trends_have_nothing_in_common(curve):
    """Their values correlate, their changes do not."""
    rng = np.random.default_rng(0)
    pairs = [
        rank_correlation(curve(rng), curve(rng), seed=trial, num_resamples=200)
        for trial in range(200)
    ]
    assert np.mean([abs(pair.rho) > 0.36 for pair in pairs]) > 0.5  # 0.36: of independent draws
    assert np.mean([pair.chance < 0.05 for pair in pairs]) <= 0.07


def test_changes_that_are_shared_are_seen():
    rng = np.random.default_rng(0)
    common = walk(rng)
    curves = [common + 0.3 * walk(rng) for _ in range(2)]
    correlation = rank_correlation(*curves)
    assert correlation.chance < 0.05
    assert correlation.changes > correlation.null_high


def test_few_checkpoints_cannot_tell():
    assert rank_correlation([1.0, 2, 4, 3, 5], [1.0, 2, 4, 3, 5]).chance > 0.05
