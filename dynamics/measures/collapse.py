"""Weights of layer norms that have collapsed, set exactly to 0, and random ones in their place.

Source: Hoogland et al. 2024, appendices D.2.4 to D.2.6. A collapsed scale makes the weights that it
feeds irrelevant; whether the landscape counts it as 0 is asked by making it 0.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

from dynamics.models import Params

__all__ = ["collapsed", "count", "random_like", "zeroed"]


def collapsed(params: Params, below: float) -> PyTree[Bool[Array, "..."]]:
    """Which weights are a norm's scale of a size below `below`; False for all other weights.

    Example:
        >>> params = {"final_norm": {"scale": jnp.array([0.05, 1.0])}, "unembed": jnp.zeros(2)}
        >>> jax.tree.map(lambda mask: mask.tolist(), collapsed(params, 0.1))
        {'final_norm': {'scale': [True, False]}, 'unembed': [False, False]}
    """

    def of_leaf(path: tuple[Any, ...], leaf: Array) -> Array:
        names = [step.key for step in path]
        of_norm = len(names) > 1 and names[-2].endswith("norm") and names[-1] == "scale"
        return (jnp.abs(leaf) < below) & of_norm

    return jax.tree_util.tree_map_with_path(of_leaf, params)


def count(mask: PyTree[Bool[Array, "..."]]) -> int:
    """How many weights a mask selects."""
    return sum(int(leaf.sum()) for leaf in jax.tree.leaves(mask))


def random_like(key: Key[Array, ""], mask: PyTree[Bool[Array, "..."]]) -> PyTree:
    """A mask of as many weights of each leaf, drawn without replacement.

    Example:
        >>> mask = {"scale": jnp.array([True, True, False, False, False])}
        >>> int(random_like(jax.random.key(0), mask)["scale"].sum())
        2
    """
    leaves, tree = jax.tree.flatten(mask)
    drawn = [
        jax.random.permutation(jax.random.fold_in(key, k), leaf.ravel()).reshape(leaf.shape)
        for k, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, drawn)


def zeroed(params: Params, mask: PyTree[Bool[Array, "..."]]) -> Params:
    """The params with the selected weights set to 0.

    Example:
        >>> zeroed({"w": jnp.array([2.0, 3.0])}, {"w": jnp.array([True, False])})["w"].tolist()
        [0.0, 3.0]
    """
    return jax.tree.map(lambda leaf, out: jnp.where(out, 0, leaf), params, mask)
