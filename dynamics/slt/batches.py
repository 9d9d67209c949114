"""Which items a step sees, and random keys folded from names.

Axes: N data items, m items of a batch.
"""

import zlib
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from dynamics.errors import InputError

LossFn = Callable[[PyTree, PyTree], Float[Array, ""]]  # (params, batch) -> mean loss of the batch


def fold_name(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The key that belongs to `name`, independent of what else is drawn from `key`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def check_key(key: Any) -> None:
    """Raises InputError for anything but a single typed key."""
    typed = jnp.issubdtype(getattr(key, "dtype", np.dtype(object)), jax.dtypes.prng_key)
    if not typed or key.shape:
        kind = f"an array of {key.size} keys" if typed else f"a key of type {type(key).__name__}"
        raise InputError(kind, expected="one typed key", mend="Use jax.random.key(seed).")


def num_items(data: PyTree) -> int:
    """N, the length of the leading axis that all leaves share.

    Raises:
        InputError: no leaf, scalar leaves, leading axes that differ or are empty.
    """
    leaves = jax.tree.leaves(data)
    try:
        chex.assert_equal_shape_prefix(leaves, 1)
        (count,) = leaves[0].shape[:1]
        chex.assert_scalar_positive(count)
    except (AssertionError, AttributeError, IndexError, ValueError) as error:
        raise InputError(
            f"data with leading axes {sorted({np.shape(leaf)[:1] for leaf in leaves})}",
            expected="arrays with one N >= 1, the same for every leaf",
        ) from error
    return count


def draw_batch(key: Key[Array, ""], data: PyTree, size: int | None) -> PyTree:
    """`size` items of `data` drawn with replacement; for None or N all of it, in order."""
    count = num_items(data)
    if size is None or size == count:
        return data
    index = jax.random.randint(key, (size,), 0, count)
    return jax.tree.map(lambda x: x[index], data)


def accumulated(fn: Callable, parts: int) -> Callable:
    """fn(x, batch), a tree of means over a batch, from `parts` equal microbatches in turn."""
    if parts == 1:
        return fn

    def averaged(x, batch):
        split = jax.tree.map(lambda leaf: leaf.reshape(parts, -1, *leaf.shape[1:]), batch)
        first = fn(x, jax.tree.map(lambda leaf: leaf[0], split))

        def add(total, microbatch):
            return jax.tree.map(jnp.add, total, fn(x, microbatch)), None

        total, _ = jax.lax.scan(add, first, jax.tree.map(lambda leaf: leaf[1:], split))
        return jax.tree.map(lambda leaf: leaf / parts, total)

    return averaged
