"""What traces say about themselves: mixing, the number of independent draws, and spreading.

Axes: C chains, K directions; draws are those after the burn-in.

The loss of a batch shows the batch's noise beside the chain's place, and noise that is drawn anew
at each step looks like good mixing. So chains on minibatches are judged by their offset along the
gradients of K batches (`gradient.StartGradient`), which depends on the place alone; its mean square
over the directions is the loss of a quadratic whose Hessian is the Fisher information.

An LLC of very many directions is a sum that is sure long before a chain has been to both ends of
any of them. So where |u|^2, in which the slowest directions weigh most, has surely stopped growing,
and chains agree on the estimate as well as 50 independent draws of one direction would, single
directions are not asked.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

ENOUGH_DRAWS = 50.0  # independent draws per chain from which intervals between chains cover
GROWTH = 1.1  # of the mean squared distance, from the second quarter of the draws to the last
SETTLED = 1.05  # the same, below which chains have surely stopped spreading
SURE = 3.0  # standard errors that make a difference sure


class Mixing(NamedTuple):
    """How far the chains of a run agree, and how many independent draws they hold."""

    rhat: float  # the worst R-hat of what was judged; nan for one chain or values that never move
    ess: float  # the smallest effective number of draws, all chains together; nan likewise
    per_chain: float  # the same per chain; where ess is nan, the number of draws, its upper bound
    growth: float  # mean squared distance in the last quarter over that in the second, or nan
    spreading: bool  # whether growth is above 1.1 by three standard errors between chains
    loss_rhat: float = math.nan  # R-hat of the loss above its baseline, batch noise included
    loss_ess: float = math.nan  # effective number of draws for its mean
    place_error: float = 0.0  # relative error of the mean square along directions; 0 without them


def mixing(
    excess: Float[np.ndarray, "C draws"],
    distance: Float[np.ndarray, "C draws"],
    projections: Float[np.ndarray, "C draws K"] | None = None,
) -> Mixing:
    """Mixing of the loss above baseline, the distance from w* and the offset along K directions.

    Args:
        excess, distance: [C,draws].
        projections: [C,draws,K]; None where the loss has no batch noise or nothing else is known.
    """
    loss_rhat, loss_ess = rhat, ess = convergence(excess)
    place_error = 0.0
    growth, spreading, settled = _growth(distance)
    if projections is not None and not (settled and _agree(excess)):
        energy = np.square(projections.astype(np.float64)).sum(2)
        energy_rhat, energy_ess = convergence(energy)
        rhat, ess = np.fmax(rhat, energy_rhat), np.fmin(ess, energy_ess)
        if energy_ess > 0:
            place_error = float(energy.std() / energy.mean() / math.sqrt(energy_ess))
    per_chain = excess.shape[1] if math.isnan(ess) else ess / len(excess)
    return Mixing(
        rhat=float(rhat),
        ess=float(ess),
        per_chain=float(per_chain),
        growth=growth,
        spreading=spreading,
        loss_rhat=loss_rhat,
        loss_ess=loss_ess,
        place_error=place_error,
    )


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


def _agree(excess: Float[np.ndarray, "C draws"]) -> bool:
    """Whether chains agree as means of 50 independent squares of a normal number would."""
    means = excess.mean(axis=1)
    return bool(ENOUGH_DRAWS * means.var(ddof=1) <= 2 * means.mean() ** 2)


def _growth(distance) -> tuple[float, bool, bool]:
    """Growth of the mean squared distance, whether it is sure, and whether it has surely ended.

    Chains in a stationary distribution spread no further; a walk without bounds does, linearly.
    """
    quarter = distance.shape[1] // 4
    if quarter < 1:
        return math.nan, False, False
    squares = np.square(distance.astype(np.float64))
    before, after = squares[:, quarter : 2 * quarter].mean(1), squares[:, -quarter:].mean(1)
    if not before.mean() > 0:
        return math.nan, False, False
    growth = float(after.mean() / before.mean())
    if len(distance) < 2:
        return growth, False, False

    def surely_over(limit: float, sign: int) -> bool:
        rise = sign * (after - limit * before)
        return bool(rise.mean() > SURE * rise.std(ddof=1) / math.sqrt(len(rise)))

    return growth, surely_over(GROWTH, 1), surely_over(SETTLED, -1)
