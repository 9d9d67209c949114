"""Where a divergence is lowest, how far it falls to there and rises after, and how surely.

Axes: K steps, S seeds, G documents. Units are those of the values.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.analysis.curve import Curve
from dynamics.analysis.uncertainty import paired_difference
from dynamics.errors import InputError


class Change(NamedTuple):
    """A difference between two steps and its standard error, NaN where nothing shows it."""

    value: float
    sem: float

    @property
    def ratio(self) -> float:
        """The difference in standard errors; NaN where the error is not known or is 0."""
        return self.value / self.sem if self.sem > 0 else np.nan


@dataclass(frozen=True, kw_only=True)
class FallAndRise:
    """The turns of a curve that falls and may rise again.

    Attributes:
        lowest: index of the lowest checkpoint. It is picked from the data, and the errors of `fall`
            and `rise` take no account of that.
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
        try:
            return Change(*paired_difference(pairs[before], pairs[after], weights))
        except InputError:
            return Change(float(curve.value[after] - curve.value[before]), np.nan)

    return FallAndRise(
        lowest=lowest,
        peak=int(later[np.argmax(curve.value[later])]),
        fall=change(int(places[0]), lowest),
        rise=change(lowest, int(places[-1])),
    )
