"""In what order a curve surely climbs, surely falls and surely pauses.

Axes: K checkpoints; [K, K] is an interval from its first checkpoint to its last. Slopes and rises
are shares of the curve's range, slopes per e-fold.

At a level t, a movement is an interval whose slope is surely beyond t and which surely moves the
curve by a size; a pause is an interval whose slope is surely within t and in which no interval is
surely beyond it. Movements and pauses that follow each other without overlap are read off from left
to right, each ending as early as it can, and from right to left, each beginning as late as it can:
interval scheduling, which finds as many alternations as the limits allow. If all limits hold at
once, every alternation is one of the curve.
"""

from typing import NamedTuple

import numpy as np

UP, DOWN, PAUSE = 0, 1, 2


class Span(NamedTuple):
    """An interval of checkpoints, both ends included."""

    first: int
    last: int


class Token(NamedTuple):
    """A movement or a pause: as early as it can end, and as late as it can begin."""

    kind: int  # UP, DOWN or PAUSE
    early: Span
    late: Span


class Limits(NamedTuple):
    """Slopes [K, K] with half the length of their limits, and lengths in e-folds.

    `scatter` is the noise of a typical checkpoint, as a share of the range: no movement counts that
    is smaller.
    """

    mean: np.ndarray
    margin: np.ndarray
    length: np.ndarray
    scatter: float


class Sizes(NamedTuple):
    """Sizes from which on movements and pauses count, as in `rule.Rule`."""

    slow: float
    fast: float
    brisk: float
    pause: float
    contrast: float


def movements(limits: Limits, level: float, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Up and down, [K, K] booleans each."""

    def upward(slope):
        least = slope - limits.margin
        rise = np.where(np.isfinite(least), least, 0) * limits.length
        fast = (least >= sizes.brisk) & (rise >= max(sizes.fast, limits.scatter))
        sized = (rise >= max(sizes.slow, limits.scatter)) | fast
        return (least > level) & (slope >= np.sqrt(sizes.contrast) * level) & sized

    return upward(limits.mean), upward(-limits.mean)


def pauses(limits: Limits, level: float, sizes: Sizes) -> np.ndarray:
    """[K, K] booleans."""
    size = np.abs(limits.mean)
    slow = (size + limits.margin < level) & (size <= level / np.sqrt(sizes.contrast))
    beyond = np.maximum.accumulate(_latest_start(size - limits.margin > level))
    index = np.arange(len(size))
    return slow & (limits.length >= sizes.pause) & (beyond[None] < index[:, None])


def tokens(intervals: dict[int, np.ndarray]) -> list[Token]:
    """The order of intervals of several kinds, [K, K] booleans for each."""
    size = len(next(iter(intervals.values())))
    early = _scheduled(intervals)
    mirrored = {kind: where[::-1, ::-1].T for kind, where in intervals.items()}
    late = [
        (kind, Span(size - 1 - span.last, size - 1 - span.first))
        for kind, span in reversed(_scheduled(mirrored))
    ]
    if [kind for kind, _ in early] != [kind for kind, _ in late]:
        late = early
    return [Token(kind, span, other[1]) for (kind, span), other in zip(early, late, strict=True)]


def _scheduled(intervals: dict[int, np.ndarray]) -> list[tuple[int, Span]]:
    """Alternating intervals, each the earliest to end of those that begin after the one before."""
    latest = {kind: _latest_start(where) for kind, where in intervals.items()}
    order: list[tuple[int, Span]] = []
    begin = 0
    while True:
        choices = []
        for kind, starts in latest.items():
            if order and order[-1][0] == kind:
                continue
            ends = np.flatnonzero(starts[begin:] >= begin)
            if len(ends):
                last = begin + int(ends[0])
                choices.append((last, kind, Span(int(starts[last]), last)))
        if not choices:
            return order
        _, kind, span = min(choices)
        order.append((kind, span))
        begin = span.last


def _latest_start(where: np.ndarray) -> np.ndarray:
    """[K] for each last checkpoint the latest first one of an interval; -1 without any."""
    index = np.arange(len(where))
    return np.where(where & (index[:, None] < index), index[:, None], -1).max(0)
