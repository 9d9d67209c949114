"""Where a divergence is lowest, how far it falls to there and rises after, and how surely.

Axes: K steps, S seeds, G documents. Units are those of the values.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.analysis import selection
from dynamics.analysis.curve import Curve
from dynamics.analysis.uncertainty import paired_difference, paired_log_ratio
from dynamics.errors import InputError


class Change(NamedTuple):
    """A difference between the lowest step and another.

    Attributes:
        value: the difference.
        sem: its standard error, as if both steps had been named beforehand.
        errors: how many standard errors it is worth, freed of the picking of the lowest step and of
            how few units the error rests on (`selection.picked_extreme` of the log ratio). On a
            flat curve it is 3 or more in at most one case of a hundred.

    `sem` and `errors` are NaN where nothing shows the error.
    """

    value: float
    sem: float
    errors: float


@dataclass(frozen=True, kw_only=True)
class FallAndRise:
    """The turns of a curve that falls and may rise again.

    Attributes:
        lowest: index of the lowest checkpoint, picked from the data.
        peak: index of the highest checkpoint from the lowest on.
        fall: from the first checkpoint to the lowest.
        rise: from the lowest checkpoint to the last.

    Checkpoints at which the curve is not finite have no part in it, unless none is finite.
    """

    lowest: int
    peak: int
    fall: Change
    rise: Change


def fall_and_rise(
    curve: Curve, pairs: Float[np.ndarray, "K S S G"], weights: Float[np.ndarray, " G"]
) -> FallAndRise:
    """The turns of a curve that is the pair mean of pairs [K,S,S,G], documents weighted [G].

    Errors are over seeds and documents, which both steps of a difference share. There is none with
    fewer than three seeds or two documents.

    Example:
        >>> level = np.array([4.0, 1.0, 3.0, 2.0])
        >>> pairs = level[:, None, None, None] * np.ones((4, 3, 3, 5))
        >>> curve = Curve.with_sem("toy", [0, 1, 2, 4], level, 0 * level, "")
        >>> turns = fall_and_rise(curve, pairs, np.ones(5))
        >>> turns.lowest, turns.peak, turns.fall.value, turns.rise.value
        (1, 2, -3.0, 1.0)
    """
    finite = np.flatnonzero(np.isfinite(curve.value))
    places = finite if len(finite) else np.arange(len(curve.steps))
    lowest = int(places[np.argmin(curve.value[places])])
    later = places[places >= lowest]

    def change(before: int, after: int) -> Change:
        ends = pairs[before], pairs[after], weights
        try:
            difference = paired_difference(*ends)
        except InputError:
            return Change(float(curve.value[after] - curve.value[before]), np.nan, np.nan)
        return Change(difference.value, difference.sem, _errors(ends, len(places) - 1))

    return FallAndRise(
        lowest=lowest,
        peak=int(later[np.argmax(curve.value[later])]),
        fall=change(int(places[0]), lowest),
        rise=change(lowest, int(places[-1])),
    )


def _errors(ends, others: int) -> float:
    """Of a change between the lowest step and one of `others`, what is left after the picking."""
    try:
        ratio = paired_log_ratio(*ends)
    except InputError:  # a divergence of zero has no logarithm
        ratio = paired_difference(*ends)
    if not (others and ratio.sem > 0):
        return np.nan
    return selection.picked_extreme(abs(ratio.ratio), ratio.df, others)
