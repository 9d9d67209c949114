"""Corrections for picking are those of the distributions that they name."""

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from dynamics.analysis.selection import one_of_many, picked_extreme
from dynamics.errors import InputError

CORRECTIONS = [picked_extreme, one_of_many]


@pytest.mark.parametrize("correct", CORRECTIONS)
@pytest.mark.parametrize("df", [1.0, 2.0, 7.5, 100.0])
def test_nothing_picked_is_students_t(correct, df):
    for ratio in (0.5, 2.0, 6.0, 20.0):
        expected = min(ratio, norm.isf(student.sf(ratio, df)))
        assert correct(ratio, df, 1) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_more_steps_and_fewer_degrees_of_freedom_leave_less(correct):
    by_count = [correct(5.0, 12.0, count) for count in (1, 10, 100)]
    by_df = [correct(5.0, df, 10) for df in (2.0, 10.0, np.inf)]
    assert by_count == sorted(by_count, reverse=True)
    assert by_df == sorted(by_df)
    assert correct(5.0, np.inf, 1) == pytest.approx(5, rel=0.01)
    assert correct(0.0, 5.0, 10) == 0
    assert np.isnan(correct(np.nan, 5.0, 10))


def test_the_picked_extreme_is_the_studentised_maximum():
    """Of 11 normals over an error on 4 degrees of freedom, by drawing."""
    rng, draws = np.random.default_rng(0), 200_000
    largest = rng.standard_normal((draws, 11)).max(1) / np.sqrt(rng.chisquare(4, draws) / 4)
    for ratio in (3.0, 5.0, 8.0):
        drawn = norm.isf(np.mean(largest > ratio))
        assert picked_extreme(ratio, 4.0, 11) == pytest.approx(drawn, abs=0.03)


def test_one_of_many_errs_in_its_share_of_families():
    """Families of 20 independent differences; one is called 2 errors or more in .023 of them."""
    rng = np.random.default_rng(1)
    largest = rng.standard_t(6, (20_000, 20)).max(1)
    limit = next(r for r in np.arange(3, 9, 0.01) if one_of_many(r, 6.0, 20) >= 2)
    assert np.mean(largest >= limit) == pytest.approx(norm.sf(2), abs=0.004)


@pytest.mark.parametrize("correct", CORRECTIONS)
def test_no_step_and_no_freedom_are_refused(correct):
    with pytest.raises(InputError, match="0 steps"):
        correct(3.0, 2.0, 0)
    with pytest.raises(InputError, match="degrees of freedom"):
        correct(3.0, 0.5, 2)
