"""Whether a Langevin step is stable, and how biased, from the top Hessian eigenvalue alone.

On l = h w^2 / 2 the chain is w' = (1 - epsilon a / 2) w + noise with a = n beta h + gamma. It is
stable if and only if epsilon a < 4. Its variance is 1 / (a (1 - epsilon a / 4)), which is too large
by the factor 1 / (1 - epsilon a / 4). So both are known before any sampling.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from dynamics.errors import ChainError, InputError
from dynamics.measures import curvature
from dynamics.measures.curvature import lanczos
from dynamics.slt import batches, centers
from dynamics.slt.batches import LossFn
from dynamics.slt.samplers.base import (
    BIASED_ABOVE,
    UNSTABLE_FROM,
    Constants,
    Sampler,
    langevin_bias,
)

MATVECS = 12  # Lanczos steps: the ends of the spectrum converge first
# What a Hessian product raises where curvature is not finite, and where a custom derivative allows
# none.
NO_CURVATURE = (InputError, TypeError)
_DOWNWARD = 4.0  # |smallest| / |largest| from which w* looks like a maximum; young saddles have < 2


class SpectrumEnds(NamedTuple):
    """The two ends of the Hessian's spectrum at w*, moved outward by their residual bounds."""

    largest: float
    smallest: float  # nan where it was not measured
    nodes: tuple[float, ...] = ()  # what Lanczos saw between them, by which (1/P) tr f(H)
    weights: tuple[float, ...] = ()  # is about sum weights f(nodes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stability:
    """What the bound says about one sampler at one checkpoint.

    Attributes:
        state: "stable"; "biased": the stiffest direction is over 11 % too wide; "unstable": chains
            diverge; "unknown": no curvature is known, or the kernel feels another one.
        step_curvature: epsilon a of the stiffest direction; nan where it is unknown.
        bias_factor: of the variance in that direction: 1 for none, inf where unstable, nan where
            unknown.
        at_maximum: whether curvature at w* is downward, |smallest| > 4 |largest|.
        sentence: the same in words.
    """

    state: Literal["unknown", "stable", "biased", "unstable"]
    step_curvature: float
    bias_factor: float
    at_maximum: bool
    sentence: str


def measure_spectrum_ends(
    loss_fn: LossFn,
    params: PyTree,
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    mask: PyTree | None = None,
) -> SpectrumEnds:
    """The ends of the Hessian's spectrum, for the first batch's worth of `data`.

    In the sampler's units and over the free weights; arguments as in `estimate_llc`. A Ritz value
    lies inside the spectrum. With its residual bound it is on the cautious side.

    Example:
        >>> import numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return jnp.sum(jnp.array([-1.0, 2.0, 5.0]) * w**2) / 2
        >>> sampler = slt.SGLD(step_size=1e-3, localization=1.0, num_chains=2, num_draws=10)
        >>> data = np.zeros((2, 1), np.float32)  # this loss ignores it
        >>> ends = measure_spectrum_ends(loss, jnp.zeros(3), data, jax.random.key(0), sampler)
        >>> round(ends.largest, 3), round(ends.smallest, 3)
        (5.0, -1.0)
    """
    center = centers.as_float32(params)
    units = centers.units(center, mask, sampler.scale_by)
    num_free = centers.num_free(params, mask)
    tridiagonal = lanczos.run(
        curvature.hessian(loss_of_offset(loss_fn)),
        jax.tree.map(jnp.zeros_like, center),
        surroundings(params, data, sampler, units),
        batches.fold_name(key, "curvature"),
        min(MATVECS, num_free),
        "full",
        units.free,
    )
    nodes, vectors = np.linalg.eigh(lanczos.matrix(tridiagonal))
    errors = np.abs(tridiagonal.residual[-1] * vectors[-1])
    weights = np.square(vectors[0])
    if len(nodes) == num_free:  # every eigenvalue by itself
        weights = np.full(num_free, 1 / num_free)
    return SpectrumEnds(
        float(nodes[-1] + errors[-1]),
        float(nodes[0] - errors[0]),
        tuple(nodes.tolist()),
        tuple(weights.tolist()),
    )


def own_radius(ends: SpectrumEnds | None, constants: Constants, num_free: int) -> float:
    """Root mean square of |u| that a quadratic with this spectrum gives; inf where it gives none.

    It is the root of sum 1 / (n beta h + gamma). Directions without confinement, or an unmeasured
    spectrum, give inf.
    """
    if ends is None or not ends.nodes:
        return math.inf
    a = constants.nbeta * np.asarray(ends.nodes) + constants.localization
    if not (a > 0).all():
        return math.inf
    return float(np.sqrt(num_free * np.sum(np.asarray(ends.weights) / a)))


