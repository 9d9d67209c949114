"""Was the chain still near the model? What an estimate of the local learning coefficient is worth.

Axes: C chains. An estimate is n beta (chain loss - l(w*)). Where the chains left the model, their
mean loss K is the same at every checkpoint, and the estimate n beta (K - l(w*)) is the loss curve
upside down.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import ArrayLike, Float

from dynamics.errors import InputError
from dynamics.slt.diagnostics import ENOUGH_DRAWS, SURE, Mixing
from dynamics.slt.samplers.base import Constants
from dynamics.slt.stability import Stability

RHAT_LIMIT = 1.1
STUCK = 0.1  # mean acceptance below which a Metropolis chain hardly moves

_SENTENCES = {
    "local": "The chains stayed in a basin better than the trivial predictor: the estimate is about"
    " this model.",
    "unchecked": "No trivial loss was given, so whether the chains left the model was not checked.",
    "left the basin": "The chains' mean loss is above the trivial predictor's: they left the model,"
    " and the estimate is about the loss, not the landscape. Raise localization or lower"
    " step_size.",
    "no basin to leave": "The checkpoint itself is no better than the trivial predictor: there is"
    " no basin to stay in.",
    "escaped": "The chains found lower loss than the checkpoint's, more than its gradient explains:"
    " they escaped to a better optimum. Raise localization.",
    "off a minimum": "The chains' loss is below the checkpoint's because the checkpoint is off a"
    " minimum: its gradient explains the drop, and a negative estimate is legitimate.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the chains' losses and distances say about an estimate.

    Attributes:
        state: one of the states below. "Surely" means by three standard errors.
            "local": the chains stayed near the model.
            "left the basin": the chain loss is above the trivial predictor's, l(w*) surely below.
            "no basin to leave": l(w*) is not surely below the trivial predictor's loss.
            "off a minimum": the chain loss is surely below l(w*), and the gradient at w* explains
            it.
            "escaped": the same, and the gradient does not explain it.
            "unchecked": no trivial loss was given and none of the others applies.
        warnings: any of the following.
            "negative": the estimate is surely below 0.
            "wrong sign": the estimate is below 0 and w* looks like a maximum: curvature is downward
            there, or the loss is below 0, as no cross-entropy of tokens and no squared error is.
            "stuck": nine in ten Metropolis moves are refused.
            "not converged": R-hat is above 1.1.
            "convergence unknown": there is no R-hat.
            "too few draws": fewer than 50 independent ones per chain, so that the error is not to
            be relied on.
            "still spreading": the distance from w* still grows, so there is no stationary
            distribution.
            "held by the pull": d ln llc / d ln gamma is surely beyond -1/2: gamma decides most of
            the value, and another gamma gives another.
            "biased", "unstable": the step size, by the stability bound.
        chain_loss: mean over chains and draws after the burn-in.
        trivial_loss: of the best constant predictor (log V, Var y), or None.
        relative_distance: mean |w_t - w*| / |w*|.
        localization_share: gamma E|w - w*|^2 / d for d weights. On a quadratic it is the mean over
            directions of gamma / (n beta h + gamma). Near 1 the pull alone shapes the posterior. It
            is also low while chains still spread.
        sentence: the state and the warnings in words.
    """

    state: str
    warnings: tuple[str, ...]
    chain_loss: float
    trivial_loss: float | None
    relative_distance: float
    localization_share: float
    sentence: str


def judge_locality(
    chain_loss: float, init_loss: float, init_sem: float, trivial_loss: float | None
) -> str:
    """ "local", "left the basin", "no basin to leave" or "unchecked".

    `init_sem` is the standard error of l(w*); nan, from the whole data, counts as 0.

    Raises:
        InputError: a trivial loss that is not finite.
    """
    if trivial_loss is None:
        return "unchecked"
    if not math.isfinite(trivial_loss):
        raise InputError(
            f"trivial_loss={trivial_loss}", expected="a finite loss, such as log V or Var y"
        )
    if init_loss + SURE * np.nan_to_num(init_sem) >= trivial_loss:
        return "no basin to leave"
    return "left the basin" if chain_loss > trivial_loss else "local"


def surely_negative(llc: float, sem: float) -> bool:
    """Whether the chains' loss lies below l(w*) by three standard errors."""
    return llc < -SURE * sem


def gradient_drop(
    grad_norm: float, constants: Constants, steps: Float[ArrayLike, " steps"]
) -> float:
    """The most by which a gradient at w* lowers the estimate: that of a chain on a plane.

    On l = g w the mean position at step t is -(n beta g / gamma)(1 - rho^t) with rho = 1 - epsilon
    gamma / 2. So n beta times the mean loss is -(n beta |g|)^2 times the mean over `steps` of
    (1 - rho^t) / gamma, or of epsilon t / 2 at gamma = 0. Upward curvature makes it less.
    """
    steps = np.asarray(steps, np.float64)
    pull = constants.step_size * constants.localization / 2
    if pull == 0:
        reach = steps * constants.step_size / 2
    elif pull < 1:
        reach = -np.expm1(steps * np.log1p(-pull)) / constants.localization
    else:
        reach = np.full_like(steps, 1 / constants.localization)
    return float((constants.nbeta * grad_norm) ** 2 * reach.mean())


def explain_descent(llc: float, drop: float) -> str:
    """Why an estimate is surely negative: the gradient explains half of it or more, or not."""
    return "off a minimum" if drop >= abs(llc) / 2 else "escaped"


def judge(
    *,
    llc: float,
    locality: str,
    descent: str | None,
    mixing: Mixing,
    stability: Stability,
    init_loss: float,
    chain_loss: float,
    trivial_loss: float | None,
    relative_distance: float,
    localization_share: float,
    acceptance: float = math.nan,
    held_by_pull: bool = False,
) -> Verdict:
    """Combines the findings: a locality that condemns wins, then the descent, then the locality.

    Args:
        llc: the estimate.
        locality: from `judge_locality`.
        descent: from `explain_descent`, or None for an estimate that is not surely negative.
        mixing, stability: of the chains and of their step.
        init_loss: l(w*).
        acceptance: mean Metropolis probability; nan where there was no test.
        held_by_pull: as `PullExponent.holds` says.
        chain_loss, trivial_loss, relative_distance, localization_share: as in `Verdict`.
    """
    condemned = locality in ("left the basin", "no basin to leave")
    state = locality if condemned or descent is None else descent
    applies = {
        "negative": descent is not None,
        "wrong sign": llc < 0 and (stability.at_maximum or init_loss < 0),
        "stuck": acceptance < STUCK,
        "not converged": mixing.rhat > RHAT_LIMIT,
        "convergence unknown": math.isnan(mixing.rhat),
        "too few draws": mixing.per_chain < ENOUGH_DRAWS,
        "still spreading": mixing.spreading,
        "held by the pull": held_by_pull,
        "biased": stability.state == "biased",
        "unstable": stability.state == "unstable",
    }
    warnings = tuple(name for name, holds in applies.items() if holds)
    caution = f" Beware: {', '.join(warnings)}." if warnings else ""
    return Verdict(
        state=state,
        warnings=warnings,
        chain_loss=chain_loss,
        trivial_loss=trivial_loss,
        relative_distance=relative_distance,
        localization_share=localization_share,
        sentence=_SENTENCES[state] + caution,
    )
