"""A statistic of one batch's Hessian, over batches: how far it is that of the data.

Axes: N data items, m items of a batch, B batches.

A trace or an eigenvalue is stated with its error over probes or its residual bound, at one batch.
Another batch has another Hessian, and its numbers often differ by more than that.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from dynamics.errors import InputError


class OverBatches(NamedTuple):
    """A statistic over B batches, in its own unit."""

    value: float  # mean over batches
    sem: float  # standard error of that mean as a statement of the population, from the spread
    within: float  # error at one batch, of probes or of a residual bound; root mean square
    between: float  # SD between batches of the statistic itself, without the error at one batch


def over_batches(
    measure: Callable[[PyTree, Any], tuple[float, float]],
    data: PyTree,
    key: Key[Array, ""],
    *,
    num_batches: int = 8,
    batch_size: int = 8,
) -> OverBatches:
    """`measure` on B batches that share no item, with the error at one batch and between them.

    An extreme eigenvalue of a batch lies further out than that of the data, in every batch: the
    error between batches does not see that. Larger batches do.

    Args:
        measure: (batch, key) -> (value, its error at this batch), such as `hessian_trace` at fixed
            params.
        data: pytree, leading axis N.
        key: typed key, of the order of the items and of each batch's probes.
        num_batches: B, two or more.
        batch_size: m.

    Raises:
        InputError: fewer than two batches, or more items than there are.

    Example:
        >>> import functools
        >>> from dynamics.measures import curvature
        >>> def loss(params, curvatures):
        ...     return (curvatures.mean(0) * params**2).sum() / 2
        >>> trace = functools.partial(curvature.hessian_trace, loss, jnp.ones(2), num_samples=2)
        >>> data = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]], np.float32)
        >>> spread = over_batches(trace, data, jax.random.key(0), num_batches=4, batch_size=1)
        >>> spread.value, round(spread.between, 3), spread.within  # 2, 4, 6, 8
        (5.0, 2.582, 0.0)
    """
    count = jax.tree.leaves(data)[0].shape[0]
    if num_batches < 2 or batch_size < 1 or num_batches * batch_size > count:
        raise InputError(
            f"{num_batches} batches of {batch_size} from {count} items",
            expected="two batches or more that share no item",
        )
    order = np.asarray(jax.random.permutation(key, count))[: num_batches * batch_size]
    values, errors = np.zeros(num_batches), np.zeros(num_batches)
    for number, index in enumerate(order.reshape(num_batches, batch_size)):
        batch = jax.tree.map(lambda x, index=index: jnp.asarray(x[index]), data)
        values[number], errors[number] = measure(batch, jax.random.fold_in(key, number))
    spread, within = values.std(ddof=1), math.sqrt(np.square(errors).mean())
    return OverBatches(
        value=float(values.mean()),
        sem=float(spread / math.sqrt(num_batches)),
        within=float(within),
        between=math.sqrt(max(0.0, spread**2 - within**2)),
    )
