"""l(w*): what the losses of chains are compared with, and how well it is known.

Axes: C chains, N data items, m items of a batch, K chunks of the data.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from dynamics.slt import batches, centers
from dynamics.slt.batches import LossFn
from dynamics.slt.chain import Traces
from dynamics.slt.samplers.base import Sampler

_MIN_GRADIENT_BATCHES = 16  # independent batches that a noise-free gradient norm rests on


class Baseline(NamedTuple):
    """What chain losses are compared with."""

    trace: Float[np.ndarray, "C draws"]
    loss: float  # l(w*)
    sem: float  # standard error of `loss` as a population loss
    shared: float  # standard error of the draw of l(w*) that all chains share; 0 where they do not


def sem(values: Float[np.ndarray, " values"]) -> float:
    """Standard error of the mean of independent values; nan for a single value."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def of_run(
    loss_fn: LossFn, params: PyTree, data: PyTree, sampler: Sampler, traces: Traces
) -> Baseline:
    """The baseline that `sampler.baseline` names, with l(w*) and its error.

    The error is that of a mean over a sample of the population. Independent batches of m among N
    items have two parts: SD_batch sqrt(m / N) for the data, and SD_batch / sqrt(number of batches)
    for the draw of the batches.
    """
    count = batches.num_items(data)
    m, shape = sampler.items(count), traces.loss.shape
    if sampler.whole(count) or sampler.baseline == "fixed":
        loss, error = data_loss(loss_fn, params, data, m // sampler.accumulate)
        return Baseline(np.full(shape, loss), loss, error, 0.0)
    shared_by_chains = traces.baseline is None
    drawn = traces.loss[:, :1] if shared_by_chains else traces.baseline  # draw 0 is w* itself
    loss, drawing = float(drawn.mean(dtype=np.float64)), sem(drawn.ravel().astype(np.float64))
    error = drawing * math.sqrt(1 + drawn.size * m / count)
    if shared_by_chains:
        return Baseline(np.full(shape, loss), loss, error, float(np.nan_to_num(drawing)))
    return Baseline(drawn, loss, error, 0.0)


def data_loss(loss_fn: LossFn, params: PyTree, data: PyTree, size: int) -> tuple[float, float]:
    """l(w*) over the whole data in chunks of `size`, and its standard error.

    The error comes from the K chunks of equal size; nan where K is 1.
    """
    count = batches.num_items(data)
    whole, params = count // size * size, centers.as_float32(params)
    losses = np.asarray(
        _chunk_losses(loss_fn, size)(params, jax.tree.map(lambda x: x[:whole], data)), np.float64
    )
    rest = []
    if whole < count:
        rest = np.asarray(
            _chunk_losses(loss_fn, count - whole)(params, jax.tree.map(lambda x: x[whole:], data))
        )
    total = losses.sum() * size + sum(map(float, rest)) * (count - whole)
    return float(total / count), sem(losses)


@functools.lru_cache(maxsize=64)
def _chunk_losses(loss_fn: LossFn, size: int):
    def losses(params, data):
        with jax.default_matmul_precision("highest"):
            chunks = jax.tree.map(lambda x: jnp.reshape(x, (-1, size, *x.shape[1:])), data)
            return jax.lax.map(lambda chunk: loss_fn(params, chunk), chunks)

    return jax.jit(losses)


def gradient_norm(
    loss_fn: LossFn,
    params: PyTree,
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    scale: PyTree | None = None,
) -> float:
    """|gradient at w*| without the minibatches' noise, at least 0.

    From products of the gradients of B = max(C, 16) independent batches: the mean of g_a . g_b over
    a != b is (|sum g|^2 - sum |g|^2) / (B (B - 1)). The whole data needs one gradient.

    Args:
        loss_fn, params, data, key, sampler: as in `estimate_llc`.
        scale: tree like params that multiplies each weight's gradient, which is then in the units
            of `centers.Units`; or None.
    """
    whole = sampler.whole(batches.num_items(data))
    count = 1 if whole else max(sampler.num_chains, _MIN_GRADIENT_BATCHES)
    total, squares = _gradients(loss_fn, sampler.batch_size, count)(
        centers.as_float32(params), data, key, scale
    )
    if count == 1:
        return math.sqrt(float(squares))
    return math.sqrt(max(0.0, (float(total) - float(squares)) / (count * (count - 1))))


@functools.lru_cache(maxsize=64)
def _gradients(loss_fn: LossFn, size: int | None, count: int):
    """(|sum g|^2, sum |g|^2) over `count` batches, one gradient in memory at a time."""

    def add(params, data, key, scale, sums, index):
        batch_key = batches.fold_name(jax.random.fold_in(key, index), "init gradient")
        grad = jax.grad(loss_fn)(params, batches.draw_batch(batch_key, data, size))
        grad = grad if scale is None else jax.tree.map(jnp.multiply, grad, scale)
        return (jax.tree.map(jnp.add, sums[0], grad), sums[1] + _square(grad)), None

    def gradients(params, data, key, scale):
        with jax.default_matmul_precision("highest"):
            start = (jax.tree.map(jnp.zeros_like, params), jnp.float32(0))
            (total, squares), _ = jax.lax.scan(
                functools.partial(add, params, data, key, scale), start, jnp.arange(count)
            )
        return _square(total), squares

    return jax.jit(gradients)


def _square(tree):
    return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree))
