"""Limits over few documents of unequal length hold what they claim."""

import numpy as np
import pytest

from dynamics.analysis.few_documents import limits
from dynamics.analysis.means import clustered_mean
from dynamics.errors import InputError


def test_limits_cover_ten_documents_of_unequal_length():
    rng, hits = np.random.default_rng(0), []
    for _ in range(400):
        sizes = np.exp(rng.uniform(np.log(20), np.log(400), 10)).astype(int)
        owners = np.repeat(np.arange(10), sizes)
        values = rng.standard_normal(10)[owners] + rng.standard_normal(len(owners))
        of = limits(np.stack([values, values + 1]), owners)  # two steps at once
        assert of.df < 9
        hits.append((of.low <= [0, 1]) & (of.high >= [0, 1]))
    assert 0.92 <= np.mean(hits) <= 0.99


def test_documents_of_one_length_have_the_plain_error():
    values, owners = np.random.default_rng(1).standard_normal((3, 24)), np.repeat(np.arange(6), 4)
    of, (mean, sem, _) = limits(values, owners), clustered_mean(values, owners)
    np.testing.assert_allclose(of.value, mean)
    np.testing.assert_allclose(of.sem, sem)
    assert of.df == pytest.approx(5)
    shuffled = np.random.default_rng(2).permutation(24)
    np.testing.assert_allclose(limits(values[:, shuffled], owners[shuffled]).high, of.high)


def test_one_document_has_no_limits():
    of = limits([1.0, 3.0], [7, 7])
    assert of.value == 2
    assert np.isnan([of.sem, of.low, of.high, of.df]).all()
    with pytest.raises(InputError, match="level"):
        limits([1.0, 3.0], [7, 8], level=1.0)
