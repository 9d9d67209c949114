"""Stage boundaries: planted ones are found, ramps and noise have none, intervals hold."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stages.judged import Judged, judge
from benchmarks.stages.planted import KINDS, curve
from dynamics.analysis import smooth
from dynamics.analysis.stages import (
    PUBLISHED_RULE,
    Rule,
    coincidence,
    find_stages,
    over_runs,
)
from dynamics.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data"
STEPS = np.unique(np.geomspace(1, 1e5, 120).round())
X = np.log1p(STEPS)


def kinds(stages, edges: bool = False) -> list[str]:
    return [b.kind for b in stages.boundaries if edges or b.kind != "edge"]


@pytest.fixture(scope="module")
def judged() -> dict[str, Judged]:
    """A small part of the table of docs/stages.md."""
    return {kind: sum((judge(kind, seed, 60) for seed in range(3)), Judged()) for kind in KINDS}


def test_planted_boundaries_are_found_and_little_else(judged):
    total = sum(judged.values(), Judged())
    assert total.planted > 40
    assert total.recalled >= 0.9 * total.seen
    assert total.seen >= 0.9 * total.planted
    assert total.false <= 0.1 * total.curves


def test_intervals_hold_what_was_planted(judged):
    total = sum(judged.values(), Judged())
    assert total.held >= 0.88 * total.paired


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_curve(kind):
    total = sum((judge(kind, seed, count) for seed in range(8) for count in (30, 190)), Judged())
    assert total.recalled >= 0.85 * total.seen
    assert total.false <= 0.25 * total.curves


@pytest.mark.parametrize("seed", [59, 69, 74])
def test_a_sharp_turn_whose_movements_overlap_has_an_interval(seed):
    """Both movements may take in the turn itself, so that they cross."""
    planted = curve("sharp peaks", seed, 500)
    boundaries = find_stages(planted.steps, planted.value, planted.sem).boundaries
    assert len(boundaries) == len(planted.places)
    for boundary, place in zip(boundaries, planted.places, strict=True):
        assert boundary.low < boundary.step < boundary.high
        assert place.step == pytest.approx(boundary.step, rel=0.03)


@pytest.mark.parametrize("slope", [0.02, 0.07, 0.11, 0.175, 0.3])
@pytest.mark.parametrize("noise", [0.003, 0.01])
def test_a_straight_ramp_never_pauses(slope, noise):
    span = min(1 / slope, 13.5)
    x = np.linspace(max(0, 9 - span), max(9, span), 120)
    rng = np.random.default_rng(0)
    value = slope * x + noise * slope * span * rng.normal(size=len(x))
    assert find_stages(np.expm1(x), value).boundaries == ()


def test_a_falling_noisy_loss_has_no_shoulder():
    rng = np.random.default_rng(1)
    for _ in range(5):
        loss = 2 + 8 * (STEPS + 30) ** -0.3 + 0.02 * rng.normal(size=len(STEPS))
        assert kinds(find_stages(STEPS, loss)) == []


def test_noise_alone_has_no_boundary():
    rng = np.random.default_rng(0)
    count = [
        len(find_stages(STEPS, rng.normal(size=len(STEPS)), np.ones(len(STEPS))).boundaries)
        for _ in range(10)
    ]
    assert sum(count) <= 1


def test_a_sharp_peak_without_noise_is_sure():
    steps = np.unique(np.geomspace(1, 1e5, 60).round())
    for top in np.linspace(5, 9, 12):
        (peak,) = find_stages(steps, -np.abs(np.log1p(steps) - top)).boundaries
        assert peak.kind == "peak"
        assert peak.confidence > 0.99
        assert np.log1p(peak.step) == pytest.approx(top, abs=0.1)


def test_a_collapse_between_neighbours_is_a_fall():
    rng = np.random.default_rng(0)
    value = 0.3 * X - 2 * (X > 7) + 0.01 * rng.normal(size=len(X))
    (fall,) = find_stages(STEPS, value).boundaries
    assert fall.kind == "fall"
    assert fall.low < np.expm1(7) < fall.high


@pytest.mark.parametrize(("tail", "kind"), [(-1, "peak"), (1, "shoulder")])
def test_kinds_edges_and_step_zero(tail, kind):
    """Flat to e^6, a ramp to e^8, a pause to e^9, another ramp."""
    steps = np.r_[0, STEPS]
    x = np.log1p(steps)
    value = np.clip(x, 6, 8) + tail * np.clip(x - 9, 0, None)
    rng = np.random.default_rng(0)
    edge, inner = find_stages(steps, value + 0.01 * rng.normal(size=len(x))).boundaries
    assert (edge.kind, inner.kind) == ("edge", kind)
    assert edge.low < np.exp(6) < edge.high
    assert inner.step == pytest.approx(np.exp(8.5), rel=0.15)
    assert inner.confidence > 0.95
    assert inner.repeats == 2
    mirrored = find_stages(steps, -value)
    assert kinds(mirrored) == [{"peak": "valley"}.get(kind, kind)]


def test_a_run_that_ends_on_a_plateau_has_an_edge():
    rng = np.random.default_rng(0)
    stages = find_stages(STEPS, np.clip(X, 0, 9) + 0.02 * rng.normal(size=len(X)))
    (edge,) = stages.boundaries
    assert edge.kind == "edge"
    assert edge.low < np.exp(9) < edge.high


def test_neither_unit_nor_offset_matters():
    rng = np.random.default_rng(3)
    value = np.clip(X, 4, 6) + np.clip(X, 7.5, 10) + 0.02 * rng.normal(size=len(X))
    sem = np.full(len(X), 0.02)
    plain, other = find_stages(STEPS, value, sem), find_stages(STEPS, 7 - 1e-4 * value, 1e-4 * sem)
    assert kinds(plain, edges=True) == kinds(other, edges=True) == ["edge", "shoulder", "edge"]
    np.testing.assert_allclose(other.steps, plain.steps, rtol=1e-5)
    np.testing.assert_allclose(other.tolerance, 1e-4 * plain.tolerance, rtol=1e-5)


def test_shared_errors_do_not_smooth_a_curve_away():
    """Stated errors of a fifth of the range; neighbours scatter by a thousandth."""
    rng = np.random.default_rng(0)
    value = np.clip(X, 4, 6) - np.clip(X, 7, 10) + 0.005 * rng.normal(size=len(X))
    stages = find_stages(STEPS, value, np.full(len(X), 1.0))
    assert kinds(stages) == ["peak"]
    assert np.median(stages.noise.sd) == pytest.approx(0.005, rel=0.5)


@pytest.mark.parametrize("with_sem", [True, False])
def test_the_noise_is_that_of_neighbours(with_sem):
    rng = np.random.default_rng(0)
    for sd in (0.01, 0.1):
        value = np.sin(X) + sd * rng.normal(size=len(X))
        noise = find_stages(STEPS, value, np.full(len(X), sd) if with_sem else None).noise
        assert noise.sd.mean() == pytest.approx(sd, rel=0.35)


def test_gaps_are_used_around_and_listed():
    value = np.clip(X, 4, 6) - np.clip(X, 7, 10)
    broken = np.where(np.arange(len(X)) % 17 == 0, np.nan, value)
    stages = find_stages(STEPS, broken)
    assert kinds(stages) == ["peak"]
    assert stages.left_out == tuple(STEPS[::17])


def test_errors_of_zero_and_constant_curves():
    assert find_stages(STEPS, np.full(len(STEPS), 3.5)).boundaries == ()
    value = np.clip(X, 4, 6) - np.clip(X, 7, 10)
    assert kinds(find_stages(STEPS, value, np.zeros(len(X)))) == ["peak"]


@pytest.mark.parametrize(
    ("steps", "value", "sem", "message"),
    [
        (STEPS, np.ones(3), None, "shapes"),
        (STEPS, STEPS, np.ones(3), "shapes"),
        (STEPS[None], STEPS[None], None, "one number per checkpoint"),
        (STEPS[::-1], STEPS, None, "ascending"),
        (np.r_[STEPS[:5], STEPS[4:-1]], STEPS, None, "repeat"),
        (STEPS - 200, STEPS, None, "negative"),
        (STEPS, STEPS, -np.ones(len(STEPS)), "negative standard error at step 1"),
        ([0, 1, 2, 8, 32, 512], range(6), None, "too few checkpoints: 6; expected at least 8"),
        (range(9), [np.nan] * 3 + [1.0] * 6, None, "9, of which 6 have a finite value"),
        ([], [], None, "too few checkpoints"),
    ],
)
def test_bad_input_is_refused(steps, value, sem, message):
    with pytest.raises(InputError, match=message):
        find_stages(steps, value, sem)


def test_what_is_not_sure_is_said():
    """The noisier a pause, the rarer it is sure; some are said to be suggested."""
    steps = np.geomspace(10, 1e5, 40).round()
    x = np.log1p(steps)

    def sure_and_suggested(noise):
        rng, boundaries, dropped = np.random.default_rng(0), 0, 0
        for _ in range(8):
            value = np.clip(x, 3, 6) + np.clip(x, 7.5, 10) + noise * rng.normal(size=len(x))
            stages = find_stages(steps, value)
            boundaries += kinds(stages).count("shoulder")
            dropped += sum("too few checkpoints" in other.reason for other in stages.dropped)
        return boundaries, dropped

    assert sure_and_suggested(0.02)[0] == 8
    boundaries, dropped = sure_and_suggested(0.6)
    assert boundaries < 8
    assert dropped > 0


def test_constants_can_be_set():
    value = np.clip(X, 4, 6) - np.clip(X, 7, 10)
    assert kinds(find_stages(STEPS, value, rule=Rule(start=float(np.exp(7.5))))) == []
    strict = dataclasses.replace(Rule(), slow=2.0, fast=2.0)
    assert find_stages(STEPS, value, rule=strict).boundaries == ()


def test_the_published_rule_takes_zeros_and_minima():
    value = np.clip(X, 4, 6) - 2 * np.clip(X, 7, 8.5) - np.clip(X, 9.7, 12)
    stages = find_stages(STEPS, value, rule=PUBLISHED_RULE)
    places = np.log1p([b.step for b in stages.boundaries if b.kind in ("peak", "shoulder")])
    assert any(6 <= place <= 7 for place in places)
    assert any(8.5 <= place <= 9.7 for place in places)


def runs_with_peaks(*tops):
    rng = np.random.default_rng(0)
    return [find_stages(STEPS, -np.abs(X - top) + 0.02 * rng.normal(size=len(X))) for top in tops]


def test_boundaries_over_seeds():
    (peak,) = over_runs(runs_with_peaks(6.9, 7.0, 7.2))
    assert (peak.kind, peak.runs, peak.of) == ("peak", 3, 3)
    assert peak.spread == pytest.approx(np.std([6.9, 7.0, 7.2], ddof=1), abs=0.05)
    apart = over_runs(runs_with_peaks(5.0, 8.0))
    assert [again.runs for again in apart] == [1, 1]


def test_boundaries_of_two_curves_against_chance():
    first, second = runs_with_peaks(7.0, 7.0)
    (wide,) = second.boundaries
    wide = dataclasses.replace(wide, low=np.expm1(6.5), high=np.expm1(7.5))
    second = dataclasses.replace(second, boundaries=(wide,))
    together = coincidence(first, second)
    assert (together.inside, together.of) == (1, 1)
    assert together.expected == pytest.approx(1 / np.ptp(X), rel=0.01)
    assert together.chance == pytest.approx(together.expected, rel=0.01)


def test_a_smooth_curve_has_the_slope_that_it_says():
    rng = np.random.default_rng(0)
    fitted = smooth.likeliest(X, np.sin(X) + 0.01 * rng.normal(size=len(X)), np.full(len(X), 0.01))
    at, d = np.linspace(3, 11, 9), 1e-4
    mean, covariance = smooth.slope(fitted, at)
    numeric = (smooth.level(fitted, at + d)[0] - smooth.level(fitted, at - d)[0]) / (2 * d)
    np.testing.assert_allclose(mean, numeric, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, np.cos(at), atol=0.15)
    drawn = smooth.draws(mean, covariance, 20_000, 0)
    np.testing.assert_allclose(drawn.std(0), np.sqrt(np.diag(covariance)), rtol=0.03)


def test_the_warp_is_the_integral_of_one_over_the_length():
    x, length = np.array([0.0, 1.0, 1.5, 4.0]), np.array([0.3, 0.9, 0.9, 0.4])
    at = np.linspace(0, 4, 40_001)
    rate = 1 / np.interp(at, x, length)
    numeric = np.r_[0, np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(at))]
    np.testing.assert_allclose(smooth.warp(x, length, at), numeric, atol=1e-6)


PARTS = {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}
needs_icl = pytest.mark.skipif(
    not (SHARED / "icl_regression_seed1.npz").exists(),
    reason="numbers of a published run, not in the repository",
)
needs_xent = pytest.mark.skipif(
    not (SHARED / "chang_bergen_xent.csv").exists(),
    reason="published numbers, not in the repository",
)


@needs_icl
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("with_sem", [True, False])
def test_boundaries_of_a_published_run(with_sem, part):
    """Four inner boundaries and no other, from all checkpoints and from every second one."""
    data, use = np.load(SHARED / "icl_regression_seed1.npz"), PARTS[part]
    sem = data["llc_chain"].std(0, ddof=1) / np.sqrt(len(data["llc_chain"])) if with_sem else None
    stages = find_stages(data["steps"][use], data["llc"][use], None if sem is None else sem[use])
    inner = [boundary for boundary in stages.boundaries if boundary.kind != "edge"]
    assert [b.kind for b in inner] == ["shoulder", "peak", "shoulder", "valley"]
    for boundary, drawn in zip(inner, (1_000, 40_000, 126_000, 320_000), strict=True):
        assert boundary.low / 1.1 <= drawn <= boundary.high * 1.1
    whole = find_stages(data["steps"], data["llc"], sem)
    again = [b for b in whole.boundaries if b.kind != "edge"]
    for boundary, other in zip(inner, again, strict=True):
        assert boundary.low <= other.high
        assert other.low <= boundary.high


def published_curve(model: str, column: str):
    with (SHARED / "chang_bergen_xent.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["model"] == model]
    return np.array([float(r["Steps"]) for r in rows]), np.array([float(r[column]) for r in rows])


@needs_xent
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("model", "column", "step"),
    [("gpt2", "BidirBigramKL", 5_000), ("lstm", "ForwardBigramKL", 12_000)],
)
def test_turning_points_of_published_curves(model, column, step, part):
    steps, value = published_curve(model, column)
    stages = find_stages(steps[PARTS[part]], value[PARTS[part]])
    (valley,) = [boundary for boundary in stages.boundaries if boundary.kind == "valley"]
    assert valley.low <= step <= valley.high


@needs_xent
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("model", ["gpt2", "bert", "lstm", "bilstm"])
def test_a_divergence_that_falls_and_rises_has_one_valley_and_no_shoulder(model, part):
    steps, value = published_curve(model, "UnigramKL")
    inner = kinds(find_stages(steps[PARTS[part]], value[PARTS[part]]))
    assert inner.count("valley") == 1
    assert "shoulder" not in inner
