"""A correlation that the loss makes goes with it; a planted one stays."""

import numpy as np
import pytest

from dynamics.analysis.partial import partial_correlation
from dynamics.errors import InputError


def curves(seed: int) -> np.ndarray:
    """[3,40] random walks."""
    return np.random.default_rng(seed).standard_normal((3, 40)).cumsum(1)


def test_what_the_third_curve_makes_is_taken_off_and_a_planted_link_stays():
    loss, own, other = curves(0)
    by_loss = partial_correlation(5 * loss + 0.1 * own, -3 * loss + 0.1 * other, [loss])
    assert by_loss.raw < -0.99
    assert abs(by_loss.value) < 0.7
    planted = partial_correlation(5 * loss + own, -3 * loss + own + 0.01 * other, [loss])
    assert planted.value > 0.99
    assert planted.changes > 0.9
    assert planted.chance < 0.02  # one of 78 shifts


def test_it_is_the_closed_form_of_three_correlations():
    loss, first, second = curves(1)
    a, b, c = np.corrcoef([first, second, loss])[[0, 0, 1], [1, 2, 2]]
    expected = (a - b * c) / np.sqrt((1 - b**2) * (1 - c**2))
    assert partial_correlation(first, second, [loss]).value == pytest.approx(expected)


def test_chance_is_not_said_to_be_a_link():
    """Of independent walks given a third, few are beyond chance at 0.05."""
    found = [partial_correlation(a, b, [loss]) for loss, a, b in map(curves, range(30))]
    assert np.mean([one.chance < 0.05 for one in found]) <= 0.15


def test_nothing_left_is_nan_and_bad_curves_are_refused():
    loss, own, _ = curves(2)
    assert np.isnan(partial_correlation(2 * loss, own, [loss]).value)
    with pytest.raises(InputError, match="K of C"):
        partial_correlation(loss[:4], own[:4], [loss[:4]])
    with pytest.raises(InputError, match="not finite"):
        partial_correlation(loss, own, [np.full(40, np.nan)])
