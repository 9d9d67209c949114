"""Random vectors over params, blocks of them, and the refusal of numbers that are not finite."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import InputError
from dynamics.measures.curvature.products import Product


def draw(sampler, key, params):
    """A random vector like params, each leaf from a key folded from its path; sampler(key, shape,
    dtype)."""

    def of_leaf(path, leaf):
        name = zlib.crc32(jax.tree_util.keystr(path).encode())
        return sampler(jax.random.fold_in(key, name), leaf.shape, leaf.dtype)

    return jax.tree_util.tree_map_with_path(of_leaf, params)


def restrict(vector, mask):
    """`vector` with the parameters outside of `mask` at 0; the vector itself where mask is None."""
    return (
        vector
        if mask is None
        else jax.tree.map(lambda v, m: v * jnp.asarray(m, v.dtype), vector, mask)
    )


def dot(one, other, mask=None):
    """Inner product of two pytrees over the parameters inside of `mask`."""
    products = jax.tree.map(lambda a, b: (a * b).sum(), restrict(one, mask), other)
    return sum(jax.tree.leaves(products))


def size(params, mask) -> int:
    """Parameters, those inside of `mask`. Raises InputError for a mask of nothing."""
    if mask is None:
        return sum(leaf.size for leaf in jax.tree.leaves(params))
    counts = jax.tree.map(lambda p, m: p.size // np.size(m) * np.count_nonzero(m), params, mask)
    inside = sum(map(int, jax.tree.leaves(counts)))
    if not inside:
        raise InputError(
            "a mask that selects none of the parameters", expected="a mask with some of them at 1"
        )
    return inside


def as_float(params):
    """Params on the device, half precision widened: second derivatives of rounded numbers are
    noise.

    Refuses non-finite ones here, where the leaf at fault is known: one of them taints the products
    of all the others, or of none.
    """
    params = jax.tree.map(
        lambda p: jnp.asarray(p, jnp.promote_types(jnp.result_type(p), jnp.float32)), params
    )
    _check_finite("params", params)
    return params


def refuse_nonfinite(product: Product, params, batch, key, mask):
    """Raises InputError, by leaf, if the product with a random vector is not finite."""
    vector = restrict(draw(jax.random.normal, key, params), mask)
    _check_finite(f"{product.name} products", product.apply(params, batch, vector))


def _check_finite(kind: str, tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    names = [
        jax.tree_util.keystr(p, simple=True, separator="/")
        for p, x in leaves
        if not jnp.isfinite(x).all()
    ]
    if names:
        listing = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise InputError(
            f"non-finite {kind} in {len(names)} of {len(leaves)} leaves ({listing})",
            expected="finite curvature",
            mend="Look at the checkpoint and at the batch: the run may have diverged by this step.",
        )
