"""Means and their standard errors equal the textbook forms that they generalise.

Axes: R runs, N items.
"""

import numpy as np
import pytest

from dynamics.analysis.means import clustered_mean, mean_over_seeds
from dynamics.errors import InputError

RUNS = 2000


def test_clustered_error_is_the_textbook_error_when_every_cluster_has_one_item():
    values = np.random.default_rng(8).normal(size=(3, 40))
    mean, sem, count = clustered_mean(values, np.arange(40))
    np.testing.assert_allclose(mean, values.mean(-1))
    np.testing.assert_allclose(sem, values.std(-1, ddof=1) / np.sqrt(40))
    assert count == 40


def test_copies_within_a_cluster_add_no_evidence():
    values = np.random.default_rng(9).normal(size=20)
    once = clustered_mean(values, np.arange(20))
    copied = clustered_mean(np.tile(values, 7), np.tile(np.arange(20), 7))
    np.testing.assert_allclose(copied, once)


def test_a_weight_is_a_count_of_copies():
    rng = np.random.default_rng(10)
    values, clusters, copies = rng.normal(size=30), rng.integers(0, 6, 30), rng.integers(0, 4, 30)
    repeated = clustered_mean(np.repeat(values, copies), np.repeat(clusters, copies))
    np.testing.assert_allclose(clustered_mean(values, clusters, copies), repeated)


def test_clustered_error_is_the_sampling_error_of_the_ratio():
    rng = np.random.default_rng(11)
    lengths, effects = rng.integers(1, 6, (RUNS, 40)), rng.normal(size=(RUNS, 40))
    estimates = [
        clustered_mean(np.repeat(e, n), np.repeat(np.arange(40), n))
        for e, n in zip(effects, lengths, strict=True)
    ]
    means, sems = (
        np.array([mean for mean, _, _ in estimates]),
        np.array([s for _, s, _ in estimates]),
    )
    assert np.sqrt((sems**2).mean()) == pytest.approx(means.std(), rel=0.06)


def test_one_cluster_has_no_error_bar():
    mean, sem, count = clustered_mean(np.array([1.0, 3.0]), np.zeros(2))
    assert (mean, count) == (2, 1)
    assert np.isnan(sem)


def test_mean_over_seeds():
    mean, sem = mean_over_seeds(np.array([1.0, 2.0, 3.0]))
    assert (mean, sem) == (2, pytest.approx(1 / np.sqrt(3)))
    assert np.isnan(mean_over_seeds(np.array([4.0]))[1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: clustered_mean(np.ones(3), np.zeros(4)), "clusters"),
        (lambda: clustered_mean(np.ones(0), np.zeros(0)), "weights"),
        (lambda: mean_over_seeds(np.ones((2, 2))), "shape"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
