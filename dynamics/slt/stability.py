"""Whether a Langevin step is stable and how far it is biased, told from the top Hessian eigenvalue before sampling.

On l = h w^2 / 2 the chain is w' = (1 - epsilon a / 2) w + noise with a = n beta h + gamma. It is stable iff
epsilon a < 4, and its variance is 1 / (a (1 - epsilon a / 4)): too large by 1 / (1 - epsilon a / 4).
"""

import dataclasses
import math
from typing import Literal

from dynamics.errors import ChainError, InputError
from dynamics.slt.plan import Scales

UNSTABLE = 4.0
BIASED = 0.4  # the stiffest direction is 11 % too wide


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stability:
    """What the bound says of one sampler at one checkpoint."""

    state: Literal["unknown", "stable", "biased", "unstable"]
    step_curvature: float  # epsilon a of the stiffest direction; nan where it is unknown
    bias_factor: float  # of the variance in that direction; inf where unstable, nan where unknown
    sentence: str


def assess(scales: Scales, top_eigenvalue: float | None) -> Stability:
    """The stability of a Langevin sampler, `top_eigenvalue` being h, the largest of the loss Hessian at w*.

    "unknown" without h, or where the posterior is not confined along it (a <= 0). Raises InputError if h is not finite.
    """
    if top_eigenvalue is None:
        return _unknown("No top Hessian eigenvalue was given, so stability and step-size bias were not predicted.")
    if not math.isfinite(top_eigenvalue):
        raise InputError(f"top_eigenvalue={top_eigenvalue}", expected="a finite number, or None")
    a = scales.nbeta * float(top_eigenvalue) + scales.localization
    if a <= 0:
        return _unknown("No direction has positive curvature, so the bound says nothing.")
    product = scales.step_size * a
    if product >= UNSTABLE:
        text = f"Unstable: epsilon a = {product:.3g} >= 4 in the stiffest direction; step_size < {4 / a:.3g} is stable."
        return Stability(state="unstable", step_curvature=product, bias_factor=math.inf, sentence=text)
    factor = 1 / (1 - product / 4)
    if product > BIASED:
        text = f"Biased: the stiffest direction is {factor:.2f} times too wide; 1.11 at step_size {BIASED / a:.3g}."
        return Stability(state="biased", step_curvature=product, bias_factor=factor, sentence=text)
    text = f"Stable: the stiffest direction is {factor:.3f} times too wide."
    return Stability(state="stable", step_curvature=product, bias_factor=factor, sentence=text)


def _unknown(sentence: str) -> Stability:
    return Stability(state="unknown", step_curvature=math.nan, bias_factor=math.nan, sentence=sentence)


def refuse_unstable(stability: Stability, scales: Scales):
    """Raises ChainError where the bound says the chain must diverge."""
    if stability.state == "unstable":
        raise ChainError(
            f"step_size={scales.step_size:.3g} with epsilon (nbeta h + gamma) = {stability.step_curvature:.3g}",
            expected=f"less than {UNSTABLE:g}, where chains diverge",
            mend=f"Take step_size below {scales.step_size * BIASED / stability.step_curvature:.3g} (bias under 11 %).",
        )
