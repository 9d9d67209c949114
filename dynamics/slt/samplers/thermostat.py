"""Stochastic gradient Nose-Hoover thermostat: the friction of momenta absorbs gradient noise.

For a step of time h, with potential U, d weights and diffusion A:

    dp = -grad U dt - xi p dt + sqrt(2A) dW,   du = p dt,   dxi = (|p|^2/d - 1) dt

The friction xi rises while the momenta are too hot, so it learns how much noise to absorb.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.slt import batches
from dynamics.slt.samplers import base, kernel
from dynamics.slt.samplers.kernel import Kernel, StepStats, Target


class State(NamedTuple):
    """State of a chain between two steps of the thermostat."""

    offset: Any  # u, as params
    momentum: Any  # p, as params
    friction: Any  # xi, scalar


def _relax(momentum, eta, friction, diffusion, time):
    """The exact flow of dp = -xi p dt + sqrt(2A) dW over `time`; at xi = 0 its limit."""
    near_zero = jnp.abs(friction * time) < 1e-3
    divisor = jnp.where(near_zero, 1.0, friction)
    # A (1 - e^{-2 xi h})/xi, by its series where xi is near 0.
    variance = jnp.where(
        near_zero,
        2 * diffusion * time * (1 - friction * time),
        -diffusion * jnp.expm1(-2 * divisor * time) / divisor,
    )
    decay, deviation = jnp.exp(-friction * time), jnp.sqrt(variance)
    return jax.tree.map(lambda p, n: decay * p + deviation * n, momentum, eta), deviation


def _move(offset, momentum, time, target: Target):
    """Positions move with their momenta; the walls of the box reflect both."""
    moved = jax.tree.map(lambda u, p: u + time * p, offset, momentum)
    return kernel.reflect(moved, target), kernel.reflected_momentum(momentum, moved, target)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGNHT(base.Sampler):
    """Nose-Hoover thermostat (Ding et al. 2014), split as BADODAB (Leimkuhler & Shang 2016).

    A step takes the time h = sqrt(epsilon). So epsilon means what it means in SGLD, whose step is
    this one with momenta drawn anew each time, and the stability bound epsilon (n beta h + gamma) <
    4, with h the curvature, is the same. The bias of this splitting is of order epsilon; that of
    Ding's Euler steps is of order sqrt(epsilon).

    Attributes, beside those of `Sampler`:
        diffusion: A, the friction that is wanted where gradients have no noise, in units of 1 over
            the time of a step.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return 0.5 * jnp.sum(w**2)
        >>> sampler = slt.SGNHT(
        ...     step_size=1e-3, nbeta=100.0, localization=1.0,
        ...     num_chains=20, num_draws=500, burn_in=100
        ... )
        >>> data = np.zeros((2, 1), np.float32)  # this loss ignores it
        >>> estimate = slt.estimate_llc(loss, jnp.zeros(3), data, jax.random.key(0), sampler)
        >>> abs(estimate.llc - 1.5) < 0.3
        True
    """

    diffusion: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        base.require("diffusion", self.diffusion, self.diffusion > 0, "a positive number")

    def bias_factor(self, product: float) -> float:
        """1 at any stable step: on a quadratic the positions have the posterior's variance.

        It is so without minibatch noise; for that see `noise_bias`.
        """
        return 1.0 if product < base.UNSTABLE_FROM else math.inf

    @property
    def drift_factor(self) -> float:
        return 1.0

    def langevin_steps(self, steps):
        """t^2: momenta run on where a Langevin chain starts anew at each step."""
        return np.square(steps)

    def step_bias(self, langevin: float) -> float:
        """0 to first order in epsilon."""
        return 0.0

    def noise_bias(self, langevin: float, stiffness: float, llc: float, num_free: int) -> float:
        """What the friction does not absorb: it is one number, the noise differs by direction.

        Noise adds the diffusion B_i to direction i, of mean B; the friction A + B then leaves it at
        the temperature (A + B_i) / (A + B). Stiff directions have more than the mean and are
        heated, the others are cooled. Friction that stops momenta within a step leaves what noise
        does to a Langevin chain.
        """
        total = 4 * langevin / self.diffusion  # sum of B_i / A
        return max(total * stiffness / 2 - total / num_free * llc, langevin * stiffness)

    def contraction(self, product):
        """0: momenta oscillate, and no closed form says how they relax."""
        return np.zeros_like(product)

    def kernel(self) -> Kernel:
        def init(key, offset, value_and_grad, target: Target):
            momentum = kernel.free_noise(batches.fold_name(key, "momentum"), offset, target)
            return State(offset, momentum, self.diffusion / jnp.sqrt(target.step_size))

        def step(key, state: State, value_and_grad, target: Target):
            time = jnp.sqrt(target.step_size)
            diffusion = self.diffusion / time
            size = kernel.num_free(state.offset, target)
            loss, grad = value_and_grad(state.offset)
            slope = kernel.potential_gradient(grad, state.offset, target)
            # B: the two half kicks that meet at a position are one, since both have its gradient.
            momentum = jax.tree.map(lambda p, f: p - time * f, state.momentum, slope)
            # A, D, O, D, A: half a move, half a change of friction, friction and noise, and back.
            offset, momentum = _move(state.offset, momentum, time / 2, target)
            friction = state.friction + time / 2 * (kernel.dot(momentum, momentum) / size - 1)
            eta = kernel.free_noise(key, offset, target)
            momentum, deviation = _relax(momentum, eta, friction, diffusion, time)
            friction = friction + time / 2 * (kernel.dot(momentum, momentum) / size - 1)
            offset, momentum = _move(offset, momentum, time / 2, target)
            grad_norm = kernel.norm(grad)
            stats = StepStats(
                loss=loss,
                grad_norm=grad_norm,
                drift=time**2 * target.nbeta * grad_norm,
                pull=time**2 * target.localization * kernel.norm(state.offset),
                noise=time * deviation * jnp.sqrt(size),
                acceptance=None,
            )
            return State(offset, momentum, friction), stats

        return Kernel(init, step)
