"""First values as torch draws them: a Linear's within 1/sqrt(inputs) of 0, a norm's 1 and 0."""

import itertools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dynamics.models._transformer import Params


def draw(
    key: Key[Array, ""], shapes: Params, num_inputs: Mapping[str, int], default: int
) -> Params:
    """Values for a tree of shapes, float32.

    Args:
        key: decides everything.
        shapes: nested dict whose leaves have a shape; a leaf's module is the name above it, and one
            that ends in "norm" is a layer norm.
        num_inputs: module -> inputs of its Linear.
        default: inputs of every other one.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)
    ends = list(itertools.accumulate(leaf.size for _, leaf in leaves))
    # One draw for all leaves: each more would cost the compiler a second.
    draws = jnp.split(jax.random.uniform(key, (ends[-1],), jnp.float32, -1, 1), ends[:-1])
    named = [(tuple(step.key for step in path), leaf) for path, leaf in leaves]
    filled = [
        _fill(path, values.reshape(leaf.shape), num_inputs.get(path[-2], default))
        for (path, leaf), values in zip(named, draws, strict=True)
    ]
    return jax.tree.unflatten(tree, filled)


def _fill(
    path: tuple[str, ...], values: Float[Array, "..."], num_inputs: int
) -> Float[Array, "..."]:
    if path[-2].endswith("norm"):
        # With its dtype: a weak one would compile anew whatever the params are passed through.
        return jnp.full(values.shape, 1.0 if path[-1] == "scale" else 0.0, values.dtype)
    return values * num_inputs**-0.5
