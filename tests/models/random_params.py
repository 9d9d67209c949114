"""Params of any family drawn by NumPy: nothing is compiled, and every leaf matters."""

import jax
import numpy as np

from dynamics import models


def random_params(config, seed: int = 0, scale: float = 0.2):
    """Normal numbers of that scale; those of norms' scales lie about 1."""
    shapes = jax.eval_shape(lambda key: models.init(key, config), jax.random.key(0))
    rng = np.random.default_rng(seed)

    def leaf(path, shape):
        center = float(path[-1].key == "scale")
        return (center + scale * rng.normal(size=shape.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)
