"""Numbers of single seeds as one curve: errors over seeds where there are some."""

import numpy as np
import pytest

from dynamics.analysis.pairs import single_seed_curve


@pytest.mark.parametrize("num_seeds", [1, 2, 5])
def test_errors_are_over_seeds_where_there_are_some(num_seeds):
    values = np.random.default_rng(1).normal(size=(2, num_seeds))
    curve = single_seed_curve("toy", [4, 8], values.tolist(), [0.5, 0.7])
    over_seeds = values.std(axis=1, ddof=1) / np.sqrt(num_seeds) if num_seeds > 1 else [0.5, 0.7]
    np.testing.assert_allclose(curve.value, values.mean(1))
    np.testing.assert_allclose(curve.sem, over_seeds)
    assert (f"over {num_seeds} seeds" in curve.rests_on) == (num_seeds > 1)


def test_a_single_seed_without_an_error_of_its_own_has_no_bar():
    curve = single_seed_curve("toy", [4, 8], [[1.0], [2.0]], [np.nan, np.nan])
    assert not curve.has_errors
    assert curve.rests_on == ""


def test_a_curve_has_errors_of_one_kind():
    """Over seeds where any step has two; a step of one seed then has none, whatever it knows."""
    curve = single_seed_curve("toy", [4, 8], [[1.0, 2.0], [1.0, 2.0, 3.0]], [0.5, 0.5])
    np.testing.assert_allclose(curve.sem, [np.sqrt(0.5) / np.sqrt(2), 1 / np.sqrt(3)])
    assert "2 to 3 seeds" in curve.rests_on
    mixed = single_seed_curve("toy", [4, 8], [[1.0, 2.0], [5.0]], [0.5, 0.25])
    np.testing.assert_allclose(mixed.sem, [0.5, np.nan])
    assert "up to 2 seeds, none where there is one seed" in mixed.rests_on
