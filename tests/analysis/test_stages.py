"""Stage boundaries: where they were planted, whatever the unit and the checkpoints, with intervals
that hold."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import planted
import pytest

from dynamics.analysis import smooth, stages
from dynamics.analysis.stages import Rule, find_stages
from dynamics.errors import InputError

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "icl_regression_seed1.npz"
NEAR = 0.25  # e-folds
ONE_BOUNDARY = planted.curve(5, noise=1e-3)


def matched(truth, boundaries) -> list[tuple[float, stages.Boundary]]:
    """Pairs of a planted boundary and the nearest found one, no farther than NEAR; every found one
    at most once."""
    free, pairs = list(boundaries), []
    for place in truth:
        nearest = min(free, key=lambda boundary: abs(np.log(boundary.step / place)), default=None)
        if nearest is not None and abs(np.log(nearest.step / place)) <= NEAR:
            free.remove(nearest)
            pairs.append((place, nearest))
    return pairs


@functools.cache
def judged(with_sem: bool, count: int = 200):
    """(planted, number found, pairs) of curves that no constant of the rule was chosen on."""
    rows = []
    for seed in range(count):
        curve = planted.curve(seed)
        boundaries = find_stages(
            curve.steps, curve.value, curve.sem if with_sem else None
        ).boundaries
        rows.append((curve, len(boundaries), matched(curve.boundaries, boundaries)))
    return rows


@pytest.mark.parametrize("with_sem", [True, False])
def test_finds_what_was_planted_and_little_else(with_sem):
    rows = judged(with_sem)
    total = sum(len(curve.boundaries) for curve, _, _ in rows)
    hits = sum(len(pairs) for _, _, pairs in rows)
    assert hits >= 0.9 * total
    assert sum(count for _, count, _ in rows) - hits <= 0.5 * len(rows)
    kinds = [
        curve.kinds[list(curve.boundaries).index(place)] == boundary.kind
        for curve, _, pairs in rows
        for place, boundary in pairs
    ]
    assert np.mean(kinds) >= 0.95


@pytest.mark.parametrize("with_sem", [True, False])
def test_intervals_hold_what_was_planted_about_as_often_as_they_say(with_sem):
    held = [
        boundary.low <= place <= boundary.high
        for _, _, pairs in judged(with_sem)
        for place, boundary in pairs
    ]
    assert 0.88 <= np.mean(held) <= 0.99


def test_more_noise_means_wider_intervals():
    def width(noise):
        rows = [planted.curve(seed, noise=noise) for seed in range(8)]
        boundaries = [
            boundary
            for curve in rows
            for boundary in find_stages(curve.steps, curve.value, curve.sem).boundaries
        ]
        return np.median([np.log(boundary.high / boundary.low) for boundary in boundaries])

    assert width(3e-4) < width(3e-3) < width(3e-2)


def test_noise_alone_has_hardly_a_boundary():
    """Where the curve does not move by more than it is unsure, it does not move."""
    rng, steps, count = (
        np.random.default_rng(0),
        np.unique(np.geomspace(1, 1e5, 120).astype(int)),
        [],
    )
    for _ in range(20):
        count.append(
            len(find_stages(steps, rng.normal(size=len(steps)), np.ones(len(steps))).boundaries)
        )
    assert np.mean(count) <= 0.5


def test_neither_unit_nor_offset_matters():
    curve = ONE_BOUNDARY
    plain = find_stages(curve.steps, curve.value, curve.sem)
    other = find_stages(curve.steps, 7 - 1e-4 * curve.value, 1e-4 * curve.sem)
    assert len(plain.boundaries) == len(curve.boundaries)
    np.testing.assert_allclose(other.steps, plain.steps, rtol=1e-6)
    np.testing.assert_allclose(other.tolerance, 1e-4 * plain.tolerance, rtol=1e-6)
    mirrored = {"peak": "valley", "valley": "peak", "shoulder": "shoulder"}
    assert [boundary.kind for boundary in other.boundaries] == [
        mirrored[boundary.kind] for boundary in plain.boundaries
    ]


def test_more_checkpoints_find_the_same_boundaries():
    """The curve at hand on 4 to 20 checkpoints per e-fold, and on ones crowded at the end."""
    x = np.linspace(np.log(1), np.log(1e5), 4001)
    value = np.cumsum(np.where((np.abs(x - 8) < 0.4) | (x < 6), 0, 1)) / len(
        x
    )  # one shoulder, at e^8
    for steps in (
        np.unique(np.geomspace(1, 1e5, 46).astype(int)),
        np.unique(np.geomspace(1, 1e5, 240).astype(int)),
        np.unique(np.r_[np.geomspace(1, 1e5, 60), np.linspace(1, 1e5, 200)].astype(int)),
    ):
        (boundary,) = find_stages(
            steps, np.interp(np.log(steps), x, value), np.full(len(steps), 1e-3)
        ).boundaries
        assert boundary.kind == "shoulder"
        assert boundary.low < np.exp(8) < boundary.high
        assert boundary.step == pytest.approx(np.exp(8), rel=0.1)


def test_far_checkpoints_make_no_boundaries():
    """Powers of two along a straight line: a length of half an e-fold would fall back to the mean
    between them."""
    steps = 2 ** np.arange(0, 18)
    assert find_stages(steps, np.log(steps), np.full(18, 1e-3)).boundaries == ()


@pytest.mark.parametrize(("tail", "kind"), [(-1, "peak"), (1, "shoulder")])
def test_kinds_and_step_zero(tail, kind):
    steps = np.r_[0, np.unique(np.geomspace(1, 1e5, 150).astype(int))]
    x = np.log1p(steps)
    value = np.clip(x, 6, 8) + tail * np.clip(x - 9, 0, None)
    (boundary,) = find_stages(steps, value, np.full(len(x), 0.01)).boundaries
    assert boundary.kind == kind
    assert boundary.step == pytest.approx(np.exp(8.5), rel=0.1)
    assert boundary.share > 0.95
    turned = find_stages(steps, -value).boundaries
    assert [boundary.kind for boundary in turned] == [{"peak": "valley"}.get(kind, kind)]


def test_a_flat_curve_has_no_boundary():
    steps = np.unique(np.geomspace(1, 1e4, 60).astype(int))
    assert find_stages(steps, np.full(len(steps), 3.5)).boundaries == ()
    flat_ends = np.clip(np.log(steps), 6.5, 8)  # it never pauses between two movements
    assert find_stages(steps, flat_ends).boundaries == ()


def test_slopes_are_the_derivative_of_the_curve_and_draws_have_their_covariance():
    curve = ONE_BOUNDARY
    fitted = smooth.fit(np.log1p(curve.steps), curve.value, curve.sem, 0.5, 1.5)
    at, d = np.linspace(6, 11, 9), 1e-4
    mean, covariance = smooth.slope(fitted, at)
    numeric = (smooth.level(fitted, at + d)[0] - smooth.level(fitted, at - d)[0]) / (2 * d)
    np.testing.assert_allclose(mean, numeric, rtol=1e-4, atol=1e-5 * np.ptp(curve.value))
    drawn = smooth.draws(mean, covariance, 20_000, 0)
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(drawn.std(0), spread, rtol=0.03)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.04 * spread.max())


def test_the_warp_is_the_integral_of_one_over_the_length():
    x, length = np.array([0.0, 1.0, 1.5, 4.0]), np.array([0.3, 0.9, 0.9, 0.4])
    at = np.linspace(0, 4, 40_001)
    rate = 1 / np.interp(at, x, length)
    numeric = np.r_[0, np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(at))]
    np.testing.assert_allclose(smooth.warp(x, length, at), numeric, atol=1e-6)


def test_noise_is_estimated_where_none_is_given():
    rng, x = np.random.default_rng(0), np.linspace(0, 10, 150)
    for sd in (0.01, 0.1):
        noise = smooth.fit(x, np.sin(x) + sd * rng.normal(size=150), None, 0.5, 1.5).noise
        np.testing.assert_allclose(noise, sd, rtol=0.3)


STEPS = np.arange(100, 2000, 50)


@pytest.mark.parametrize(
    ("steps", "value", "sem", "message"),
    [
        (STEPS, np.ones(3), None, "shapes"),
        (STEPS, STEPS, np.ones(3), "shapes"),
        (STEPS[None], STEPS[None], None, "one number per checkpoint"),
        (STEPS[::-1], STEPS, None, "ascending"),
        (np.r_[STEPS[:5], STEPS[4:-1]], STEPS, None, "repeat"),
        (STEPS - 200, STEPS, None, "negative"),
        (STEPS, np.where(STEPS == 300, np.nan, 1.0), None, r"llc not finite at steps \[300.0\]"),
        (STEPS, STEPS, np.where(STEPS == 300, np.inf, 1.0), "sem not finite"),
        (STEPS, STEPS, -np.ones(len(STEPS)), "negative standard error"),
        (
            [0, 1, 2, 8, 32, 512],
            range(6),
            None,
            "too few checkpoints: 6, of which 1 from step 300 on",
        ),
        ([], [], None, "too few checkpoints"),
        (np.arange(100_000, 100_020), range(20), None, "between start and edge"),
    ],
)
def test_bad_input_is_refused(steps, value, sem, message):
    with pytest.raises(InputError, match=message):
        find_stages(steps, value, sem)


@pytest.mark.skipif(
    not PUBLISHED.exists(), reason="numbers of a published run, not in the repository"
)
@pytest.mark.parametrize("with_sem", [True, False])
def test_boundaries_of_a_published_run(with_sem):
    """A regression test and no evidence: the tolerance was chosen on this very curve."""
    data = np.load(PUBLISHED)
    sem = data["llc_chain"].std(0, ddof=1) / np.sqrt(len(data["llc_chain"])) if with_sem else None
    curve_stages = find_stages(data["steps"], data["llc"], sem)
    inner = [step for step in curve_stages.steps if 300 < step < 450_000]
    for drawn in (1_000, 40_000, 126_000, 320_000):
        assert min(abs(step / drawn - 1) for step in inner) <= 0.25
    assert len(inner) <= 4 + 3


def test_constants_can_be_set():
    curve = ONE_BOUNDARY
    late = dataclasses.replace(Rule(), start=2 * float(curve.boundaries.max()))
    assert find_stages(curve.steps, curve.value, curve.sem, late).boundaries == ()
