"""What the gradient at w* takes off an estimate: how far downhill the chains can have gone.

Axes: M nodes of the curvature along the gradient.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.measures import curvature
from dynamics.slt import diagnostics, stability, verdict
from dynamics.slt.chain import Traces
from dynamics.slt.gradient import StartGradient
from dynamics.slt.quadratic import Slope
from dynamics.slt.samplers.base import Constants, Sampler


def most_lowered(
    constants: Constants,
    sampler: Sampler,
    traces: Traces,
    start: StartGradient,
    along: Callable[[], Slope | None],
    *,
    at_least: float,
    surely: bool = False,
) -> float:
    """The most by which the gradient at w* lowers the estimate, by the curvature along it.

    `along` is asked for only where a plane of that slope would lower it by `at_least`. `surely`
    takes three standard errors off the slope's square.
    """
    drawn = np.arange(sampler.burn_in, sampler.num_draws) * sampler.thinning
    steps = sampler.langevin_steps(drawn.astype(np.float64))
    # A preconditioner makes steps longer along the gradient.
    plain = sampler.drift_factor * constants.step_size * constants.nbeta * traces.grad_norm
    gain = float(traces.drift.mean(dtype=np.float64) / max(plain.mean(dtype=np.float64), 1e-300))
    constants = constants._replace(step_size=gain * constants.step_size)
    square = max(0.0, start.square - surely * diagnostics.SURE * start.square_sem)
    on_plane = verdict.gradient_drop(math.sqrt(square), constants, steps)
    if on_plane < at_least or not square > 0:
        return on_plane
    slope = along()
    if slope is None or not slope.squares.sum() > 0:
        return on_plane
    shares = square * slope.squares / slope.squares.sum()
    return sum(
        verdict.gradient_drop(math.sqrt(share), constants, steps, float(node))
        for share, node in zip(shares, slope.nodes, strict=True)
    )


def curvature_along(loss_fn, params, data, sampler: Sampler, units, start) -> Slope | None:
    """The gradient in eigenvectors of a batch's Hessian; None where the loss has no curvature."""
    try:
        rule = curvature.along(
            curvature.hessian(stability.loss_of_offset(loss_fn)),
            jax.tree.map(jnp.zeros_like, start.mean),
            stability.surroundings(params, data, sampler, units),
            start.mean,
            num_matvecs=stability.MATVECS,
            mask=units.free,
        )
    except stability.NO_CURVATURE:
        return None
    return Slope(*rule)
