"""Which items a step sees, and keys folded from names.

Axes: N data items, m items of a batch, k microbatches.
"""

import zlib

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import InputError


def fold_name(key, name: str):
    """A key of its own for `name`, whatever else is drawn."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def check_key(key):
    """Raises InputError for anything but one typed key."""
    typed = jnp.issubdtype(getattr(key, "dtype", np.dtype(object)), jax.dtypes.prng_key)
    if not typed or key.shape:
        found = f"an array of {key.size} keys" if typed else f"a key of type {type(key).__name__}"
        raise InputError(found, expected="one typed key", mend="Use jax.random.key(seed).")


def num_items(data) -> int:
    """N, the leading axis that every leaf shares. Raises InputError."""
    sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(data)}
    if len(sizes) != 1 or sizes & {(), (0,)}:
        raise InputError(
            f"data with leading axes {sorted(sizes)}",
            expected="one N >= 1, the same for every leaf",
        )
    return sizes.pop()[0]


def draw_batch(key, data, size: int | None):
    """`size` items of `data` drawn uniformly with replacement, or all of it in order."""
    count = num_items(data)
    if size is None or size == count:
        return data
    index = jax.random.randint(key, (size,), 0, count)
    return jax.tree.map(lambda x: x[index], data)


def accumulated(fn, parts: int):
    """fn(x, batch) -> pytree of means over a batch, computed on `parts` equal microbatches in turn
    and averaged."""
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
