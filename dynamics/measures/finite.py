"""The refusal of numbers that are not finite, where the leaf at fault can still be named.

A single such weight makes some divergences NaN and leaves others as they were, so that what comes
out of a measure would tell neither that it is wrong nor why.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from dynamics.errors import InputError

_MOST_NAMES = 5  # of leaves, in an error


def check(kind: str, tree: PyTree[Float[Array | np.ndarray, "..."]], *, expected: str, mend: str):
    """Raises InputError, by leaf, for a pytree of arrays with a number that is not finite.

    Args:
        kind: what the error calls the numbers.
        tree: outside of jit, where its numbers can be looked at.
        expected, mend: of the error.

    Example:
        >>> check("params", {"a": np.ones(2), "b": np.array([np.nan])}, expected="0", mend="Look.")
        Traceback (most recent call last):
        dynamics.errors.InputError: got non-finite params in 1 of 2 leaves (b); expected 0. Look.
    """
    # One number for each leaf, so that no weights leave their device.
    marks = jax.tree.map(lambda x: 0.0 if bool(jnp.isfinite(x).all()) else np.nan, tree)
    try:
        chex.assert_tree_all_finite(marks)
    except AssertionError as error:
        leaves = jax.tree_util.tree_leaves_with_path(marks)
        names = [
            jax.tree_util.keystr(path, simple=True, separator="/") or "the only one"
            for path, mark in leaves
            if np.isnan(mark)
        ]
        listing = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        raise InputError(
            f"non-finite {kind} in {len(names)} of {len(leaves)} leaves ({listing})",
            expected=expected,
            mend=mend,
        ) from error


def check_params(params: PyTree[Float[Array | np.ndarray, "..."]]):
    """Raises InputError, by leaf, for weights of a checkpoint that are not finite."""
    check(
        "params",
        params,
        expected="finite weights",
        mend="The run may have diverged by this step: audit the checkpoint.",
    )
