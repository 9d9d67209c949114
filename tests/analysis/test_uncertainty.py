"""Intervals cover what they claim, and errors equal the closed forms they generalise.

Axes: R runs, S seeds, G documents. True theta is 1 in every model below.
"""

import numpy as np
import pytest
from scipy.stats import chi2

from dynamics.analysis.uncertainty import (
    document_interval,
    paired_difference,
    paired_log_ratio,
    population_interval,
    seed_interval,
)
from dynamics.errors import InputError

RUNS = 2000
INTERVALS = [seed_interval, document_interval, population_interval]


KINDS = ["homogeneous", "rank-2", "lognormal", "noise of pairs", "rank-2 + 1", "rank-2 + 4"]


def pair_divergences(kind: str, rng: np.random.Generator, seeds: int) -> np.ndarray:
    """Divergences [R, S, S] of mean one under a model of how seeds differ."""
    if kind == "lognormal":  # each seed has a scale of its own
        scale = np.exp(0.2 * rng.standard_normal((RUNS, seeds)) - 0.02)
        return scale[:, :, None] * scale[:, None, :]
    if kind == "noise of pairs":  # seeds have no effect of their own
        noise = np.triu(rng.standard_normal((RUNS, seeds, seeds)), 1)
        return 1 + 0.1 * (noise + noise.swapaxes(1, 2))
    # seeds are points of d dimensions; in many, all pairs are nearly equally far apart
    d, floor = {
        "homogeneous": (50, 0),
        "rank-2": (2, 0),
        "rank-2 + 1": (2, 1),
        "rank-2 + 4": (2, 4),
    }[kind]
    z = rng.standard_normal((RUNS, seeds, d))
    return (floor + squared_distances(z) / 2) / (floor + d)


def squared_distances(z: np.ndarray) -> np.ndarray:
    """[..., S, d] -> [..., S, S]."""
    products = z @ z.swapaxes(-1, -2)
    norms = np.diagonal(products, axis1=-2, axis2=-1)
    return norms[..., :, None] + norms[..., None, :] - 2 * products


