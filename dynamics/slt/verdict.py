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
_STILL_STEPS = 20  # steps without a move, and
_STILL_SHARE = 0.05  # the share of a chain's draws, from which it is stuck for a while
FAR = 4.0  # times the radius of its own basin, by the quadratic at w*, that a chain has moved

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
            "stuck": in a chain nine in ten Metropolis moves are refused, or all of a twentieth of
            its draws.
            "not converged": R-hat is above 1.1.
            "convergence unknown": there is no R-hat.
            "too few draws": fewer than 50 independent ones per chain, so that the error is not to
            be relied on.
            "still spreading": the distance from w* still grows, so there is no stationary
            distribution.
            "held by the pull": d ln llc / d ln gamma is surely beyond -1/2: gamma decides most of
            the value, and another gamma gives another.
            "lowered by the gradient": the gradient at w* takes more than half of the estimate off
            it, though it is not surely below 0.
            "far from its basin": a chain is over 4 times farther from w* than the spectrum there
            lets it be.
            "heated by minibatch noise": the noise of batch gradients raises the estimate by over a
            tenth, or surely by more than its error.
            "biased": the step does so where the chains are, or by the stability bound.
            "unstable": the step size, by the stability bound.
            "stability unknown": no curvature was measured.
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
    grad_norm: float,
    constants: Constants,
    steps: Float[ArrayLike, " steps"],
    curvature: float = 0.0,
) -> float:
    """The most by which a gradient at w* lowers the estimate; by default on a plane.

    On l = g w + h w^2 / 2 the mean position at step t is -(n beta g / a)(1 - rho^t) with a =
    n beta h + gamma and rho = 1 - epsilon a / 2, or -n beta g epsilon t / 2 at a = 0. n beta times
    the loss there is averaged over `steps`. Downward curvature counts as none, so that an escape
    is not explained by itself.
    """
    steps, h = np.asarray(steps, np.float64), max(0.0, curvature)
    a = constants.nbeta * h + constants.localization
    pull = constants.step_size * a / 2
    if pull == 0:
        reach = steps * constants.step_size / 2
    elif pull < 1:
        reach = -np.expm1(steps * np.log1p(-pull)) / a
    else:
        reach = np.full_like(steps, 1 / a)
    lowered = reach - constants.nbeta * h * np.square(reach) / 2
    return float((constants.nbeta * grad_norm) ** 2 * lowered.mean())


def stuck(
    acceptance: Float[np.ndarray, "C draws"], offset: Float[np.ndarray, "C draws"], thinning: int
) -> bool:
    """Whether a Metropolis chain hardly moves, on the whole or for a while.

    A chain that waits in a far arm is refused there and nowhere else, so its mean acceptance may be
    high. Args are of the draws after the burn-in; acceptance is nan where there is no test.
    """
    if np.isnan(acceptance).any():
        return False
    needed = max(_STILL_STEPS / thinning, _STILL_SHARE * offset.shape[1])
    still = max(map(_longest_run, np.diff(offset, axis=1) == 0))
    return bool((acceptance.mean(axis=1, dtype=np.float64) < STUCK).any() or still >= needed)


def _longest_run(holds: np.ndarray) -> int:
    """The length of the longest run of True."""
    ends = np.flatnonzero(~np.append(holds, False))
    return int(np.diff(ends, prepend=-1).max()) - 1


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
    stuck: bool = False,
    held_by_pull: bool = False,
    lowered_by_gradient: bool = False,
    far: bool = False,
    heated: bool = False,
    biased: bool = False,
    stability_unknown: bool = False,
) -> Verdict:
    """Combines the findings: a locality that condemns wins, then the descent, then the locality.

    Args:
        llc: the estimate.
        locality: from `judge_locality`.
        descent: from `explain_descent`, or None for an estimate that is not surely negative.
        mixing, stability: of the chains and of their step.
        init_loss: l(w*).
        stuck, lowered_by_gradient, far, heated, biased, stability_unknown: whether the warning of
            that name applies, beyond what `stability` says.
        held_by_pull: as `PullExponent.holds` says.
        chain_loss, trivial_loss, relative_distance, localization_share: as in `Verdict`.
    """
    condemned = locality in ("left the basin", "no basin to leave")
    state = locality if condemned or descent is None else descent
    applies = {
        "negative": descent is not None,
        "wrong sign": llc < 0 and (stability.at_maximum or init_loss < 0),
        "stuck": stuck,
        "not converged": mixing.rhat > RHAT_LIMIT,
        "convergence unknown": math.isnan(mixing.rhat),
        "too few draws": mixing.per_chain < ENOUGH_DRAWS,
        "still spreading": mixing.spreading,
        "held by the pull": held_by_pull,
        "lowered by the gradient": lowered_by_gradient,
        "far from its basin": far,
        "heated by minibatch noise": heated,
        "biased": stability.state == "biased" or biased,
        "unstable": stability.state == "unstable",
        "stability unknown": stability_unknown,
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
