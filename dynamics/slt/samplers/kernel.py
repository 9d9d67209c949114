"""The form of every sampler, (init, step): blind to devices, chains, data and units.

A kernel moves u, the offset from w* in units of each weight's scale: w = w* + s u, and u starts at
0. Its target is exp(-n beta l(w* + s u) - gamma/2 |u|^2). An offset that is stored apart from a
large w* loses no digits. Frozen weights have no gradient and no noise, so their u stays 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from dynamics.slt.noise import noise


class Target(NamedTuple):
    """What a chain samples; every number is traced, so that a grid over them compiles once."""

    step_size: Any  # epsilon
    nbeta: Any  # inverse temperature times sample size
    localization: Any  # gamma
    box: Any  # half-width of the box that u stays in, or None
    adapt: Any  # steps in which a preconditioner may move
    free: Any  # pytree like u of 0 (frozen) and 1 that broadcasts to it; None where all are free


class StepStats(NamedTuple):
    """Scalars of one step: the place before the move, and the lengths of the move's parts."""

    loss: Any  # batch loss
    grad_norm: Any  # |gradient of the batch loss|
    drift: Any  # length of the part of the step that the loss causes
    pull: Any  # length of the part towards w*
    noise: Any  # length of the random part
    acceptance: Any  # probability of the proposed move; None where there is no test


class Kernel(NamedTuple):
    """A sampler: how a state begins, and how it moves.

    init(key, offset, value_and_grad, target) -> state, whose field `offset` is u.
    step(key, state, value_and_grad, target) -> (state, StepStats).
    `value_and_grad(u)` gives (loss, gradient) on this step's batch.
    """

    init: Callable
    step: Callable


def norm(tree: PyTree) -> Float[Array, ""]:
    """Euclidean norm over all leaves."""
    return jnp.sqrt(dot(tree, tree))


def dot(first: PyTree, second: PyTree) -> Float[Array, ""]:
    """Inner product over all leaves."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return jnp.asarray(sum(jnp.sum(x * y) for x, y in pairs))


def free_noise(key: Key[Array, ""], offset: PyTree, target: Target) -> PyTree:
    """Standard normal noise for the free weights, 0 for the frozen ones."""
    eta = noise(key, offset)
    return eta if target.free is None else jax.tree.map(jnp.multiply, eta, target.free)


def num_free(offset: PyTree, target: Target) -> float | Float[Array, ""]:
    """The number of weights that move."""
    if target.free is None:
        return float(sum(leaf.size for leaf in jax.tree.leaves(offset)))
    counts = jax.tree.map(lambda u, m: jnp.sum(m) * (u.size / m.size), offset, target.free)
    return sum(jax.tree.leaves(counts))


def potential_gradient(grad: PyTree, offset: PyTree, target: Target) -> PyTree:
    """n beta grad l + gamma u."""
    return jax.tree.map(lambda g, u: target.nbeta * g + target.localization * u, grad, offset)


def reflect(offset: PyTree, target: Target) -> PyTree:
    """u folded back at the walls of the box, as often as it takes to be inside."""
    if target.box is None:
        return offset
    return jax.tree.map(lambda u: _folded(u, target.box), offset)


def _folded(u, half_width):
    position = jnp.mod(u + half_width, 4 * half_width)
    return jnp.where(position > 2 * half_width, 4 * half_width - position, position) - half_width


def reflected_momentum(momentum: PyTree, unfolded: PyTree, target: Target) -> PyTree:
    """Momentum with its sign flipped wherever the walls reversed the move to `unfolded`."""
    if target.box is None:
        return momentum
    reversed_ = jax.tree.map(
        lambda u: jnp.mod(u + target.box, 4 * target.box) > 2 * target.box, unfolded
    )
    return jax.tree.map(lambda p, flip: jnp.where(flip, -p, p), momentum, reversed_)


def inside(offset: PyTree, target: Target) -> Bool[Array, ""]:
    """Whether every u lies in the box."""
    if target.box is None:
        return jnp.bool_(True)
    return jnp.all(jnp.stack([jnp.all(jnp.abs(u) <= target.box) for u in jax.tree.leaves(offset)]))
