"""Variance components of crossed runs: identities, planted components, refusals.

Axes: R runs, I rows, J columns, D dimensions.
"""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from dynamics.analysis.crossed import components
from dynamics.errors import InputError

PLANTED = {"row": 0.5, "column": 0.3, "interaction": 0.2}
SUMS = {"same_row": 0.5, "same_column": 0.7, "neither": 1.0}


def grid(num_rows: int, num_columns: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.divmod(np.arange(num_rows * num_columns), num_columns)
    return rows, columns


def half_squares(x: np.ndarray) -> np.ndarray:
    """Places [R, D] -> half the squared distance of every two, [R, R]."""
    gram = x @ x.T
    return (np.diag(gram)[:, None] + np.diag(gram)) / 2 - gram


def planted(rng: np.random.Generator, num_rows: int, num_columns: int, spectrum: np.ndarray):
    """Divergences of runs whose effects have the planted variances, summed over dimensions."""
    scale = np.sqrt(spectrum / spectrum.sum())

    def effect(name: str, *shape: int) -> np.ndarray:
        return np.sqrt(PLANTED[name]) * scale * rng.standard_normal((*shape, len(scale)))

    x = (
        effect("row", num_rows, 1)
        + effect("column", 1, num_columns)
        + effect("interaction", num_rows, num_columns)
    )
    return half_squares(x.reshape(num_rows * num_columns, -1))


@pytest.mark.parametrize(
    ("num_rows", "num_columns", "spectrum"),
    [
        pytest.param(3, 3, np.ones(40), id="3 x 3"),
        pytest.param(4, 4, np.ones(8), id="4 x 4"),
        pytest.param(5, 3, 1 / np.arange(1, 31), id="5 x 3, uneven spectrum"),
    ],
)
def test_intervals_cover_the_planted_components(num_rows, num_columns, spectrum):
    rng, runs = np.random.default_rng(0), 500
    rows, columns = grid(num_rows, num_columns)
    estimates = [
        components(planted(rng, num_rows, num_columns, spectrum), rows, columns)
        for _ in range(runs)
    ]
    for name, truth in {**PLANTED, **SUMS}.items():
        intervals = [getattr(each, name) for each in estimates]
        covered = np.mean([i.low <= truth <= i.high for i in intervals])
        means = np.array([i.mean for i in intervals])
        assert abs(means.mean() - truth) < 4 * means.std() / np.sqrt(runs), name
        if name in PLANTED:
            assert 0.92 <= covered <= 0.98, (name, covered)
        else:
            assert covered >= 0.92, (name, covered)


def test_components_are_differences_of_the_mean_divergences_of_pairs():
    # An identity of any divergence: also of those that are no squared distance.
    rng = np.random.default_rng(1)
    rows, columns = grid(3, 4)
    shuffled = rng.permutation(12)
    rows, columns, kl = rows[shuffled], columns[shuffled], rng.random((12, 12))
    parts = components(kl, rows, columns)
    row, column = rows[:, None] == rows, columns[:, None] == columns
    same_row, same_column, neither = (
        kl[mask].mean() for mask in (row & ~column, column & ~row, ~row & ~column)
    )
    expected = {
        "same_row": same_row,
        "same_column": same_column,
        "neither": neither,
        "row": neither - same_row,
        "column": neither - same_column,
        "interaction": same_row + same_column - neither,
    }
    for name, mean in expected.items():
        np.testing.assert_allclose(getattr(parts, name).mean, mean, rtol=1e-12, atol=1e-14)


def test_one_mean_square_alone_has_the_limits_of_chi_square():
    # One dimension has n degrees of freedom.
    rows, columns = grid(20, 20)
    x = np.random.default_rng(2).standard_normal((400, 1))
    interval = components(half_squares(x), rows, columns).interaction
    df = 19 * 19
    exact = [df * interval.mean / stats.chi2.ppf(at, df) for at in (0.975, 0.025)]
    np.testing.assert_allclose([interval.low, interval.high], exact, rtol=3e-3)
    assert interval.sem == pytest.approx(interval.mean * np.sqrt(2 / df), rel=4e-3)


def test_causes_without_an_effect_have_none_and_no_error():
    rows, columns = grid(3, 3)
    start = np.random.default_rng(3).normal(size=(3, 50))[rows]  # as at step 0: no data seen yet
    parts = components(half_squares(start), rows, columns)
    assert parts.row.low > 0
    for name in ("column", "interaction", "same_row"):
        interval = dataclasses.astuple(getattr(parts, name))[:4]
        np.testing.assert_allclose(interval, 0, atol=1e-9)
    nothing = components(np.zeros((9, 9)), rows, columns).row
    assert (nothing.low, nothing.mean, nothing.high, nothing.sem) == (0, 0, 0, 0)


ROWS, COLUMNS = grid(3, 3)


@pytest.mark.parametrize(
    ("kl", "rows", "columns", "reason"),
    [
        (np.ones((8, 8)), ROWS[:8], COLUMNS[:8], "8 of the places of a 3 x 3 grid"),
        (np.ones((9, 9)), ROWS, ROWS, "3 of the places"),
        (np.ones((8, 8)), *grid(2, 4), "3 levels or more"),
        (np.ones((9, 8)), ROWS, COLUMNS, "divergences"),
        (np.full((9, 9), np.nan), ROWS, COLUMNS, "not finite"),
    ],
)
def test_what_is_no_grid_is_refused(kl, rows, columns, reason):
    with pytest.raises(InputError, match=reason):
        components(kl, rows, columns)
