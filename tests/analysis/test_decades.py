"""Decades of counts."""

import numpy as np
import pytest

from dynamics.analysis.decades import decades
from dynamics.errors import InputError


def test_decades_close_below_every_power_of_ten():
    """At the edges themselves, where a floating logarithm may fall short."""
    bins, names = decades(np.array([0, 1, 9, 10, 99, 100, 999, 1000, 10**6]))
    assert [names[k] for k in bins] == [
        "never",
        *("1–9",) * 2,
        *("10–99",) * 2,
        *("100–999",) * 2,
        "1,000–9,999",
        "1,000,000–9,999,999",
    ]


def test_negative_counts_are_refused():
    with pytest.raises(InputError, match="-1"):
        decades(np.array([-1]))
