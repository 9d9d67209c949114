"""Change points of series: existence, place, coverage, coincidence. Axes: K checkpoints."""

from collections.abc import Callable

import numpy as np
import pytest

from dynamics.analysis.change_points import (
    FEWEST,
    ChangePoint,
    against_size,
    coincidence,
    find_changes,
)
from dynamics.errors import InputError

STEPS = np.r_[0, 2 ** np.arange(10), np.arange(1000, 21_000, 1000)]
X = np.log1p(STEPS)
SPAN = (X - X[0]) / (X[-1] - X[0])
PLACE = 5500.0  # between checkpoints


def changes(make: Callable, runs: int, seed: int = 0) -> list[ChangePoint]:
    rng = np.random.default_rng(seed)
    return [find_changes(STEPS, {"a": make(rng)})["a"] for _ in range(runs)]


def jump(rng, size: float = 1.0, place: float = PLACE) -> np.ndarray:
    return 0.3 * SPAN + size * (place < STEPS) + 0.1 * rng.normal(size=len(STEPS))


def bend(rng, place: float = 200.0) -> np.ndarray:
    return np.maximum(X - np.log1p(place), 0) / 4 + 0.03 * rng.normal(size=len(STEPS))


SMOOTH = {
    "noise": lambda rng: rng.normal(size=len(STEPS)),
    "line": lambda rng: SPAN + 0.05 * rng.normal(size=len(STEPS)),
    "parabola": lambda rng: SPAN**2 + 0.05 * rng.normal(size=len(STEPS)),
    "exponential": lambda rng: np.exp(2 * SPAN) / 7 + 0.02 * rng.normal(size=len(STEPS)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_a_smooth_curve_has_not_changed_yet(name):
    results = changes(SMOOTH[name], 100)
    assert np.mean([change.exists for change in results]) <= 0.05
    assert all(change.reason for change in results if not change.exists)


@pytest.mark.parametrize(("make", "place"), [(jump, PLACE), (bend, 200.0)])
def test_a_change_is_seen_and_its_interval_covers_it(make, place):
    results = changes(make, 100)
    seen = [change for change in results if change.exists]
    assert len(seen) >= 90
    assert {change.kind for change in seen} == {make.__name__}
    covered = np.mean([change.low <= place <= change.high for change in seen])
    assert covered >= 0.88


def test_a_change_after_the_last_checkpoint_is_not_yet():
    (late,) = changes(lambda rng: jump(rng, place=30_000.0), 1)
    assert not late.exists
    assert np.isnan(late.step)


def test_scale_and_sign_move_no_change_point():
    series = jump(np.random.default_rng(0))
    results = find_changes(STEPS, {"a": series, "b": -1e6 * series + 5})
    assert results["a"].step == pytest.approx(results["b"].step)


def test_series_of_one_event_agree_and_of_two_do_not():
    rng = np.random.default_rng(0)
    together, apart = [], []
    for _ in range(30):
        series = {"a": jump(rng), "b": -2 * jump(rng, 1.5), "c": jump(rng, place=11_500.0)}
        changed = find_changes(STEPS, series)
        together.append(coincidence(changed["a"], changed["b"], STEPS))
        apart.append(coincidence(changed["a"], changed["c"], STEPS))
    assert np.mean([both.compatible for both in together]) >= 0.9
    assert np.mean([both.within_one for both in together]) > 0.9
    assert not any(both.compatible for both in apart)
    assert max(both.within_one for both in apart) < 0.05
    middle = np.median([both.ratio for both in apart])
    assert middle == pytest.approx(11_500 / 5_500, rel=0.05)


def test_what_has_not_changed_coincides_with_nothing():
    results = find_changes(STEPS, {"a": jump(np.random.default_rng(0)), "b": SPAN})
    assert coincidence(results["a"], results["b"], STEPS) is None


def place_at(step: float, spread: float = 0.1) -> ChangePoint:
    draws = np.expm1(np.log1p(step) + spread * np.random.default_rng(0).normal(size=400))
    low, high = np.quantile(draws, [0.025, 0.975])
    return ChangePoint(kind="jump", step=step, low=low, high=high, reason="", draws=draws)


def test_a_power_law_over_models_is_found_and_the_late_ones_counted():
    sizes = [1e6, 1e7, 1e8, 1e9]
    none = find_changes(STEPS, {"a": SPAN})["a"]
    trend = against_size(sizes, [*(place_at(10 * size**0.3) for size in sizes[:3]), none])
    assert trend is not None
    assert trend.slope == pytest.approx(0.3, abs=0.01)
    assert trend.low < 0.3 < trend.high
    assert (trend.count, trend.not_yet) == (3, 1)
    assert against_size(sizes[:2], [place_at(5.0), none]) is None


def test_gaps_are_left_out_and_few_points_say_nothing():
    series = jump(np.random.default_rng(0))
    gaps = series.copy()
    gaps[[3, 20]] = np.nan
    few = np.where(np.arange(len(STEPS)) < FEWEST - 1, series, np.nan)
    results = find_changes(STEPS, {"all": series, "gaps": gaps, "few": few, "flat": 0 * series})
    assert results["gaps"].step == pytest.approx(results["all"].step, rel=0.1)
    assert "finite values" in results["few"].reason
    assert results["flat"].reason == "a constant"


def test_bad_series_are_refused():
    with pytest.raises(InputError, match="a value at each"):
        find_changes(STEPS, {"a": SPAN[:-1]})
    with pytest.raises(InputError, match="ascending"):
        find_changes(STEPS[::-1], {"a": SPAN})
