"""The windows of a block, each device taking its share of them.

Axes: B windows, D devices, "..." any axes of a result.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from dynamics.devices import map_chains


def spread(
    fn: Callable[..., PyTree[Float[Array, "... B P"]]],
    params: PyTree,
    tokens: Int[np.ndarray, "B T"],
    *shared,
) -> PyTree[Float[Array, "... B P"]]:
    """fn(params, tokens, *shared), windows shared out over this process's devices.

    Where there is one device, fewer windows than devices, or several processes, which would wait
    for one another, it is the plain call.

    Args:
        fn: of any number of windows, none of which knows of another; the leaves that it returns end
            in [B, P]. It is compiled once per shape, and kept by its identity.
        params, shared: the same for every window.
        tokens: [B,T].

    Example:
        >>> def lengths(params, tokens, scale):
        ...     return scale * params * jnp.ones(tokens[:, 1:].shape)
        >>> spread(lengths, 2.0, np.zeros((5, 4), int), 3.0).shape
        (5, 3)
    """
    count, devices = len(tokens), jax.local_device_count()
    if devices == 1 or count < devices or jax.process_count() > 1:
        return fn(params, tokens, *shared)
    each = -(-count // devices)
    last = np.minimum(np.arange(devices * each), count - 1)  # the last again, to be cut off
    groups = tokens[last].reshape(devices, each, -1)
    # One group at a time: under vmap both sides of a choice would be computed.
    numbers = map_chains(_of_group(fn), chain_batch=1)(groups, params, *shared)
    return jax.tree.map(lambda x: _joined(x, count), numbers)


@functools.lru_cache(maxsize=16)
def _of_group(fn: Callable) -> Callable:
    """`fn` of (tokens, params, ...), the same one for the same function."""
    return lambda tokens, params, *shared: fn(params, tokens, *shared)


def _joined(x: Float[Array, "D ... b P"], count: int) -> Float[Array, "... B P"]:
    x = jnp.moveaxis(x, 0, -3)  # [..., D, b, P]
    return x.reshape(*x.shape[:-3], -1, x.shape[-1])[..., :count, :]
