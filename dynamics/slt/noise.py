"""Standard normal noise for a step of a chain."""

from jaxtyping import Array, Key, PyTree

from dynamics import threefry
from dynamics.slt import batches


def noise(key: Key[Array, ""], tree: PyTree) -> PyTree:
    """Noise shaped like `tree`, each leaf in its own float dtype, of the key of a step."""
    return threefry.like(batches.fold_name(key, "noise"), tree, threefry.normal)
