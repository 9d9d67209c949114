"""What a rule makes of one planted curve.

A planted boundary is found by a boundary of its kind no farther than a quarter of an e-fold, half
the length of the pause, or the gap between the checkpoints beside it, whichever is most. Every
boundary finds one plant at most; those that find none are false, but for edges at an open end.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from benchmarks.stages import oracle
from benchmarks.stages.planted import Place, Planted, curve
from dynamics.analysis.stages import Boundary, find_stages

NEAR = 0.25  # e-folds


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Counts of one curve, or of many added up.

    Attributes:
        curves: how many.
        planted: boundaries that were planted.
        seen: of these, how many the oracle sees.
        recalled: of those that the oracle sees, how many the rule finds.
        paired: planted boundaries that the rule finds, seen by the oracle or not.
        held: of the paired ones, how many lie in their interval.
        false: boundaries that were not planted.
    """

    curves: int = 0
    planted: int = 0
    seen: int = 0
    recalled: int = 0
    paired: int = 0
    held: int = 0
    false: int = 0

    def __add__(self, other: "Judged") -> "Judged":
        names = [field.name for field in dataclasses.fields(self)]
        return Judged(**{name: getattr(self, name) + getattr(other, name) for name in names})


def judge(kind: str, seed: int, count: int) -> Judged:
    """The rule on the planted curve of this kind, seed and number of checkpoints."""
    planted = curve(kind, seed, count)
    boundaries = find_stages(planted.steps, planted.value, planted.sem).boundaries
    pairs, false = _matched(planted, boundaries)
    seen = [oracle.sees(planted, place) for place in planted.places]
    return Judged(
        curves=1,
        planted=len(pairs),
        seen=sum(seen),
        recalled=sum(
            boundary is not None for (_, boundary), sees in zip(pairs, seen, strict=True) if sees
        ),
        paired=sum(boundary is not None for _, boundary in pairs),
        held=sum(
            boundary is not None and boundary.low <= place.step <= boundary.high
            for place, boundary in pairs
        ),
        false=len(false),
    )


def _matched(planted: Planted, boundaries) -> tuple[list[tuple[Place, Boundary | None]], list]:
    """Every planted place with its boundary or None, and the boundaries that are false."""
    free, pairs = list(boundaries), []
    for place in planted.places:
        near = [
            boundary
            for boundary in free
            if boundary.kind == place.kind
            and _distance(boundary.step, place.step) <= _reach(planted, place)
        ]
        nearest = min(near, key=lambda b, step=place.step: _distance(b.step, step), default=None)
        if nearest is not None:
            free.remove(nearest)
        pairs.append((place, nearest))
    return pairs, [boundary for boundary in free if not _is_open(planted, boundary)]


def _distance(a: float, b: float) -> float:
    return abs(np.log1p(a) - np.log1p(b))


def _reach(planted: Planted, place: Place) -> float:
    x, at = np.log1p(planted.steps), np.log1p(place.step)
    after = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
    half = 0.0 if place.kind == "edge" else _distance(*place.width) / 2
    return max(NEAR, half, float(x[after] - x[after - 1]))


def _is_open(planted: Planted, boundary: Boundary) -> bool:
    """Whether an edge is at an end where it is counted neither way."""
    x = np.log1p(planted.steps)
    late = np.log1p(boundary.step) > (x[0] + x[-1]) / 2
    return boundary.kind == "edge" and planted.open_ends[int(late)]
