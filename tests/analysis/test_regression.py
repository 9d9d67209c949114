"""Least squares with clustered errors: closed forms, and intervals that cover."""

import numpy as np
import pytest

from dynamics.analysis import regression
from dynamics.errors import InputError


def drawn_design(rng, documents: int = 10):
    """Documents of 20 to 400 predictions: a level, a number of the document's own and one of each
    prediction."""
    sizes = rng.integers(20, 400, documents)
    owners = np.repeat(np.arange(documents), sizes)
    own, of_document = rng.normal(size=len(owners)), rng.normal(size=documents)[owners]
    return np.c_[np.ones(len(owners)), of_document, own + 0.5 * of_document], owners


def test_it_is_cr2_with_its_degrees_of_freedom_by_the_matrices_of_the_source():
    """Bell & McCaffrey's formulas on [n,n] matrices."""
    rng = np.random.default_rng(0)
    owners = rng.permutation(np.repeat(np.arange(5), [3, 9, 4, 7, 5]))
    matrix = np.c_[np.ones(28), rng.normal(size=(28, 2))]
    y = rng.normal(size=28) + rng.normal(size=5)[owners]
    fitted = regression.fit(matrix, y, owners)
    bread = np.linalg.inv(matrix.T @ matrix)
    value, hat = bread @ matrix.T @ y, matrix @ bread @ matrix.T
    residual = y - hat @ y
    np.testing.assert_allclose(fitted.value, value, rtol=1e-10)
    same = (owners[:, None] == owners).astype(float)
    shared = (same * np.outer(residual, residual))[~np.eye(28, dtype=bool)].sum()
    shared = max(0.0, shared / (same.sum() - 28))
    working = (residual @ residual / 28 - shared) * np.eye(28) + shared * same
    terms = []  # of every document, [n, C]: what its square of the variance is made of
    for document in range(5):
        rows = owners == document
        values, vectors = np.linalg.eigh(np.eye(rows.sum()) - hat[np.ix_(rows, rows)])
        adjust = vectors @ np.diag(values**-0.5) @ vectors.T
        terms.append((np.eye(28) - hat)[:, rows] @ adjust @ matrix[rows] @ bread)
    terms = np.array(terms)
    np.testing.assert_allclose(
        fitted.sem, np.sqrt((np.einsum("gnc,n->gc", terms, y) ** 2).sum(0)), rtol=1e-8
    )
    covariance = np.einsum("gnc,nm,hmc->cgh", terms, working, terms)
    df = np.trace(covariance, axis1=1, axis2=2) ** 2 / np.square(covariance).sum((1, 2))
    np.testing.assert_allclose(fitted.df, df, rtol=1e-8)


def test_its_variance_is_unbiased_where_errors_are_independent():
    rng = np.random.default_rng(3)
    matrix, owners = drawn_design(rng, documents=6)
    variances = [
        regression.fit(matrix, rng.normal(size=len(owners)), owners).sem ** 2 for _ in range(600)
    ]
    expected = np.diag(np.linalg.inv(matrix.T @ matrix))
    np.testing.assert_allclose(np.mean(variances, axis=0), expected, rtol=0.12)


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.0])
def test_intervals_of_ten_unequal_documents_cover_or_are_flagged(shared):
    """Errors of which documents share a part; documents also differ in the slope."""
    rng, runs = np.random.default_rng(4), 600
    held, flagged = np.zeros(3), np.zeros(3)
    for _ in range(runs):
        matrix, owners = drawn_design(rng)
        levels, slopes = shared * rng.normal(size=(2, 10))
        y = matrix @ [1.0, 0.5, 0.2] + rng.normal(size=len(owners)) + levels[owners]
        y = y + 0.3 * slopes[owners] * matrix[:, 2]
        fitted = regression.fit(matrix, y, owners)
        inside = (fitted.low < [1.0, 0.5, 0.2]) & (fitted.high > [1.0, 0.5, 0.2])
        held, flagged = held + (inside & ~fitted.too_few), flagged + fitted.too_few
    trusted = flagged < 0.5 * runs
    assert trusted[2]
    covered = held / np.maximum(runs - flagged, 1)
    assert (covered[trusted] > 0.92).all()
    assert (covered[trusted] < 0.985).all()


def test_a_coefficient_of_a_single_document_has_no_error():
    rng = np.random.default_rng(5)
    owners = np.repeat(np.arange(4), 10)
    matrix = np.c_[np.ones(40), rng.normal(size=40), (owners == 2) & (rng.random(40) < 0.5)]
    fitted = regression.fit(matrix.astype(float), rng.normal(size=40), owners)
    assert np.isfinite(fitted.value).all()
    assert np.isfinite(fitted.sem).tolist() == [True, True, False]
    assert fitted.too_few[2]


def test_columns_that_others_span_are_dropped_and_named():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 40))
    columns = regression.identified(
        np.stack([a, b, a - 2 * b, np.zeros(40)], axis=1), ["a", "b", "both", "zero"]
    )
    assert columns.names == ("a", "b")
    assert columns.dropped == ("both", "zero")


def test_columns_that_are_not_independent_are_refused():
    with pytest.raises(InputError, match="columns that others span"):
        regression.fit(np.ones((6, 2)), np.arange(6.0), np.arange(6) // 2)


def test_one_cluster_is_refused():
    with pytest.raises(InputError, match="one document"):
        regression.fit(np.ones((5, 1)), np.arange(5.0), np.zeros(5))