def document_effects(
    rng: np.random.Generator, documents: int, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lognormal effects [R, G] of mean one, and lengths [R, G] from 100 to 2000 tokens."""
    effects = np.exp(sigma * rng.standard_normal((RUNS, documents)) - sigma**2 / 2)
    return effects, rng.integers(100, 2000, (RUNS, documents)).astype(float)


def coverage(interval, kl: np.ndarray, weights: np.ndarray) -> float:
    intervals = [interval(k, w) for k, w in zip(kl, weights, strict=True)]
    return float(np.mean([i.low <= 1 <= i.high for i in intervals]))


@pytest.mark.long
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_seed_interval_covers(kind, seeds):
    kl = pair_divergences(kind, np.random.default_rng(1), seeds)
    covered = coverage(seed_interval, kl[..., None], np.ones((RUNS, 1)))
    assert 0.92 <= covered <= (0.98 if seeds > 3 else 0.99)


@pytest.mark.long
@pytest.mark.parametrize("documents", [10, 50])
@pytest.mark.parametrize("sigma", [0.2, 0.5])
def test_document_interval_covers(sigma, documents):
    effects, lengths = document_effects(np.random.default_rng(3), documents, sigma)
    kl = np.broadcast_to(effects[:, None, None, :], (RUNS, 2, 2, documents))
    covered = coverage(lambda k, w: document_interval(k, w, num_resamples=999), kl, lengths)
    assert 0.92 <= covered <= 0.98


@pytest.mark.long
@pytest.mark.parametrize(("seeds", "documents"), [(5, 10), (5, 50), (10, 10), (10, 50)])
@pytest.mark.parametrize("kind", KINDS)
def test_population_interval_covers(kind, seeds, documents):
    rng = np.random.default_rng(4)
    effects, lengths = document_effects(rng, documents, 0.3)
    kl = pair_divergences(kind, rng, seeds)[..., None] * effects[:, None, None, :]
    assert 0.92 <= coverage(population_interval, kl, lengths) <= 0.98


@pytest.mark.long
@pytest.mark.parametrize("documents", [10, 50])
@pytest.mark.parametrize("kind", KINDS)
def test_population_interval_of_three_seeds_covers(kind, documents):
    """With t on two degrees of freedom it holds too much where seeds are alike, but is short."""
    rng = np.random.default_rng(4)
    effects, lengths = document_effects(rng, documents, 0.3)
    kl = pair_divergences(kind, rng, 3)[..., None] * effects[:, None, None, :]
    intervals = [population_interval(k, w) for k, w in zip(kl, lengths, strict=True)]
    held = np.mean([i.low <= 1 <= i.high for i in intervals])
    assert 0.93 <= held <= 0.995
    wide = kind in ("rank-2", "rank-2 + 1")
    assert np.median([i.high / i.low for i in intervals]) < (300 if wide else 12)


@pytest.mark.long
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("seeds", [5, 10])
def test_population_interval_covers_where_seeds_differ_anew_on_every_document(seeds, share):
    """`share` of each seed's place is drawn for every document: counted by both jackknives, without
    mending .99."""
    rng, documents = np.random.default_rng(4), 20
    effects, lengths = document_effects(rng, documents, 0.3)
    own = rng.standard_normal((RUNS, documents, seeds, 2))
    z = np.sqrt(share) * own + np.sqrt(1 - share) * rng.standard_normal((RUNS, 1, seeds, 2))
    kl = np.moveaxis(squared_distances(z) / 4, 1, -1) * effects[:, None, None, :]
    assert 0.92 <= coverage(population_interval, kl, lengths) <= 0.98


@pytest.mark.parametrize(("seeds", "tail"), [(3, 0.025), (5, 0.0125)])
def test_limits_are_no_farther_off_than_seeds_on_a_line_need(seeds, tail):
    """Chi-square is exact there: theta is twice the variance of the places."""
    z = np.random.default_rng(2).standard_normal((RUNS, seeds, 1))
    intervals = [seed_interval(kl[..., None], np.ones(1)) for kl in squared_distances(z) / 2]
    assert np.mean([i.low <= 1 <= i.high for i in intervals]) >= 0.92
    low, high = (seeds - 1) / chi2.ppf([1 - tail, tail], seeds - 1)
    assert min(i.low / i.mean for i in intervals) == pytest.approx(low)
    assert max(i.high / i.mean for i in intervals) == pytest.approx(high)


def test_a_standard_deviation_over_pairs_is_no_error_bar():
    kl = pair_divergences("lognormal", np.random.default_rng(5), 10)
    pairs = kl[:, ~np.eye(10, dtype=bool)]
    half = 1.96 * pairs.std(1, ddof=1) / np.sqrt(pairs.shape[1])
    assert np.mean(abs(pairs.mean(1) - 1) <= half) < 0.75


@pytest.fixture
def example() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    return rng.lognormal(size=(5, 5, 12)), rng.integers(10, 100, 12).astype(float)


def limits(interval) -> np.ndarray:
    return np.array([interval.mean, interval.low, interval.high, interval.sem])


@pytest.mark.parametrize("interval", INTERVALS)
def test_scale_equivariance(interval, example):
    kl, weights = example
    np.testing.assert_allclose(
        limits(interval(7 * kl, weights)), 7 * limits(interval(kl, weights)), rtol=1e-9
    )
    np.testing.assert_allclose(
        limits(interval(kl, 3 * weights)), limits(interval(kl, weights)), rtol=1e-9
    )


@pytest.mark.parametrize("interval", INTERVALS)
def test_seeds_may_come_in_any_order(interval, example):
    kl, weights = example
    order = [3, 0, 4, 1, 2]
    np.testing.assert_allclose(
        limits(interval(kl[np.ix_(order, order)], weights)), limits(interval(kl, weights))
    )


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_mean_is_theta_whatever_the_diagonal(interval, example):
    kl, weights = example
    theta = sum(kl[i, j] @ weights for i in range(5) for j in range(5) if i != j) / (
        20 * weights.sum()
    )
    kl[np.arange(5), np.arange(5)] = np.nan
    estimate = interval(kl, weights)
    assert estimate.mean == pytest.approx(theta)
    assert 0 <= estimate.low < estimate.mean < estimate.high


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_higher_level_is_wider(interval, example):
    narrow, wide = interval(*example, level=0.8), interval(*example, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("interval", INTERVALS)
def test_identical_pairs_and_documents_leave_no_doubt(interval):
    estimate = interval(np.full((4, 4, 6), 2.0), np.full(6, 10.0))
    np.testing.assert_allclose(limits(estimate), [2, 2, 2, 0], atol=1e-12)


def test_the_population_error_holds_both_sources(example):
    seed, document, both = (interval(*example) for interval in INTERVALS)
    assert both.sem > max(seed.sem, document.sem)
    assert (seed.rests_on, document.rests_on) == ("5 seeds", "12 documents")
    assert both.rests_on == "5 seeds and 12 documents"


def test_document_interval_is_reproducible_and_in_blocks_alike(example):
    assert document_interval(*example, seed=1) == document_interval(*example, seed=1)
    assert document_interval(*example, seed=1) != document_interval(*example, seed=2)
    rng = np.random.default_rng(
        7
    )  # enough documents for several blocks: the normal interval is the limit
    kl, weights = rng.lognormal(size=(2, 2, 20_000)), np.ones(20_000)
    estimate = document_interval(kl, weights, num_resamples=1000)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * estimate.sem, rel=0.1)


def test_what_two_steps_share_cancels(example):
    kl, weights = example
    assert paired_difference(kl, kl + 2, weights)[:2] == pytest.approx((2, 0))
    assert paired_log_ratio(kl, 3 * kl, weights)[:2] == pytest.approx((np.log(3), 0), abs=1e-12)
    rise, sem, _ = paired_difference(kl, 3 * kl, weights)
    back, same, _ = paired_difference(3 * kl, kl, weights)
    assert (rise, sem) == pytest.approx((-back, same))


def test_the_error_of_a_rise_is_that_of_both_sources():
    """Additive seed, document effects a_i + a_j + b_d: the closed form is 4 var(a)/S + var(b)/G."""
    rng = np.random.default_rng(12)
    a, b = 0.1 * rng.standard_normal((RUNS, 6)), 0.3 * rng.standard_normal((RUNS, 20))
    change = a[:, :, None, None] + a[:, None, :, None] + b[:, None, None, :]
    differences = np.array([paired_difference(np.ones_like(c), 2 + c, np.ones(20)) for c in change])
    expected = 4 * 0.01 / 6 + 0.09 / 20
    assert differences[:, 0].mean() == pytest.approx(1, abs=0.01)
    assert differences[:, 0].var() == pytest.approx(expected, rel=0.1)
    assert (differences[:, 1] ** 2).mean() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_errors_of_a_difference_are_normal_also_where_seeds_are_few(seeds, share):
    """`share` of the variance is of seeds; the rest of documents of unequal length."""
    rng, ratios, errors = np.random.default_rng(13), [], []
    for _ in range(RUNS):
        weights = rng.integers(100, 2000, 10).astype(float)
        fixed = np.square(weights / weights.sum()).sum()
        a = np.sqrt(share * seeds / 4) * rng.standard_normal(seeds)
        b = np.sqrt((1 - share) / fixed) * rng.standard_normal(10)
        change = a[:, None, None] + a[None, :, None] + b
        rise = paired_difference(np.zeros_like(change), change, weights)
        ratios.append(rise.ratio)
        errors.append(rise.errors)
    assert np.mean(np.abs(errors) > 1.96) == pytest.approx(0.05, abs=0.025)
    assert np.mean(np.abs(errors) > 3) <= 0.01
    if seeds == 3 and share > 0.5:
        assert np.std(ratios) > 1.5  # what t on two degrees of freedom gives
        assert np.std(errors) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: seed_interval(np.ones((2, 2, 9)), np.ones(9)), "2 seeds"),
        (lambda: population_interval(np.ones((2, 2, 9)), np.ones(9)), "2 seeds"),
        (lambda: population_interval(np.ones((3, 3, 2)), np.ones(2)), "2 documents"),
        (lambda: document_interval(np.ones((3, 3, 4)), np.ones(4)), "4 documents"),
        (
            lambda: document_interval(np.ones((3, 3, 9)), np.ones(9), num_resamples=10),
            "10 resamples",
        ),
        (lambda: seed_interval(np.ones((3, 3, 9)), np.ones(8)), "kl"),
        (lambda: seed_interval(np.ones((3, 4, 9)), np.ones(9)), "kl"),
        (lambda: seed_interval(np.full((3, 3, 9), np.inf), np.ones(9)), "not finite"),
        (lambda: seed_interval(np.zeros((3, 3, 9)), np.ones(9)), "zero or negative"),
        (lambda: seed_interval(np.ones((3, 3, 9)), np.zeros(9)), "weights"),
        (lambda: seed_interval(np.ones((3, 3, 9)), np.ones(9), level=95), "level 95"),
        (lambda: paired_difference(np.ones((3, 3, 9)), np.ones((4, 4, 9)), np.ones(9)), "shapes"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
