"""Vectors over params: their blocks by a mask, and the refusal of non-finite numbers."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from dynamics import threefry
from dynamics.errors import InputError
from dynamics.measures import finite
from dynamics.measures.curvature.products import Product


def restrict(vector: PyTree, mask: PyTree | None) -> PyTree:
    """`vector` with 0 outside of `mask`; the vector itself where mask is None."""
    if mask is None:
        return vector
    return jax.tree.map(lambda v, m: v * jnp.asarray(m, v.dtype), vector, mask)


def dot(first: PyTree, second: PyTree, mask: PyTree | None = None) -> Array:
    """Inner product of two pytrees over the parameters inside of `mask`."""
    products = jax.tree.map(lambda a, b: (a * b).sum(), restrict(first, mask), second)
    return sum(jax.tree.leaves(products), start=jnp.zeros(()))


def size(params: PyTree, mask: PyTree | None) -> int:
    """How many parameters there are, or how many lie inside of `mask`.

    Raises:
        InputError: a mask that selects nothing.
        AssertionError: a mask of another structure, or a leaf that is not of its parameter's rank
            and broadcastable to it. Of another rank it would broadcast along the wrong axis.
    """
    if mask is None:
        return sum(leaf.size for leaf in jax.tree.leaves(params))
    chex.assert_trees_all_equal_structs(params, mask)
    jax.tree.map(lambda p, m: chex.assert_equal_rank([p, m]), params, mask)
    jax.tree.map(lambda p, m: chex.assert_is_broadcastable(np.shape(m), p.shape), params, mask)
    counts = jax.tree.map(lambda p, m: p.size // np.size(m) * np.count_nonzero(m), params, mask)
    inside = sum(map(int, jax.tree.leaves(counts)))
    if not inside:
        raise InputError(
            "a mask that selects none of the parameters", expected="a mask with some of them at 1"
        )
    return inside


def as_float(params: PyTree) -> PyTree:
    """Params on the device, at least float32: second derivatives of half precision are noise.

    Raises InputError for non-finite params, here where the leaf at fault is identifiable: one such
    number taints the products of all leaves, or of none.
    """
    params = jax.tree.map(
        lambda p: jnp.asarray(p, jnp.promote_types(jnp.result_type(p), jnp.float32)), params
    )
    finite.check_params(params)
    return params


def refuse_nonfinite(
    product: Product, params: PyTree, batch: PyTree, key: Key[Array, ""], mask: PyTree | None
):
    """Raises InputError, by leaf, if the product with a random vector is not finite."""
    vector = restrict(threefry.like(key, params, threefry.normal), mask)
    finite.check(
        f"{product.name} products",
        product.apply(params, batch, vector),
        expected="finite curvature",
        mend="Look at the checkpoint and at the batch: the run may have diverged by this step.",
    )
