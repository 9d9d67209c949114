"""l(w*): what the losses of chains are compared with, and how well it is known.

Axes: C chains, N data items, m items of a batch, K chunks of the data.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from dynamics.slt import batches, centers
from dynamics.slt.batches import LossFn
from dynamics.slt.chain import Traces
from dynamics.slt.samplers.base import Sampler


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
