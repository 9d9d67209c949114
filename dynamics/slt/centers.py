"""Where chains start, and the units in which they move away: w = w* + s u.

s is a scale per weight, 0 where the weight is frozen. A mask or a scale is a tree like params; each
leaf has the rank of its parameter and broadcasts to it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from dynamics.errors import InputError


class Units(NamedTuple):
    """How offsets u become weights; either field is None where it is 1 everywhere."""

    scale: PyTree | None  # s, 0 where frozen
    free: PyTree | None  # 0 where frozen, else 1


def as_float32(params: PyTree) -> PyTree:
    """params in float32, as chains need: sqrt(epsilon) is below the spacing of bfloat16."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)


def place(center: PyTree, offset: PyTree, units: Units) -> PyTree:
    """w* + s u."""
    if units.scale is None:
        return jax.tree.map(jnp.add, center, offset)
    return jax.tree.map(lambda w, u, s: w + s * u, center, offset, units.scale)


def distance(offset: PyTree, units: Units) -> Float[Array, ""]:
    """|w - w*|."""
    move = offset if units.scale is None else jax.tree.map(jnp.multiply, offset, units.scale)
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(move)))


def units(center: PyTree, mask: PyTree | None, scale_by: str) -> Units:
    """The units of a run around `center`.

    Raises:
        InputError: a mask that does not fit the params, holds other values than 0 and 1, or frees
            no weight.
    """
    free = None if mask is None else _checked_mask(center, mask)
    if scale_by == "none":
        return Units(free, free)
    overall = _typical_size(center)
    scale = jax.tree.map(lambda w: _leaf_scale(w, overall, scale_by), center)
    return Units(scale if free is None else jax.tree.map(jnp.multiply, scale, free), free)


def _checked_mask(center, mask):
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


def _typical_size(center):
    """Root mean square of all weights; 1 where they are all 0."""
    leaves = jax.tree.leaves(center)
    mean = sum(jnp.sum(jnp.square(w)) for w in leaves) / sum(w.size for w in leaves)
    return jnp.where(mean > 0, jnp.sqrt(mean), 1.0)


def _leaf_scale(w, overall, scale_by: str):
    """The units of a leaf; one of zeros, such as a bias at step 0, takes those of the model."""
    typical = jnp.sqrt(jnp.mean(jnp.square(w)))
    typical = jnp.where(typical > 0, typical, overall)
    if scale_by == "leaf":
        return jnp.broadcast_to(typical, (1,) * w.ndim)
    return jnp.sqrt((jnp.square(w) + typical**2) / 2)


def num_free(params: PyTree, mask: PyTree | None) -> int:
    """The number of weights that a mask frees; all of them where it is None."""
    if mask is None:
        return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
    counts = jax.tree.map(
        lambda w, m: np.count_nonzero(m) * (np.size(w) // np.size(m)), params, mask
    )
    return int(sum(jax.tree.leaves(counts)))


def non_weights(params: PyTree) -> str:
    """' (leaf a, b)' of the leaves that hold no real floating-point numbers; '' where all do."""
    if not any(np.size(leaf) for leaf in jax.tree.leaves(params)):
        return " (no leaf holds a number)"
    return _names_where_not(params, lambda x: jnp.issubdtype(jnp.result_type(x), jnp.floating))


def non_finite(params: PyTree) -> str:
    """' (leaf a, b)' of the leaves that are not finite; '' where all are."""
    return _names_where_not(params, lambda x: bool(np.isfinite(np.asarray(x, np.float32)).all()))


def _names_where_not(params, predicate: Callable[[Any], bool]) -> str:
    """Names of the first five leaves of which `predicate` is false."""
    names = [
        jax.tree_util.keystr(path, simple=True, separator="/") or "the only one"
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if not predicate(leaf)
    ]
    return f" (leaf {', '.join(names[:5])})" if names else ""
