"""What traces say about themselves: mixing, the number of independent draws, and spreading.

Axes: C chains; draws are those after the burn-in.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

ENOUGH_DRAWS = 50.0  # independent draws per chain from which intervals between chains cover
GROWTH = 1.1  # of the mean squared distance, from the second quarter of the draws to the last
SURE = 3.0  # standard errors that make a difference sure


class Mixing(NamedTuple):
    """How far the chains of a run agree, and how many independent draws they hold."""

    rhat: float  # rank-normalised split R-hat; nan for one chain or values that never move
    ess: float  # effective number of draws for the mean, all chains together; nan likewise
    per_chain: float  # the same per chain; where ess is nan, the number of draws, its upper bound
    growth: float  # mean squared distance in the last quarter over that in the second, or nan
    spreading: bool  # whether growth is above 1.1 by three standard errors between chains


def mixing(excess: Float[np.ndarray, "C draws"], distance: Float[np.ndarray, "C draws"]) -> Mixing:
    """Mixing of the loss above baseline and of the distance from w*, each [C,draws]."""
    rhat, ess = convergence(excess)
    growth, spreading = _growth(distance)
    per_chain = excess.shape[1] if math.isnan(ess) else ess / len(excess)
    return Mixing(rhat, ess, per_chain, growth, spreading)


def convergence(values: Float[np.ndarray, "C draws"]) -> tuple[float, float]:
    """Rank-normalised split R-hat and the effective sample size for the mean, of [C,draws].

    Both are those of Vehtari et al. (2021). R-hat is nan for one chain; both are nan for fewer than
    four draws and for values that never move.
    """
    if values.shape[1] < 4 or not np.ptp(values) > 0:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arviz announces its successor at import
        import arviz

        rhat = float(arviz.rhat(values)) if len(values) > 1 else math.nan
        return rhat, float(arviz.ess(values, method="mean"))


def _growth(distance) -> tuple[float, bool]:
    """Growth of the mean squared distance, and whether it is sure.

    Chains in a stationary distribution spread no further; a walk without bounds does, linearly.
    """
    quarter = distance.shape[1] // 4
    if quarter < 1:
        return math.nan, False
    squares = np.square(distance.astype(np.float64))
    before, after = squares[:, quarter : 2 * quarter].mean(1), squares[:, -quarter:].mean(1)
    if not before.mean() > 0:
        return math.nan, False
    growth = float(after.mean() / before.mean())
    if len(distance) < 2:
        return growth, False
    rise = after - GROWTH * before
    return growth, bool(rise.mean() > SURE * rise.std(ddof=1) / math.sqrt(len(rise)))