def surroundings(params: PyTree, data: PyTree, sampler: Sampler, units: centers.Units):
    """(w*, units, the first batch's worth of data), as `loss_of_offset` takes them."""
    size = sampler.items(batches.num_items(data))
    batch = jax.tree.map(lambda x: jnp.asarray(x[:size]), data)
    return centers.as_float32(params), units, batch


def as_ends(top_eigenvalue: "float | SpectrumEnds | None") -> SpectrumEnds | None:
    """Both ends of a spectrum of which perhaps only the upper one is known."""
    if top_eigenvalue is None or isinstance(top_eigenvalue, SpectrumEnds):
        return top_eigenvalue
    return SpectrumEnds(float(top_eigenvalue), math.nan)


@functools.lru_cache(maxsize=64)
def loss_of_offset(loss_fn: LossFn):
    """(u, (w*, units, batch)) -> loss at w* + s u."""

    def loss(offset, surroundings):
        center, units, batch = surroundings
        return loss_fn(centers.place(center, offset, units), batch)

    return loss


def assess_stability(
    constants: Constants,
    top_eigenvalue: float | SpectrumEnds | None,
    bias_factor: Callable[[float], float] = langevin_bias,
) -> Stability:
    """The stability of a sampler at a checkpoint.

    Args:
        constants: of the sampler.
        top_eigenvalue: h, the largest eigenvalue of the loss Hessian at w*, or both ends.
        bias_factor: the sampler's own, `Sampler.bias_factor`: a Metropolis test leaves no bias, and
            under a preconditioner h does not tell it.

    Raises:
        InputError: an eigenvalue that is not finite.
    """
    if top_eigenvalue is None:
        return _unknown("The top Hessian eigenvalue was not given, so stability was not checked.")
    ends = as_ends(top_eigenvalue)
    assert ends is not None
    if not math.isfinite(ends.largest):
        raise InputError(f"top_eigenvalue={top_eigenvalue}", expected="a finite number, or None")
    at_maximum = ends.smallest < -_DOWNWARD * abs(ends.largest)
    a = constants.nbeta * ends.largest + constants.localization
    if a <= 0:
        return _unknown(
            "No direction has positive curvature, so the bound says nothing.", at_maximum
        )
    product = constants.step_size * a
    factor = bias_factor(product)
    if math.isnan(factor):
        return _unknown(
            "The preconditioner changes the curvature that chains feel: the bound says nothing.",
            at_maximum,
        )
    state, sentence = _judged(a, product, factor)
    return Stability(
        state=state,
        step_curvature=product,
        bias_factor=factor,
        at_maximum=at_maximum,
        sentence=sentence,
    )


def _judged(
    a: float, product: float, factor: float
) -> tuple[Literal["stable", "biased", "unstable"], str]:
    """State and sentence for the stiffest curvature a, epsilon a = `product` and its bias."""
    if math.isinf(factor):
        return "unstable", (
            f"Unstable: epsilon a = {product:.3g} >= {UNSTABLE_FROM:g} in the stiffest direction;"
            f" step_size < {UNSTABLE_FROM / a:.3g} is stable."
        )
    if factor <= 1:
        return "stable", "Stable; the step itself leaves no bias."
    if product > BIASED_ABOVE:
        return "biased", (
            f"Biased: the stiffest direction is {factor:.2f} times too wide;"
            f" {langevin_bias(BIASED_ABOVE):.2f} at step_size {BIASED_ABOVE / a:.3g}."
        )
    return "stable", f"Stable: the stiffest direction is {factor:.3f} times too wide."


def _unknown(sentence: str, at_maximum: bool = False) -> Stability:
    return Stability(
        state="unknown",
        step_curvature=math.nan,
        bias_factor=math.nan,
        at_maximum=at_maximum,
        sentence=sentence,
    )


def check_on_unstable(on_unstable: str) -> None:
    """Raises InputError for anything but "refuse" and "report"."""
    if on_unstable not in ("refuse", "report"):
        raise InputError.unknown("on_unstable", on_unstable, ("refuse", "report"))


def refuse_unstable(stability: Stability, constants: Constants) -> None:
    """Raises ChainError where the bound says that chains diverge."""
    if stability.state != "unstable":
        return
    unbiased_step = constants.step_size * BIASED_ABOVE / stability.step_curvature
    raise ChainError(
        f"step_size={constants.step_size:.3g} with epsilon (nbeta h + gamma) ="
        f" {stability.step_curvature:.3g}",
        expected=f"less than {UNSTABLE_FROM:g}, where chains diverge",
        mend=f"Take step_size below {unbiased_step:.3g} (bias under 11 %).",
    )
