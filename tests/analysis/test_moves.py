"""Moves of a boundary: the limits cover, and what they allow is said."""

import numpy as np
import pytest

from dynamics.analysis.moves import move
from dynamics.analysis.phases import Estimate


def test_limits_cover_the_true_move():
    rng, errors, places = np.random.default_rng(0), (0.1, 0.3), (3.0, 3.7)
    covered = []
    for _ in range(2000):
        estimates = []
        for place, error in zip(places, errors, strict=True):
            at, half = place + error * rng.normal(), 1.96 * error
            estimates.append(Estimate(*np.expm1([at, at - half, at + half])))
        shift = move(estimates[0], estimates[1], 1.0).shift
        covered.append(shift.low <= 0.7 <= shift.high)
    assert 0.935 <= np.mean(covered) <= 0.965


def test_a_boundary_without_error_has_the_limits_of_the_other():
    shift = move(Estimate(0, 0, 0), Estimate(7, 3, 31), 1.0).shift
    np.testing.assert_allclose(shift, np.log([8, 4, 32]))


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (Estimate(15, 12, 19), "stays"),
        (Estimate(63, 50, 80), "goes along"),
        (Estimate(31, 28, 35), "neither"),
        (Estimate(31, 8, 120), "not told apart"),
        (Estimate(31, np.nan, np.nan), "not told apart"),
        (Estimate(300, 280, 320), "neither"),
    ],
)
def test_what_the_interval_allows_is_said(second, verdict):
    assert move(Estimate(15, 14, 16), second, np.log(4)).verdict == verdict
