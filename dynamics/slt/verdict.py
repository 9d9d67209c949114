"""Was the chain still near the model? What an estimate of the local learning coefficient may be
taken for.

Axes: C chains, t draws. An estimate is n beta (chain loss - l(w*)). Where the chains left the model
their mean loss K is the same at every checkpoint, and the estimate is n beta (K - l(w*)): the loss
curve upside down.
"""

import dataclasses
import math

import numpy as np

from dynamics.errors import InputError
from dynamics.slt import diagnostics
from dynamics.slt.diagnostics import SURE, Mixing
from dynamics.slt.plan import Scales
from dynamics.slt.stability import Stability

RHAT_LIMIT = 1.1
STUCK = 0.1  # mean acceptance below which a Metropolis chain hardly moves

_SENTENCES = {
    "local": "The chains stayed in a basin better than the trivial predictor: the estimate is about this model.",
    "unchecked": "No trivial loss was given, so whether the chains left the model was not checked.",
    "left the basin": "The chains' mean loss is above the trivial predictor's: they left the model, and the estimate is"
    " about the loss, not the landscape. Raise localization or lower step_size.",
    "no basin to leave": "The checkpoint itself is no better than the trivial predictor: there is no basin to stay in.",
    "escaped": "The chains found lower loss than the checkpoint's, more than its gradient explains: they escaped to a"
    " better optimum. Raise localization.",
    "off a minimum": "The chains' loss is below the checkpoint's because the checkpoint is off a minimum: its gradient"
    " explains the drop, and a negative estimate is legitimate.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the chains' losses and distances say of an estimate.

    Attributes:
        state: "local"; "left the basin": chain loss above the trivial predictor's, l(w*) surely
            below it; "no basin to leave": l(w*) not surely below it; "off a minimum", "escaped":
            chain loss surely below l(w*), and the gradient at w* explains it or does not;
            "unchecked": no trivial loss given and nothing else found. Surely means by 3 standard
            errors.
        warnings: any of "not converged" (R-hat above 1.1), "convergence unknown", "too few draws"
            (fewer than 50 independent ones per chain: the error is not to be relied on), "still
            spreading" (the distance from w* still
            grows: no stationary distribution), "biased", "unstable" (the step, by the stability
                bound), "negative", "wrong sign" (below 0, surely or not, and w* looks like a
                maximum: curvature there is downward, or the loss is below 0, which no cross-entropy
                of tokens and no squared error is), "stuck" (nine in ten Metropolis moves are
                refused).
        chain_loss: mean over chains and draws after the burn-in.
        trivial_loss: of the best constant predictor (log V, Var y), or None.
        relative_distance: mean |w_t - w*| / |w*|.
        localization_share: gamma E|w - w*|^2 / d, d weights; on a quadratic the mean over
            directions of gamma / (n beta h + gamma). Near 1 the pull alone shapes the posterior;
            low also while chains still spread.
        sentence: for people.
    """

    state: str
    warnings: tuple[str, ...]
    chain_loss: float
    trivial_loss: float | None
    relative_distance: float
    localization_share: float
    sentence: str


def locality(
    chain_loss: float, init_loss: float, init_sem: float, trivial_loss: float | None
) -> str:
    """ "local", "left the basin", "no basin to leave" or "unchecked"; `init_sem` nan (whole data)
    counts as exact."""
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


def gradient_drop(grad_norm: float, scales: Scales, steps) -> float:
    """The most by which a gradient g at w* lowers the estimate: that of a chain sliding down a
    plane.

    On l = g w the mean position at step t is -(n beta g / gamma)(1 - rho^t), rho = 1 - epsilon
    gamma / 2, so n beta times the mean loss is -(n beta |g|)^2 times the mean over `steps` of (1 -
    rho^t)/gamma (epsilon t / 2 at gamma 0). Upward curvature makes it less.
    """
    steps = np.asarray(steps, np.float64)
    pull = scales.step_size * scales.localization / 2
    if 0 < pull < 1:
        reach = -np.expm1(steps * np.log1p(-pull)) / scales.localization
    else:
        reach = (
            steps * scales.step_size / 2
            if pull == 0
            else np.full_like(steps, 1 / scales.localization)
        )
    return float((scales.nbeta * grad_norm) ** 2 * reach.mean())


def downhill(llc: float, drop: float) -> str:
    """Of a surely negative estimate: "off a minimum" where the gradient at w* explains half of it,
    else "escaped"."""
    return "off a minimum" if drop >= abs(llc) / 2 else "escaped"


def judge(
    *,
    llc: float,
    where: str,
    below: str | None,
    mixing: Mixing,
    stability: Stability,
    init_loss: float,
    acceptance: float = math.nan,
    **numbers,
) -> Verdict:
    """Puts the findings in order: the locality where it condemns, then the downhill finding, then
    the locality.

    `where` is from `locality`, `below` from `downhill` or None, `numbers` the remaining fields of
    `Verdict`.
    """
    state = where if where in ("left the basin", "no basin to leave") or below is None else below
    found = {
        "negative": below is not None,
        "wrong sign": llc < 0 and (stability.at_maximum or init_loss < 0),
        "stuck": acceptance < STUCK,
        "not converged": mixing.rhat > RHAT_LIMIT,
        "convergence unknown": math.isnan(mixing.rhat),
        "too few draws": mixing.per_chain < diagnostics.ENOUGH,
        "still spreading": mixing.spreading,
        stability.state: stability.state in ("biased", "unstable"),
    }
    warnings = tuple(name for name, present in found.items() if present)
    told = f" Beware: {', '.join(warnings)}." if warnings else ""
    return Verdict(state=state, warnings=warnings, sentence=_SENTENCES[state] + told, **numbers)
