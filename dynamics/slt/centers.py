"""Where chains start, and in which units they move away: w = w* + s u, s a scale per weight, 0
where it is frozen.

A mask or a scale is a pytree like params, each leaf of its parameter's rank and broadcastable to
it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import InputError


class Units(NamedTuple):
    """How offsets u become weights; either is None where it is 1 everywhere."""

    scale: Any  # s, 0 where frozen
    free: Any  # 0 where frozen, else 1


def place(center, offset, units: Units):
    """w* + s u."""
    if units.scale is None:
        return jax.tree.map(jnp.add, center, offset)
    return jax.tree.map(lambda w, u, s: w + s * u, center, offset, units.scale)


def moved(offset, units: Units):
    """|w - w*|."""
    scaled = offset if units.scale is None else jax.tree.map(jnp.multiply, offset, units.scale)
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(scaled)))


def units(center, mask, scale_by: str) -> Units:
    """The units of a run. Raises InputError for a mask that is not of the params or frees
    nothing."""
    free = None if mask is None else _checked(center, mask)
    if scale_by == "none":
        return Units(free, free)
    scale = jax.tree.map(lambda w: _scale(w, _overall(center), scale_by), center)
    return Units(scale if free is None else jax.tree.map(jnp.multiply, scale, free), free)


def _checked(center, mask):
    if jax.tree.structure(mask) != jax.tree.structure(center):
        raise InputError(
            "a mask of another structure than the params", expected="a pytree like params"
        )
    free = jax.tree.map(lambda m: jnp.asarray(m, jnp.float32), mask)
    for w, m in zip(jax.tree.leaves(center), jax.tree.leaves(free), strict=True):
        if m.ndim != w.ndim or any(
            size not in (1, full) for size, full in zip(m.shape, w.shape, strict=True)
        ):
            raise InputError(
                f"a mask of shape {m.shape} for a leaf {w.shape}",
                expected="one that broadcasts to it",
            )
        if not bool(jnp.all((m == 0) | (m == 1))):
            raise InputError(
                "a mask with other values than 0 and 1",
                expected="0 for frozen weights, 1 for free ones",
            )
    if not any(bool(m.any()) for m in jax.tree.leaves(free)):
        raise InputError("a mask that frees no weight", expected="at least one weight to sample")
    return free


def _overall(center):
    """Root mean square of all weights; 1 where they are all 0."""
    leaves = jax.tree.leaves(center)
    mean = sum(jnp.sum(jnp.square(w)) for w in leaves) / sum(w.size for w in leaves)
    return jnp.where(mean > 0, jnp.sqrt(mean), 1.0)


def _scale(w, overall, scale_by: str):
    """A leaf's units; a leaf of zeros, such as a bias at the start, takes those of the whole
    model."""
    typical = jnp.sqrt(jnp.mean(jnp.square(w)))
    typical = jnp.where(typical > 0, typical, overall)
    if scale_by == "leaf":
        return jnp.broadcast_to(typical, (1,) * w.ndim)
    return jnp.sqrt((jnp.square(w) + typical**2) / 2)


def num_free(params, mask) -> int:
    """How many weights a mask frees; all where it is None."""
    if mask is None:
        return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
    counts = jax.tree.map(
        lambda w, m: np.count_nonzero(m) * (np.size(w) // np.size(m)), params, mask
    )
    return int(sum(jax.tree.leaves(counts)))


def not_weights(params) -> str:
    """ " (leaf a, b)" of the leaves that hold no real floating-point numbers; "" where all do."""
    if not any(np.size(leaf) for leaf in jax.tree.leaves(params)):
        return " (no leaf holds a number)"
    return _named(params, lambda leaf: jnp.issubdtype(jnp.result_type(leaf), jnp.floating))


def non_finite(params) -> str:
    """ " (leaf a, b)" of the leaves that are not finite; "" where all are."""
    return _named(params, _finite)


def _named(params, holds: Callable[[Any], bool]) -> str:
    """The first five leaves that `holds` is not true of."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    names = [
        jax.tree_util.keystr(p, simple=True, separator="/") or "the only one"
        for p, x in leaves
        if not holds(x)
    ]
    return f" (leaf {', '.join(names[:5])})" if names else ""


def _finite(leaf) -> bool:
    return bool(np.isfinite(np.asarray(leaf, np.float32)).all())
