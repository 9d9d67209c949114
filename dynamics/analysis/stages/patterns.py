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


class Sizes(NamedTuple):
    """Sizes from which on movements and pauses count, as in `rule.Rule`.

    `scatter` is the noise of a typical checkpoint, as a share of the range: no movement counts that
    is smaller.
    """

    slow: float
    fast: float
    brisk: float
    pause: float
    contrast: float
    scatter: float


class Levels(NamedTuple):
    """Up to which level an interval is what, [K, K] each; infinite where it never is.

    Attributes:
        up, down: a movement at all levels below.
        slow: a pause, if nothing in it is fast, at all levels above.
        fast: surely faster than all levels below, of whatever size.
    """

    up: np.ndarray
    down: np.ndarray
    slow: np.ndarray
    fast: np.ndarray


def levels(mean: np.ndarray, margin: np.ndarray, length: np.ndarray, sizes: Sizes) -> Levels:
    """Levels of the intervals with these slopes, half lengths of limits, and lengths in e-folds."""
    apart = np.sqrt(sizes.contrast)

    def upward(slope):
        least = slope - margin
        rise = np.where(np.isfinite(least), least, 0) * length
        fast = (least >= sizes.brisk) & (rise >= max(sizes.fast, sizes.scatter))
        sized = (rise >= max(sizes.slow, sizes.scatter)) | fast
        return np.where(sized, np.minimum(least, slope / apart), -np.inf)

    size = np.abs(mean)
    slow = np.where(length >= sizes.pause, np.maximum(size + margin, size * apart), np.inf)
    return Levels(upward(mean), upward(-mean), slow, size - margin)


def movements(intervals: Levels, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Up and down, [K, K] booleans each."""
    return intervals.up > level, intervals.down > level


def pauses(intervals: Levels, level: float) -> np.ndarray:
    """[K, K] booleans."""
    beyond = np.maximum.accumulate(_latest_start(intervals.fast > level))
    index = np.arange(len(beyond))
    return (intervals.slow < level) & (beyond[None] < index[:, None])


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
    index = np.arange(len(where), dtype=np.int16)  # small numbers: this is where the time goes
    return np.where(where, index[:, None], np.int16(-1)).max(0).astype(int)
