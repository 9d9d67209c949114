"""Counts of tokens and their decades."""

import numpy as np
import pytest

from dynamics.data import frequency
from dynamics.errors import InputError


def test_counts_are_those_of_all_documents():
    counts = frequency.counts([np.array([0, 2, 2]), np.array([[2, 4]])], 6)
    assert counts.tolist() == [1, 0, 3, 0, 1, 0]


@pytest.mark.parametrize("ids", [[-1], [6]])
def test_ids_out_of_range_are_refused(ids):
    with pytest.raises(InputError, match="token ids"):
        frequency.counts([np.array(ids)], 6)


def test_decades_close_below_every_power_of_ten():
    """At the edges themselves, where a floating logarithm may fall short."""
    of, names = frequency.decades(np.array([0, 1, 9, 10, 99, 100, 999, 1000, 10**6]))
    assert [names[k] for k in of] == [
        "never",
        *("1–9",) * 2,
        *("10–99",) * 2,
        *("100–999",) * 2,
        "1,000–9,999",
        "1,000,000–9,999,999",
    ]


def test_negative_counts_are_refused():
    with pytest.raises(InputError, match="-1"):
        frequency.decades(np.array([-1]))
