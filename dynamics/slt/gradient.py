"""The gradient at w*: its mean, its noise between batches, and the directions that batches name.

Axes: C chains, B batches, K directions.

Gradients of different batches at w* scatter by the loss's Fisher information. So the offset along
one of them weighs every direction by what it adds to the LLC, as a random direction would not: of
most weights nothing depends. And the offset itself, unlike the loss of a batch, has no batch noise.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from dynamics.slt import batches, centers
from dynamics.slt.batches import LossFn
from dynamics.slt.samplers.base import Sampler

_BATCHES = (16, 64)  # independent batches that a noise-free gradient norm rests on: a hundredth
_SHARE = 0.01  # of what the chains take, in these limits, and no fewer than there are chains
_DIRECTIONS = 8  # K, where memory allows it
_DIRECTION_FLOATS = 2**27  # numbers that K > 1 directions may take, half a gigabyte


class StartGradient(NamedTuple):
    """Gradients of B batches at w*, in the units of u; B is 1 for the whole data.

    Attributes:
        mean: their mean, a tree like params.
        square: |gradient of the whole|^2, without the batches' noise; it may come out below 0.
        square_sem: its standard error over batches; 0 for the whole data.
        noise: E|gradient of a batch - gradient of the whole|^2; 0 for the whole data.
        alignment: the mean squared cosine between gradients of two batches, up to K of them.
        directions: K of the batches' gradients, each of length 1, leaves [K,...]; None where a
            batch has no gradient or is the whole data.
    """

    mean: PyTree
    square: float
    square_sem: float
    noise: float
    alignment: float
    directions: PyTree | None


def at_start(
    loss_fn: LossFn,
    params: PyTree,
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    scale: PyTree | None = None,
    num_batches: int | None = None,
) -> StartGradient:
    """Gradients at w* of B independent batches.

    The mean of g_a . g_b over a != b is (|sum g|^2 - sum |g|^2) / (B (B - 1)). The whole data needs
    one gradient.

    Args:
        loss_fn, params, data, key, sampler: as in `estimate_llc`.
        scale: tree like params that multiplies each weight's gradient, which is then in the units
            of `centers.Units`; or None.
        num_batches: B of minibatches, at least two; by default 16 to 64, by the chains' length, and
            no fewer than chains.
    """
    whole = sampler.whole(batches.num_items(data))
    count = 1 if whole else num_batches or _num_batches(sampler)
    center = centers.as_float32(params)
    num_last = 1 if whole else num_directions(center)
    program = _gradients(loss_fn, sampler.batch_size, sampler.accumulate, num_last)
    data = jax.tree.map(jnp.asarray, data)
    total, squares, total_square, last = program(center, data, key, scale, np.int32(count))
    squares, total_square = float(squares), float(total_square)
    mean = jax.tree.map(lambda leaf: leaf / count, total)
    if whole:
        return StartGradient(mean, squares, 0.0, 0.0, 0.0, None)
    square = (total_square - squares) / (count * (count - 1))
    noise = max(0.0, squares / count - square)
    vectors = _of_length_one(last)
    alignment = _alignment(vectors)
    # Var of g_a . g_b is tr N^2 + 2 g'N g, N the covariance of a batch's gradient.
    variance = 2 / (count - 1) * noise * alignment * (noise + 2 * count * max(0.0, square)) / count
    return StartGradient(mean, square, math.sqrt(variance), noise, alignment, vectors)


def directions(
    loss_fn: LossFn,
    params: PyTree,
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    scale: PyTree | None = None,
) -> PyTree | None:
    """The K directions of `StartGradient`; None where there are none. Arguments: `at_start`."""
    if sampler.whole(batches.num_items(data)):
        return None
    count = max(2, num_directions(params))
    return at_start(loss_fn, params, data, key, sampler, scale, count).directions


def gradient_norm(
    loss_fn: LossFn,
    params: PyTree,
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    scale: PyTree | None = None,
) -> float:
    """|gradient at w*| without the minibatches' noise, at least 0. Arguments: `at_start`."""
    return math.sqrt(max(0.0, at_start(loss_fn, params, data, key, sampler, scale).square))


def num_directions(params: PyTree) -> int:
    """K: 8, or as many of a large model as fit into half a gigabyte, at least one."""
    size = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
    return max(1, min(_DIRECTIONS, _DIRECTION_FLOATS // max(1, size)))


def _num_batches(sampler: Sampler) -> int:
    steps = sampler.num_chains * sampler.num_draws * sampler.thinning
    return max(sampler.num_chains, int(np.clip(_SHARE * steps, *_BATCHES)))


@functools.lru_cache(maxsize=64)
def _gradients(loss_fn: LossFn, size: int | None, accumulate: int, kept: int):
    """Jitted (w*, data, key, scale, B) -> (sum g, sum |g|^2, |sum g|^2, `kept` of them)."""
    gradient = batches.accumulated(jax.grad(loss_fn), accumulate)

    @jax.jit
    def gradients(center, data, key, scale, count):
        def add(index, sums):
            total, squares, last = sums
            batch_key = batches.fold_name(jax.random.fold_in(key, index), "init gradient")
            grad = gradient(center, batches.draw_batch(batch_key, data, size))
            grad = grad if scale is None else jax.tree.map(jnp.multiply, grad, scale)
            last = jax.tree.map(lambda rows, leaf: rows.at[index % kept].set(leaf), last, grad)
            return jax.tree.map(jnp.add, total, grad), squares + _square(grad), last

        zeros = jax.tree.map(jnp.zeros_like, center)
        rows = jax.tree.map(lambda leaf: jnp.zeros((kept, *leaf.shape), leaf.dtype), center)
        with jax.default_matmul_precision("highest"):
            total, squares, last = jax.lax.fori_loop(0, count, add, (zeros, jnp.float32(0), rows))
        return total, squares, _square(total), last

    return gradients


def _of_length_one(rows: PyTree) -> PyTree | None:
    """Each of K vectors over its length; None where one of them is 0."""
    lengths = _lengths(rows)
    if not bool(jnp.all(lengths > 0)):
        return None
    return jax.tree.map(lambda leaf: leaf / lengths.reshape(-1, *[1] * (leaf.ndim - 1)), rows)


def _alignment(vectors: PyTree | None) -> float:
    """Mean squared inner product of two of K vectors of length 1; 1 where there is none other."""
    if vectors is None:
        return 1.0
    cosines = np.asarray(_products(vectors), np.float64)
    others = ~np.eye(len(cosines), dtype=bool)
    return float(np.square(cosines[others]).mean()) if others.any() else 1.0


@jax.jit
def _products(rows: PyTree):
    flat = (leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(rows))
    return sum(jnp.matmul(leaf, leaf.T, precision="highest") for leaf in flat)


@jax.jit
def _lengths(rows: PyTree):
    squares = (
        jnp.sum(jnp.square(leaf.reshape(len(leaf), -1)), 1) for leaf in jax.tree.leaves(rows)
    )
    return jnp.sqrt(sum(squares))


def project(vectors: PyTree, offset: PyTree) -> Array:
    """[K] inner products of K vectors with u."""
    pairs = zip(jax.tree.leaves(vectors), jax.tree.leaves(offset), strict=True)
    return jnp.asarray(sum(jnp.tensordot(rows, u, u.ndim) for rows, u in pairs))


def _square(tree):
    return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree))
