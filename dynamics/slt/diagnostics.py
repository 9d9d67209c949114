"""What traces say of themselves: did chains mix, are there enough draws, had they stopped
spreading?

Axes: C chains, draws after the burn-in.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np

ENOUGH = 50.0  # independent draws per chain from which intervals between chains cover what they say
GROWTH = 1.1  # of the mean squared distance, from the second quarter of the draws to the last
SURE = 3.0  # standard errors


class Mixing(NamedTuple):
    """How far the chains of one run agree, and how much they hold."""

    rhat: float  # rank-normalised split R-hat; nan for one chain or values that never move
    ess: float  # effective number of draws for the mean, all chains together; nan likewise
    per_chain: (
        float  # the same per chain; where that is nan the draws there are, which it cannot exceed
    )
    growth: float  # mean squared distance in the last quarter over that in the second; nan where it cannot be told
    spreading: bool  # that growth is above 1.1 by three standard errors between chains


def mixing(excess, distance) -> Mixing:
    """Of loss above baseline and distance from w*, each [C,draws]."""
    rhat, ess = convergence(excess)
    growth, spreading = _growth(distance)
    per_chain = excess.shape[1] if math.isnan(ess) else ess / len(excess)
    return Mixing(rhat, ess, per_chain, growth, spreading)


def convergence(values) -> tuple[float, float]:
    """Rank-normalised split R-hat and the effective sample size for the mean (Vehtari et al. 2021)
    of [C,draws].

    nan where they do not exist: R-hat for one chain, both for fewer than four draws or values that
    never move.
    """
    if values.shape[1] < 4 or not np.ptp(values) > 0:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arviz announces its successor at import
        import arviz

        rhat = float(arviz.rhat(values)) if len(values) > 1 else math.nan
        return rhat, float(arviz.ess(values, method="mean"))


def _growth(distance) -> tuple[float, bool]:
    """Chains that have reached a stationary distribution spread no further; a walk without bounds
    does, linearly."""
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
