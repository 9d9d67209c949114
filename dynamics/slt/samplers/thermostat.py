"""Stochastic gradient Nose-Hoover thermostat: momenta whose friction learns the gradient noise it
must absorb.

Per step of time h, U the potential, d weights, A the diffusion:

    dp = -grad U dt - xi p dt + sqrt(2A) dW,   du = p dt,   dxi = (|p|^2/d - 1) dt
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.slt import batches, plan
from dynamics.slt.samplers import kernel
from dynamics.slt.samplers.kernel import Info, Kernel, Target


class State(NamedTuple):
    offset: Any  # u, as params
    momentum: Any  # p, as params
    friction: Any  # xi, scalar


def _relax(momentum, eta, friction, diffusion, time):
    """The exact flow of dp = -xi p dt + sqrt(2A) dW over `time`; at xi = 0 its limit."""
    near = jnp.abs(friction * time) < 1e-3
    safe = jnp.where(near, 1.0, friction)
    # A (1 - e^{-2 xi h})/xi, by its series where xi is near 0
    variance = jnp.where(
        near,
        2 * diffusion * time * (1 - friction * time),
        -diffusion * jnp.expm1(-2 * safe * time) / safe,
    )
    keep, spread = jnp.exp(-friction * time), jnp.sqrt(variance)
    return jax.tree.map(lambda p, n: keep * p + spread * n, momentum, eta), spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGNHT(plan.Plan):
    """Stochastic gradient Nose-Hoover thermostat (Ding et al. 2014), split as BADODAB (Leimkuhler &
    Shang 2016).

    Time per step is h = sqrt(epsilon), so that epsilon means what it means in SGLD, whose step is
    this one with momenta drawn anew; the bound epsilon (n beta h + gamma) < 4 is the same. The
    splitting's bias is of order epsilon, where Ding's Euler steps have sqrt(epsilon). Its fields
    are those of `Plan`, and:

    Attributes:
        diffusion: A, the friction wanted where gradients carry no noise, in units of 1 / h.
    """

    diffusion: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        plan.require("diffusion", self.diffusion, self.diffusion > 0, "a positive number")

    def bias(self, product: float) -> float:
        """On a quadratic the splitting's positions have the posterior's variance at any stable
        step."""
        return 1.0 if product < 4 else math.inf

    def kernel(self) -> Kernel:
        def init(key, offset, value_and_grad, target: Target):
            momentum = kernel.kick(batches.fold_name(key, "momentum"), offset, target)
            return State(offset, momentum, self.diffusion / jnp.sqrt(target.step_size))

        def step(key, state: State, value_and_grad, target: Target):
            time, size = jnp.sqrt(target.step_size), kernel.num_free(state.offset, target)
            diffusion = self.diffusion / time
            loss, grad = value_and_grad(state.offset)
            slope = kernel.potential_gradient(grad, state.offset, target)
            # B: the two half kicks that meet at a position are one, since both have its gradient.
            momentum = jax.tree.map(lambda p, f: p - time * f, state.momentum, slope)
            offset, momentum = _drift(state.offset, momentum, time / 2, target)
            friction = state.friction + time / 2 * (kernel.dot(momentum, momentum) / size - 1)
            eta = kernel.kick(key, offset, target)
            momentum, spread = _relax(momentum, eta, friction, diffusion, time)
            friction = friction + time / 2 * (kernel.dot(momentum, momentum) / size - 1)
            offset, momentum = _drift(offset, momentum, time / 2, target)
            grad_norm = kernel.norm(grad)
            drift, pull = (
                time**2 * target.nbeta * grad_norm,
                time**2 * target.localization * kernel.norm(state.offset),
            )
            info = Info(
                loss, grad_norm, drift, pull, time * spread * jnp.sqrt(size), jnp.float32(jnp.nan)
            )
            return State(offset, momentum, friction), info

        return Kernel(init, step)


def _drift(offset, momentum, time, target: Target):
    """A: positions move with their momenta, both turned round at the walls of the box."""
    moved = jax.tree.map(lambda u, p: u + time * p, offset, momentum)
    return kernel.reflect(moved, target), kernel.reflected_momentum(momentum, moved, target)
