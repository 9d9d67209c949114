"""Boundaries of several curves beside each other: of one curve over seeds, and of two curves.

Axes: S runs; B boundaries. x = ln(step + 1), in e-folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.stages.rule import Boundary, Stages
from dynamics.errors import InputError

SHIFTS = 2000  # of the null


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """A boundary that several runs may have.

    Attributes:
        kind: of the boundary.
        step: geometric mean of step + 1, less 1, over the runs that have it.
        runs: how many runs have it.
        of: how many runs were searched.
        spread: standard deviation over runs in e-folds; NaN for a single run.
    """

    kind: str
    step: float
    runs: int
    of: int
    spread: float


@dataclass(frozen=True, kw_only=True)
class Coincidence:
    """How many boundaries of a curve lie in intervals of another curve's.

    Attributes:
        inside: how many do.
        of: boundaries of the first curve in the window that both curves share.
        expected: how many would by chance.
        chance: probability of so many or more by chance.
    """

    inside: int
    of: int
    expected: float
    chance: float


def over_runs(runs: Sequence[Stages], near: float = 0.5) -> list[Recurrence]:
    """Boundaries of one curve over runs that differ in their seeds, in ascending order.

    Boundaries of one kind are the same if they lie within `near` e-folds of their mean; a run has
    each at most once.

    Example:
        >>> from dynamics.analysis.stages import find_stages
        >>> steps = np.geomspace(20, 100_000, 60).round()
        >>> x = np.log1p(steps)
        >>> runs = [find_stages(steps, -np.abs(x - top)) for top in (6.9, 7.0, 7.2)]
        >>> [(again.kind, again.runs, again.of) for again in over_runs(runs)]
        [('peak', 3, 3)]
    """
    listed = sorted(
        (boundary.kind, float(np.log1p(boundary.step)), number)
        for number, stages in enumerate(runs)
        for boundary in stages.boundaries
    )
    groups: list[list[tuple[str, float, int]]] = []
    for kind, x, number in listed:
        last = groups[-1] if groups else []
        same_kind = bool(last) and last[0][0] == kind
        free = all(number != other for _, _, other in last)
        if same_kind and free and x - np.mean([place for _, place, _ in last]) <= near:
            last.append((kind, x, number))
        else:
            groups.append([(kind, x, number)])
    recurrences = [_recurrence(group, len(runs)) for group in groups]
    return sorted(recurrences, key=lambda recurrence: recurrence.step)


def _recurrence(group: list[tuple[str, float, int]], of: int) -> Recurrence:
    places = np.array([place for _, place, _ in group])
    return Recurrence(
        kind=group[0][0],
        step=float(np.expm1(places.mean())),
        runs=len(places),
        of=of,
        spread=float(places.std(ddof=1)) if len(places) > 1 else np.nan,
    )


def coincidence(first: Stages, second: Stages) -> Coincidence:
    """How many boundaries of `first` lie inside the intervals of `second`'s, against chance.

    Chance is the same boundaries shifted together by any number of e-folds, around the end of the
    window that both curves share: their distances stay what they are.

    Raises:
        InputError: curves that share no window.

    Example:
        >>> from dynamics.analysis.stages import find_stages
        >>> steps = np.geomspace(20, 100_000, 60).round()
        >>> x = np.log1p(steps)
        >>> peaks = [find_stages(steps, -np.abs(x - top)) for top in (7.0, 7.0)]
        >>> coincidence(*peaks).inside
        1
    """
    low = max(np.log1p(stages.steps_used[0]) for stages in (first, second))
    high = min(np.log1p(stages.steps_used[-1]) for stages in (first, second))
    if high <= low:
        raise InputError("curves over different steps", expected="curves that share some steps")
    places = np.log1p(first.steps)
    places = places[(places >= low) & (places <= high)]
    intervals = [_interval(boundary) for boundary in second.boundaries]

    def inside(x) -> np.ndarray:
        within = [(x >= begin) & (x <= end) for begin, end in intervals]
        return np.any(within, axis=0) if within else np.zeros(x.shape, bool)

    count = int(inside(places).sum())
    shifts = (high - low) * np.arange(SHIFTS)[:, None] / SHIFTS
    shifted = inside(low + (places - low + shifts) % (high - low)).sum(1)
    return Coincidence(
        inside=count,
        of=len(places),
        expected=float(shifted.mean()),
        chance=float((shifted >= count).mean()),
    )


def _interval(boundary: Boundary) -> tuple[float, float]:
    return float(np.log1p(boundary.low)), float(np.log1p(boundary.high))
