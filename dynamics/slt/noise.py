"""Standard normal noise for a step."""

import jax

from dynamics.slt import batches


def noise(key, tree):
    """Standard normal noise shaped as `tree`; each leaf's key is folded from its path."""

    def draw(path, leaf):
        name = "noise/" + jax.tree_util.keystr(path, simple=True, separator="/")
        return jax.random.normal(batches.fold_name(key, name), leaf.shape, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, tree)
