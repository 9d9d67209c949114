"""By how much the step and the minibatches' noise raise an estimate, from the traces alone.

Axes: C chains.

A Langevin step is too long by its own gradient: E|u'|^2 = E|u|^2 in a stationary chain reads
E[u . grad U] = d + epsilon/4 E|grad U|^2, and the last term is not in the posterior. On a quadratic
with a = n beta h + gamma the LLC is raised by sum n beta h / (2 a) (b - 1) for variances too wide
by b = 1 / (1 - epsilon a / 4), which is exactly

    epsilon/8 E|n beta g|^2 + epsilon gamma/4 LLC,

with g the gradient where the chain is. So the bias is known where chains live and not at w*,
where a singular point has no curvature. On w^p the first term is p/2 times too large.

Noise of the batches' gradients adds to |g|^2 as it adds to the width of a direction: by E|noise|^2
along stiff directions, and by less where the pull confines the chain. What it is at w* tells the
two apart.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.slt.chain import Traces
from dynamics.slt.diagnostics import SURE
from dynamics.slt.gradient import StartGradient
from dynamics.slt.samplers.base import Constants, Sampler

LARGE = 0.1  # of the estimate: a bias that is named however large the error is
SEEN = 0.05  # of the estimate: a bias that is named where it is surely above the error


class Bias(NamedTuple):
    """What an estimate has too much, in its own unit; to first order in epsilon."""

    step: float  # by the length of the step, where the chains are; 0 for samplers without
    noise: float  # by minibatch noise at w*; 0 for whole-data batches


def of_run(
    sampler: Sampler,
    constants: Constants,
    traces: Traces,
    start: StartGradient,
    llc: float,
    num_free: int,
) -> Bias:
    """The bias of an estimate `llc` of `num_free` weights, from the traces of all draws."""
    drawn = slice(sampler.burn_in, None)
    widening = _widening(traces, constants) / (2 * sampler.drift_factor)
    per_square = _ratio(
        float(widening.mean()), float(np.square(traces.grad_norm.astype(np.float64)).mean())
    )
    # Draw 0 has the square of a batch per chain; more batches than chains have one less scattered.
    at_start = per_square * (start.noise + max(0.0, start.square))
    rise = max(0.0, float(widening[:, drawn].mean()) - at_start)
    offset, pull = (x[:, drawn].astype(np.float64).mean() for x in (traces.offset, traces.pull))
    shrink = pull / offset / (2 * sampler.drift_factor) if offset else 0.0  # epsilon gamma / 2
    width = (1 + widening_along(start, constants)) / max(0.1, 1 - shrink / 2)
    stiffness = _stiffness(traces, constants, drawn, width)
    return Bias(
        step=sampler.step_bias(rise + shrink / 2 * max(0.0, llc)),
        noise=sampler.noise_bias(per_square * start.noise, stiffness, llc, num_free),
    )


def matters(bias: float, llc: float, error: float) -> bool:
    """Whether a bias is over a tenth of the estimate, or surely above its error and over 5 %."""
    size = max(abs(llc), error)
    return bias > LARGE * size or (bias > SEEN * size and bias > SURE * error)


def widening_along(start: StartGradient, constants: Constants) -> float:
    """By which share noise widens a Langevin chain's offset along the gradient of a batch.

    epsilon n beta^2 / 4 times the noise's variance along it: of a batch's own gradient, what others
    have in its direction.
    """
    return constants.step_size * constants.nbeta**2 / 4 * start.noise * start.alignment


def _widening(traces: Traces, constants: Constants) -> Float[np.ndarray, "C draws"]:
    """epsilon/8 n beta^2 g'G g of every draw, G the preconditioner or 1, by |G g| and |g|.

    Of a preconditioner it is an upper bound, by Cauchy and Schwarz.
    """
    grad_norm, drift = (x.astype(np.float64) for x in (traces.grad_norm, traces.drift))
    return constants.nbeta / 4 * grad_norm * drift


def _stiffness(traces: Traces, constants: Constants, drawn: slice, width: float) -> float:
    """How much of the noise lies along directions that the loss confines, 0 to 1.

    Along a gradient of a batch, of length 1, the offset has the variance sum g_i^2 / a_i, times the
    `width` that noise and step give it; gamma times that is the part of the pull. 1 where no
    projections were recorded.
    """
    if traces.projections is None:
        return 1.0
    squares = np.square(traces.projections[:, drawn].astype(np.float64))
    return float(np.clip(1 - constants.localization * squares.mean() / width, 0, 1))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 and math.isfinite(whole) else 0.0
