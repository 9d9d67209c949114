"""Whether a Langevin step is stable and how far it is biased, told from the top Hessian eigenvalue
before sampling.

On l = h w^2 / 2 the chain is w' = (1 - epsilon a / 2) w + noise with a = n beta h + gamma. It is
stable iff epsilon a < 4, and its variance is 1 / (a (1 - epsilon a / 4)): too large by 1 / (1 -
epsilon a / 4).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.errors import ChainError, InputError
from dynamics.measures import curvature
from dynamics.slt import batches, centers
from dynamics.slt.plan import Plan, Scales, langevin_bias

UNSTABLE = 4.0  # where `plan.langevin_bias` ends
BIASED = 0.4  # the stiffest direction is 11 % too wide
_MATVECS = 12
_DOWNWARD = 4.0


class Ends(NamedTuple):
    """The two ends of the Hessian's spectrum at w*, each on the cautious side: the residual bound
    outward."""

    largest: float
    smallest: float  # nan where it was not measured


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stability:
    """What the bound says of one sampler at one checkpoint."""

    state: Literal["unknown", "stable", "biased", "unstable"]
    step_curvature: float  # epsilon a of the stiffest direction; nan where it is unknown
    bias_factor: float  # of the variance in that direction, 1 for none; inf where unstable, nan where unknown
    at_maximum: bool  # the curvature at w* is downward: |smallest| > 4 largest; saddles early in training stay under 2
    sentence: str


def measure(loss_fn, params, data, key, sampler: Plan, mask=None) -> Ends:
    """The ends of the Hessian of the loss on the first batch's worth of `data`, in the sampler's
    units.

    A Ritz value lies inside the spectrum: with its residual bound it is the cautious side of the
    stability bound.
    """
    center = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    units = centers.units(center, mask, sampler.scale_by)
    batch = jax.tree.map(lambda x: jnp.asarray(x[: sampler.items(batches.num_items(data))]), data)
    steps = min(_MATVECS, centers.num_free(params, mask))
    found = curvature.extreme_eigenvalues(
        _around(loss_fn),
        jax.tree.map(jnp.zeros_like, center),
        (center, units, batch),
        batches.fold_name(key, "curvature"),
        num_matvecs=steps,
        mask=units.free,
    )
    return Ends(
        float(found.largest[0] + found.largest_error[0]),
        float(found.smallest[0] - found.smallest_error[0]),
    )


@functools.lru_cache(maxsize=64)
def _around(loss_fn):
    """(u, (w*, units, batch)) -> loss at w* + s u."""

    def loss(offset, given):
        center, units, batch = given
        return loss_fn(centers.place(center, offset, units), batch)

    return loss


def assess(
    scales: Scales,
    top_eigenvalue: float | Ends | None,
    bias: Callable[[float], float] = langevin_bias,
) -> Stability:
    """The stability of a sampler, `top_eigenvalue` being h, the largest of the loss Hessian at w*.

    `bias` is the sampler's own, `Plan.bias`: a Metropolis test leaves none, a preconditioner one
    that h does not tell.

    Raises:
        InputError: an eigenvalue that is not finite.
    """
    if top_eigenvalue is None:
        return _unknown("The top Hessian eigenvalue was not given, so stability was not checked.")
    ends = (
        top_eigenvalue
        if isinstance(top_eigenvalue, Ends)
        else Ends(float(top_eigenvalue), math.nan)
    )
    if not math.isfinite(ends.largest):
        raise InputError(f"top_eigenvalue={top_eigenvalue}", expected="a finite number, or None")
    downward = ends.smallest < -_DOWNWARD * abs(ends.largest)
    a = scales.nbeta * ends.largest + scales.localization
    if a <= 0:
        return _unknown("No direction has positive curvature, so the bound says nothing.", downward)
    product = scales.step_size * a
    factor = bias(product)
    if math.isnan(factor):
        return _unknown(
            "The preconditioner changes the curvature that chains feel: the bound says nothing.",
            downward,
        )
    known = {"step_curvature": product, "bias_factor": factor, "at_maximum": downward}
    if math.isinf(factor):
        text = f"Unstable: epsilon a = {product:.3g} >= 4 in the stiffest direction; step_size < {4 / a:.3g} is stable."
        return Stability(state="unstable", sentence=text, **known)
    if product > BIASED and factor > 1:
        text = f"Biased: the stiffest direction is {factor:.2f} times too wide; 1.11 at step_size {BIASED / a:.3g}."
        return Stability(state="biased", sentence=text, **known)
    text = (
        f"Stable: the stiffest direction is {factor:.3f} times too wide."
        if factor > 1
        else "Stable, without bias."
    )
    return Stability(state="stable", sentence=text, **known)


def _unknown(sentence: str, at_maximum: bool = False) -> Stability:
    return Stability(
        state="unknown",
        step_curvature=math.nan,
        bias_factor=math.nan,
        at_maximum=at_maximum,
        sentence=sentence,
    )


def check_on_unstable(wanted: str):
    """Raises InputError for anything but "refuse" and "report"."""
    if wanted not in ("refuse", "report"):
        raise InputError.unknown("on_unstable", wanted, ("refuse", "report"))


def refuse_unstable(stability: Stability, scales: Scales):
    """Raises ChainError where the bound says the chain must diverge."""
    if stability.state == "unstable":
        raise ChainError(
            f"step_size={scales.step_size:.3g} with epsilon (nbeta h + gamma) = {stability.step_curvature:.3g}",
            expected=f"less than {UNSTABLE:g}, where chains diverge",
            mend=f"Take step_size below {scales.step_size * BIASED / stability.step_curvature:.3g} (bias under 11 %).",
        )
