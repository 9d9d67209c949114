"""Sampler kernels: (init, step), blind to devices, chains and data.

w* is the centre of the chain, w_t its position; both are pytrees of float32.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.slt import plan


class Info(NamedTuple):
    """What a step has to compute anyway, taken before it moves."""

    loss: Any  # scalar, batch loss at w_t
    grad_norm: Any  # scalar


class Kernel(NamedTuple):
    """A sampler: how a state begins, and how it moves.

    init(center) -> state, whose field `position` is w_t.
    step(key, state, loss_and_grad, center, scales) -> (state, Info); `loss_and_grad(w)` is that of this step's batch.
    """

    init: Callable
    step: Callable


class SGLDState(NamedTuple):
    position: Any  # as params


def noise(key, tree):
    """Standard normal noise shaped as `tree`; each leaf's key is folded from its path."""

    def draw(path, leaf):
        name = "noise/" + jax.tree_util.keystr(path, simple=True, separator="/")
        return jax.random.normal(plan.fold_name(key, name), leaf.shape, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, tree)


def _sgld_step(key, state: SGLDState, loss_and_grad, center, scales: plan.Scales):
    loss, grad = loss_and_grad(state.position)

    def move(w, g, origin, eta):
        drift = scales.nbeta * g + scales.localization * (w - origin)
        return w - scales.step_size / 2 * drift + jnp.sqrt(scales.step_size) * eta

    position = jax.tree.map(move, state.position, grad, center, noise(key, state.position))
    return SGLDState(position), Info(loss, plan.norm(grad))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGLD(plan.Plan):
    """Stochastic gradient Langevin dynamics (Welling & Teh 2011) with a pull to w*; its fields are those of `Plan`.

        w_{t+1} = w_t - (epsilon/2) [ n beta grad l_m(w_t) + gamma (w_t - w*) ] + sqrt(epsilon) eta,   eta ~ N(0, I)

    whose target is exp(-n beta l_n(w) - gamma/2 |w - w*|^2) up to a bias linear in epsilon. Along curvature h the chain
    is stable iff epsilon (n beta h + gamma) < 4. Eq. 8 of Hoogland et al. (2024) differs in print twice: its gradient
    term climbs the loss, and it has gamma/2 where gamma belongs (its A.4.3 has both right).
    """

    def kernel(self) -> Kernel:
        return Kernel(SGLDState, _sgld_step)
