"""One threshold decides what is called sure, and an error that is not known never does."""

import numpy as np
import pytest

from dynamics.analysis.significance import SURE, in_errors, is_sure
from dynamics.slt import diagnostics


def test_a_difference_is_sure_beyond_the_threshold_alone():
    assert is_sure(1.01 * SURE, 1.0)
    assert is_sure(-1.01 * SURE, 1.0)
    assert not is_sure(SURE, 1.0)
    assert is_sure([4.0, 5.0], [1.0, 1.0])
    assert not is_sure([4.0, 1.0], [1.0, 1.0])


@pytest.mark.parametrize(
    ("difference", "sem"),
    [(np.nan, 1.0), (np.inf, 1.0), (5.0, np.nan), (5.0, 0.0), (5.0, -1.0), (5.0, np.inf), ([], [])],
)
def test_what_is_not_known_is_never_sure(difference, sem):
    assert not is_sure(difference, sem)


def test_sizes_broadcast():
    sizes = in_errors([[2.0], [-6.0]], [1.0, 2.0])
    np.testing.assert_array_equal(sizes, [[2.0, 1.0], [6.0, 3.0]])


def test_chains_are_judged_by_the_same_threshold():
    """`slt` stands before `analysis` and cannot import from it."""
    assert diagnostics.SURE == SURE
