"""Sharp falls: a large drop between neighbouring checkpoints, far steeper than what is beside it.

Axes: K checkpoints. x = ln(step + 1), in e-folds.
"""

from typing import NamedTuple

import numpy as np

from dynamics.analysis.stages.noise import Noise
from dynamics.analysis.stages.patterns import Span

SURELY = 4.0  # standard errors
STEEPER = 4.0  # than the steepest neighbour
STEEPER_OVER_TWO = 6.0  # for a drop over two gaps that are not short
BRIEF, MOST = 0.15, 12  # e-folds and gaps that a drop over several gaps takes at most


class Fall(NamedTuple):
    """A sharp fall: its checkpoints, and its middle with limits in x."""

    span: Span
    middle: float
    low: float
    high: float


def falls(x: np.ndarray, y: np.ndarray, noise: Noise, scale: float, least: float) -> list[Fall]:
    """Falls of y [K] at x [K] by at least the share `least` of the range `scale`.

    The middle of a fall is in the gap in which the curve passes half of it; its interval is that
    gap without a fortieth at each end, and half a gap wider where the fall takes several gaps.
    """
    level, sd = y / scale, noise.sd / scale
    steep = sorted(
        (_slope(x, level, first, last), first, last)
        for first in range(1, len(x) - 2)
        for last in range(first + 1, min(first + MOST, len(x) - 1))
        if _is_fall(x, level, sd, first, last, least)
    )
    separate: list[Span] = []
    for _, first, last in steep:  # steepest first
        if all(last <= span.first or span.last <= first for span in separate):
            separate.append(Span(first, last))
    return [_placed(x, y, span) for span in separate]


def _is_fall(x, level, sd, first: int, last: int, least: float) -> bool:
    gaps, length = last - first, x[last] - x[first]
    if gaps > 2 and length > BRIEF:
        return False
    drop = level[first] - level[last]
    if drop - SURELY * np.hypot(sd[first], sd[last]) < least:
        return False
    end = len(x) - 1
    beside = max(
        abs(_slope(x, level, *pair))
        for pair in (
            (first - 1, first),
            (max(first - 3, 0), first),
            (last, last + 1),
            (last, min(last + 3, end)),
        )
    )
    ratio = STEEPER if gaps == 1 or length <= BRIEF else STEEPER_OVER_TWO
    return drop / length > ratio * beside


def _slope(x, level, first: int, last: int) -> float:
    return float((level[last] - level[first]) / (x[last] - x[first]))


def _placed(x, y, span: Span) -> Fall:
    half = (y[span.first] + y[span.last]) / 2
    after = span.first + int(np.argmax(y[span.first : span.last + 1] <= half))
    low, high = float(x[after - 1]), float(x[after])
    inner = (high - low) / 40 if span.last == span.first + 1 else -(high - low) / 2
    return Fall(span, (low + high) / 2, low + inner, high - inner)
