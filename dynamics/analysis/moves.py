"""How far a boundary moves from one run to another, from the intervals of both.

Places are on the axis ln(step + 1), so that a move is in e-folds.

Example: a boundary at step 31 in one run and at 127 in the other moved by ln 4.
"""

from typing import Literal, NamedTuple

import numpy as np

from dynamics.analysis.phases import Estimate

Verdict = Literal["stays", "goes along", "neither", "not told apart"]


class Move(NamedTuple):
    """A move and what it is a share of, in e-folds of step + 1.

    Attributes:
        shift: from the first run's boundary to the second's, with its interval.
        full: the move of a boundary that goes along with what was changed.
        verdict: whether the interval allows no move, the full one, neither, or both.
    """

    shift: Estimate
    full: float
    verdict: Verdict


def move(first: Estimate, second: Estimate, full: float) -> Move:
    """The move from the boundary `first` to `second`, both steps with their intervals.

    Limits by the method of variance estimates recovery (Zou & Donner 2008, "Construction of
    confidence limits about effect measures", Statistics in Medicine 27): those of a difference of
    two independent estimates whose own limits are known. Runs on the same data in the same order
    are not independent; what they share makes the interval longer than it need be.

    Args:
        first, second: with limits at one level; the move has that level. NaN limits give NaN.
        full: e-folds of what was changed, not 0.

    Example:
        >>> still = move(Estimate(30, 25, 36), Estimate(32, 26, 39), full=np.log(4))
        >>> still.verdict, round(still.shift.value, 3)
        ('stays', 0.063)
        >>> move(Estimate(31, 28, 34), Estimate(127, 110, 140), full=np.log(4)).verdict
        'goes along'
    """
    (a, a_low, a_high), (b, b_low, b_high) = np.log1p(first), np.log1p(second)
    shift = float(b - a)
    low = shift - float(np.hypot(b - b_low, a_high - a))
    high = shift + float(np.hypot(b_high - b, a - a_low))
    return Move(Estimate(shift, low, high), full, _verdict(low, high, full))


def _verdict(low: float, high: float, full: float) -> Verdict:
    still, along = low <= 0 <= high, low <= full <= high
    if not np.isfinite([low, high]).all() or (still and along):
        return "not told apart"
    if still:
        return "stays"
    return "goes along" if along else "neither"
