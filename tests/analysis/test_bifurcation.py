"""Forks of paths: power against distance, place, and false alarms under every null.

Axes: K checkpoints, N paths.
"""

import functools

import numpy as np
import pytest

from dynamics.analysis.bifurcation import RULE, find_bifurcation
from dynamics.errors import InputError

CHECKPOINTS, PATHS = 12, 10_000
STEPS = 1000 * np.arange(1, CHECKPOINTS + 1)
COLUMN = np.arange(PATHS) % 40


def diffusion(rng) -> np.ndarray:
    return np.cumsum(rng.normal(size=(CHECKPOINTS, PATHS)), axis=0)


def drift(rng) -> np.ndarray:
    time = np.arange(CHECKPOINTS)[:, None]
    return rng.normal(size=PATHS) * (1 + time) + 0.5 * time + rng.normal(size=(CHECKPOINTS, PATHS))


def gauge(rng) -> np.ndarray:
    """Columns move two standard deviations apart, in two camps: the raw density has two modes."""
    shift = np.where(np.arange(40) % 2, 2.0, -2.0)[COLUMN]
    return rng.normal(size=(CHECKPOINTS, PATHS)) + np.linspace(0, 1, CHECKPOINTS)[:, None] * shift


def heavy_tails(rng) -> np.ndarray:
    return rng.standard_t(2, size=(CHECKPOINTS, PATHS))


def flat(rng) -> np.ndarray:
    """The hardest density with one mode: any noise makes a valley in it."""
    return rng.random((CHECKPOINTS, PATHS))


NULLS = {f.__name__: f for f in (diffusion, drift, gauge, heavy_tails, flat)}


@pytest.mark.parametrize("name", NULLS)
def test_at_most_one_false_alarm_in_twenty_under_each_null(name):
    rng, shared = np.random.default_rng(1), COLUMN if name == "gauge" else None
    alarms = [find_bifurcation(STEPS, NULLS[name](rng), shared).step is not None for _ in range(40)]
    assert sum(alarms) <= 2


def test_without_its_columns_a_gauge_shift_looks_like_a_fork():
    paths = gauge(np.random.default_rng(0))
    assert find_bifurcation(STEPS, paths).step is not None
    assert find_bifurcation(STEPS, paths, COLUMN).step is None


def test_the_threshold_holds_at_single_checkpoints_too():
    """The bound is Bonferroni's, and holds before persistence is asked for."""
    rng = np.random.default_rng(2)
    depths = [find_bifurcation(STEPS, flat(rng)).depth.max() for _ in range(40)]
    assert sum(depth > RULE.threshold(CHECKPOINTS) for depth in depths) <= 2


def fork(distance: float, rng, first: int = 6, rise: int = 1) -> np.ndarray:
    """Modes move apart over `rise` checkpoints, to a distance in standard deviations of each."""
    side = np.where(rng.random(PATHS) < 0.5, 0.5, -0.5)
    grown = np.clip((np.arange(CHECKPOINTS) - first + 1) / rise, 0, 1)[:, None]
    return rng.normal(size=(CHECKPOINTS, PATHS)) + distance * grown * side


@functools.cache
def places_of(distance: float, rise: int) -> list[int | None]:
    """Places of the forks in 20 runs, as checkpoints; None for those not seen."""
    rng = np.random.default_rng(int(100 * distance) + rise)
    steps = [find_bifurcation(STEPS, fork(distance, rng, rise=rise)).step for _ in range(20)]
    return [None if step is None else step // 1000 - 1 for step in steps]


def power(distance: float) -> float:
    return float(np.mean([place is not None for place in places_of(distance, 1)]))


def test_power_rises_from_nothing_at_two_to_all_at_three():
    """An equal mixture two standard deviations apart has one mode: nothing is to be seen."""
    assert power(2) <= 0.05
    assert power(3) >= 0.9
    assert power(4) >= 0.9
    assert power(2) <= power(2.6) <= power(3)


@pytest.mark.parametrize("distance", [3, 4])
@pytest.mark.parametrize("rise", [1, 3])
def test_a_fork_is_located_within_two_checkpoints(distance, rise):
    """Of the first at which the mixture itself has two modes: a distance above 2."""
    apart = distance * np.clip((np.arange(CHECKPOINTS) - 5) / rise, 0, 1)
    true = int(np.flatnonzero(apart > 2)[0])
    places = places_of(distance, rise)
    near = [place is not None and abs(place - true) <= 2 for place in places]
    assert np.mean(near) >= 0.9


def test_paths_that_fork_for_good_stay_on_their_side():
    rng = np.random.default_rng(0)
    forked = find_bifurcation(STEPS, fork(5, rng))
    assert forked.step == 7000
    assert forked.low == 6000
    assert forked.loyal > 0.97
    side = np.where(rng.random((CHECKPOINTS, PATHS)) < 0.5, 2.5, -2.5)  # drawn anew each time
    anew = find_bifurcation(STEPS, side + rng.normal(size=side.shape))
    assert anew.loyal == pytest.approx(0.5, abs=0.03)


def test_modes_are_where_they_were_put():
    forked = find_bifurcation(STEPS, fork(5, np.random.default_rng(0)))
    np.testing.assert_allclose(forked.modes[-1], [-2.5, 2.5], atol=0.25)
    assert abs(forked.valley[-1]) < 0.5


def test_a_single_faulty_checkpoint_is_no_fork():
    rng = np.random.default_rng(0)
    paths = rng.normal(size=(CHECKPOINTS, PATHS))
    paths[5] += np.where(rng.random(PATHS) < 0.5, 3, -3)
    assert find_bifurcation(STEPS, paths).two_modes.sum() == 1
    assert find_bifurcation(STEPS, paths).step is None


def test_lumps_of_a_few_columns_are_no_modes_of_all():
    """Each of 12 columns is one lump: their density has many peaks, and a 13th column would lie
    anywhere."""
    rng, column = np.random.default_rng(0), np.arange(PATHS) % 12
    alarms = {True: 0, False: 0}
    for _ in range(20):
        lumps = rng.normal(size=12)[column] + 0.02 * rng.normal(size=(CHECKPOINTS, PATHS))
        alarms[False] += find_bifurcation(STEPS, lumps).step is not None
        alarms[True] += find_bifurcation(STEPS, lumps, clusters=column).step is not None
    assert alarms[False] > 10
    assert alarms[True] <= 1
    rows = fork(4, rng)
    assert find_bifurcation(STEPS, rows, clusters=COLUMN).step == 7000


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_paths_that_are_all_equal_do_not_fork(level):
    assert find_bifurcation(STEPS, np.full((CHECKPOINTS, 50), level)).step is None


@pytest.mark.parametrize(
    "paths", [np.zeros((3, 4)), np.full((CHECKPOINTS, 4), np.nan), np.zeros((CHECKPOINTS, 0))]
)
def test_bad_paths_are_refused(paths):
    with pytest.raises(InputError):
        find_bifurcation(STEPS, paths)
