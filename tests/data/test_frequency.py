"""Counts of tokens."""

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
