"""Where a divergence is lowest, how far it falls to there and rises after, and how surely.

Axes: K steps, S seeds, G documents. Units are those of the values.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.analysis import jackknife, selection
from dynamics.analysis.curve import Curve
from dynamics.analysis.uncertainty import paired_difference
from dynamics.errors import InputError

_FLOORED = 3  # times the degrees of freedom, of a variance that is no smaller than the mean one


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
        try:
            difference = paired_difference(pairs[before], pairs[after], weights)
        except InputError:
            return Change(float(curve.value[after] - curve.value[before]), np.nan, np.nan)
        fixed = after if before == lowest else before
        at, end = (int(np.searchsorted(places, place)) for place in (lowest, fixed))
        return Change(difference.value, difference.sem, _errors(pairs[places], weights, at, end))

    return FallAndRise(
        lowest=lowest,
        peak=int(later[np.argmax(curve.value[later])]),
        fall=change(int(places[0]), lowest),
        rise=change(lowest, int(places[-1])),
    )


def _errors(kl: np.ndarray, weights: np.ndarray, lowest: int, fixed: int) -> float:
    """Errors of ln theta between the lowest of all steps of kl [K,S,S,G] and a fixed one.

    Of few seeds a variance is near 0 by chance now and then, at the lowest step as at any. It is
    taken to be no smaller than the mean over the steps, which cuts that tail off, and with it has
    `_FLOORED` times the S - 1 degrees of freedom. The number is from drawing: on flat curves of
    three seeds, 12 and 50 steps, whose errors are alike at all steps, differ by factors of twelve
    or lie in one step alone, wander or go together, 3 errors are then said in at most .009.
    """
    different = ~np.eye(kl.shape[1], dtype=bool)[..., None]
    kl = np.where(different, kl, 0.0)
    try:
        each_seed, each_document = (
            jackknife.log_influence(left_out(kl, weights))
            for left_out in (jackknife.without_each_seed, jackknife.without_each_document)
        )
    except InputError:  # a divergence of zero has no logarithm
        return np.nan
    if lowest == fixed:
        return np.nan
    theta = jackknife.theta(kl, weights)
    ratio = float(np.log(theta[fixed] / theta[lowest]))
    by_step = ((each_seed - each_seed[fixed]) ** 2).sum(-1)
    of_seeds = max(by_step[lowest], by_step.sum() / (len(kl) - 1))
    of_documents = ((each_document[lowest] - each_document[fixed]) ** 2).sum()
    if not of_seeds + of_documents > 0:
        return np.nan
    free = [_FLOORED * (kl.shape[1] - 1), jackknife.document_df(weights)]
    df = selection.mixed_df([of_seeds, of_documents], free)
    return selection.picked_extreme(ratio / np.sqrt(of_seeds + of_documents), df, len(kl) - 1)
