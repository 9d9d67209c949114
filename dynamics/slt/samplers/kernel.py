"""The one form of every sampler: (init, step), blind to devices, chains, data and units.

A kernel moves u, the offset from w* in units of each weight's scale: w = w* + s u, u = 0 at first.
Its target is exp(-n beta l(w* + s u) - gamma/2 |u|^2). Kept apart from w*, a small offset from a
large weight loses no digits. Frozen weights have no gradient and no noise, so their u stays 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.slt.noise import noise


class Target(NamedTuple):
    """What a chain samples; every number is traced, so that a grid over them compiles once."""

    step_size: Any  # epsilon
    nbeta: Any  # inverse temperature times sample size
    localization: Any  # gamma
    box: Any  # half-width of the box that u stays in, or None
    adapt: Any  # steps in which a preconditioner may move
    free: Any  # pytree as u of 0 (frozen) and 1, each broadcastable to its leaf; or None where all move


class Info(NamedTuple):
    """What a step says of itself, each a scalar: of the place before it moves, and of its own parts
    in length."""

    loss: Any  # batch loss
    grad_norm: Any  # |gradient of the batch loss|
    drift: Any  # part of the step that the loss causes
    pull: Any  # part of the step towards w*
    noise: Any  # part of the step that is random
    acceptance: Any  # probability of the proposed move; nan where there is no test


class Kernel(NamedTuple):
    """A sampler: how a state begins, and how it moves.

    init(key, offset, value_and_grad, target) -> state, whose field `offset` is u. step(key, state,
    value_and_grad, target) -> (state, Info); `value_and_grad(u)` is (loss, gradient) on this step's
    batch.
    """

    init: Callable
    step: Callable


def norm(tree):
    """Euclidean norm over all leaves."""
    return jnp.sqrt(dot(tree, tree))


def dot(one, other):
    """Inner product over all leaves."""
    return sum(
        jnp.sum(a * b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def kick(key, offset, target: Target):
    """Standard normal noise for the weights that are free."""
    eta = noise(key, offset)
    return eta if target.free is None else jax.tree.map(jnp.multiply, eta, target.free)


def num_free(offset, target: Target):
    """How many weights move."""
    if target.free is None:
        return float(sum(leaf.size for leaf in jax.tree.leaves(offset)))
    shares = jax.tree.map(lambda x, m: jnp.sum(m) * (x.size / m.size), offset, target.free)
    return sum(jax.tree.leaves(shares))


def potential_gradient(grad, offset, target: Target):
    """n beta grad l + gamma u."""
    return jax.tree.map(lambda g, u: target.nbeta * g + target.localization * u, grad, offset)


def reflect(offset, target: Target):
    """u folded back at the walls of the box, as often as it takes; what a step would leave comes
    back inside."""
    if target.box is None:
        return offset
    return jax.tree.map(lambda u: _folded(u, target.box), offset)


def _folded(u, half):
    place = jnp.mod(u + half, 4 * half)
    return jnp.where(place > 2 * half, 4 * half - place, place) - half


def reflected_momentum(momentum, unfolded, target: Target):
    """Momentum turned round wherever the walls turned the move round."""
    if target.box is None:
        return momentum
    turned = jax.tree.map(
        lambda u: jnp.mod(u + target.box, 4 * target.box) > 2 * target.box, unfolded
    )
    return jax.tree.map(lambda p, back: jnp.where(back, -p, p), momentum, turned)


def inside(offset, target: Target):
    """Whether every u lies in the box."""
    if target.box is None:
        return jnp.bool_(True)
    return jnp.all(jnp.stack([jnp.all(jnp.abs(u) <= target.box) for u in jax.tree.leaves(offset)]))
