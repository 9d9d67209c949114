"""Least squares with clustered errors: closed forms, and intervals that cover."""

import numpy as np
import pytest

from dynamics.analysis import regression
from dynamics.errors import InputError


def test_without_clusters_it_is_the_closed_form():
    rng = np.random.default_rng(0)
    matrix, y = np.c_[np.ones(50), rng.normal(size=(50, 2))], rng.normal(size=50)
    fitted = regression.fit(matrix, y, np.arange(50))
    np.testing.assert_allclose(
        fitted.value, np.linalg.solve(matrix.T @ matrix, matrix.T @ y), rtol=1e-10
    )
    bread = np.linalg.inv(matrix.T @ matrix)
    residual = y - matrix @ fitted.value
    meat = (matrix * residual[:, None]).T @ (matrix * residual[:, None])
    factor = 50 / 49 * 49 / 47  # the docstring's correction, every row a cluster
    np.testing.assert_allclose(
        fitted.sem, np.sqrt(factor * np.diag(bread @ meat @ bread)), rtol=1e-8
    )


def test_clustered_intervals_cover_where_plain_ones_do_not():
    """Thirty documents of twenty predictions that share a document's slope and level."""
    rng = np.random.default_rng(1)
    owners = np.repeat(np.arange(30), 20)
    clustered = plain = 0
    for _ in range(400):
        x = rng.normal(size=30)[owners] + 0.3 * rng.normal(size=600)
        y = 0.5 * x + rng.normal(size=30)[owners] + 0.3 * rng.normal(size=600)
        matrix = np.c_[np.ones(600), x]
        fitted = regression.fit(matrix, y, owners)
        clustered += fitted.low[1] < 0.5 < fitted.high[1]
        alone = regression.fit(matrix, y, np.arange(600))
        plain += alone.low[1] < 0.5 < alone.high[1]
    assert 0.90 <= clustered / 400 <= 0.98
    assert plain / 400 < 0.7


def test_columns_that_others_span_are_dropped_and_named():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 40))
    columns = regression.identified(
        np.stack([a, b, a - 2 * b, np.zeros(40)], axis=1), ["a", "b", "both", "zero"]
    )
    assert columns.names == ("a", "b")
    assert columns.dropped == ("both", "zero")


def test_one_cluster_is_refused():
    with pytest.raises(InputError, match="one document"):
        regression.fit(np.ones((5, 1)), np.arange(5.0), np.zeros(5))
