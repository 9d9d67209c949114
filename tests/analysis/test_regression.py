"""The regression of convergence: planted coefficients come back, and their intervals cover them."""

import dataclasses

import made_contexts
import numpy as np
import pytest

from dynamics.analysis import contexts, regression
from dynamics.errors import InputError

KNOWN = made_contexts.text()


def planted(alpha: float, function_word: float, size: float, between: float = 0.0):
    """step, rng -> KL of one model: minus the planted convergence, with noise of its own and of its
    documents."""
    ln_count = np.log(contexts.predicted(KNOWN.count))
    function = contexts.predicted(KNOWN.word_class) == 1

    def kl(step, rng):
        shared = rng.normal(size=10)[KNOWN.owners] * between
        noise = 0.1 * rng.normal(size=len(ln_count)) + shared
        return 5.0 - alpha * ln_count - function_word * function - size + noise

    return kl


def test_planted_effects_come_back():
    models = [("toy-8", 0.0), ("toy-32", 0.3)]
    found = regression.regression(
        [
            made_contexts.contexts(KNOWN, name, kl=planted(0.05, 0.2, size), seed=k)
            for k, (name, size) in enumerate(models)
        ],
        KNOWN,
    )
    reference = found.references["predicted token"]
    for name, expected in {"ln frequency": 0.05, "model: toy-32": 0.3}.items():
        value, low, high = found.coefficient(name)
        np.testing.assert_allclose(value, expected, atol=0.03)
        assert (low < value).all()
        assert (value < high).all()
    word = {level: 0.2 * (level == "function word") for level in regression.WORD_CLASSES}
    for level in set(regression.WORD_CLASSES) - {reference}:
        value, _, _ = found.coefficient(f"predicted token: {level}")
        np.testing.assert_allclose(value, word[level] - word[reference], atol=0.05)
    assert found.tokens == KNOWN.owners.size


def test_without_clusters_it_is_the_closed_form():
    rng = np.random.default_rng(0)
    matrix, y = np.c_[np.ones(50), rng.normal(size=(50, 2))], rng.normal(size=50)
    found = regression.fit(matrix, y, np.arange(50))
    np.testing.assert_allclose(
        found.value, np.linalg.solve(matrix.T @ matrix, matrix.T @ y), rtol=1e-10
    )
    bread = np.linalg.inv(matrix.T @ matrix)
    residual = y - matrix @ found.value
    meat = (matrix * residual[:, None]).T @ (matrix * residual[:, None])
    factor = 50 / 49 * 49 / 47  # the docstring's correction, every row a cluster
    np.testing.assert_allclose(
        found.sem, np.sqrt(factor * np.diag(bread @ meat @ bread)), rtol=1e-8
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
        found = regression.fit(matrix, y, owners)
        clustered += found.low[1] < 0.5 < found.high[1]
        alone = regression.fit(matrix, y, np.arange(600))
        plain += alone.low[1] < 0.5 < alone.high[1]
    assert 0.90 <= clustered / 400 <= 0.98
    assert plain / 400 < 0.7


def test_levels_that_others_tell_are_dropped_and_named():
    known = dataclasses.replace(
        KNOWN, word_class=np.where(KNOWN.word_class == 1, 0, KNOWN.word_class)
    )
    found = regression.regression([made_contexts.contexts(known)], known)
    assert "predicted token: function word" in found.dropped
    assert all(np.isfinite(fit.sem).all() for fit in found.fits)


def test_tokens_that_were_never_counted_are_left_out():
    known = dataclasses.replace(KNOWN, count=np.where(KNOWN.index == 0, 0, KNOWN.count))
    found = regression.regression([made_contexts.contexts(known)], known)
    assert found.left_out == (KNOWN.index[:, 1:] == 0).sum()


def test_one_document_is_refused():
    known = dataclasses.replace(KNOWN, document=np.zeros_like(KNOWN.document))
    with pytest.raises(InputError, match="one document"):
        regression.regression([made_contexts.contexts(known)], known)


def test_an_unknown_coefficient_is_refused():
    found = regression.regression([made_contexts.contexts(KNOWN)], KNOWN)
    with pytest.raises(InputError, match="coefficient"):
        found.coefficient("ln frequencyy")
