"""Maps over tokens in chunks, so that logits [T,V] are never held whole.

Axes: N tokens (batch and positions flattened), V vocabulary.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

# Floats of one chunk's logits. 2 MB stays in a core's cache; accelerators want larger chunks to
# fill their units.
_CHUNK_FLOATS = {"cpu": 2**19, "gpu": 2**25, "tpu": 2**25}
# Where a gradient is made with them: each chunk adds into all of the unembedding's, so on a CPU
# fewer are better.
GRADIENT_FLOATS = {"cpu": 2**22, "gpu": 2**25, "tpu": 2**25}


def tokens_per_chunk(
    vocab_size: int, models: int = 1, floats: Mapping[str, int] = _CHUNK_FLOATS
) -> int:
    """How many tokens to take at once when `models` logit vectors of `vocab_size` stand side by
    side.

    `floats` is how many to hold by backend.
    """
    most = floats.get(jax.default_backend(), floats["cpu"])
    return max(8, most // (vocab_size * models))


def map_chunks(fn, xs, chunk: int, remat: bool = False):
    """fn over chunks of the leading axis N of every leaf of `xs`, results joined: leaves [N, ...].

    N is padded with zeros to a multiple of `chunk` and cut again. With `remat` the backward pass
    recomputes each chunk and holds none.
    """
    count = jax.tree.leaves(xs)[0].shape[0]
    if count <= chunk:
        return jax.checkpoint(fn)(xs) if remat else fn(xs)
    pad = -count % chunk

    def split(x):
        return jnp.pad(x, [(0, pad)] + [(0, 0)] * (x.ndim - 1)).reshape(-1, chunk, *x.shape[1:])

    body = jax.checkpoint(fn) if remat else fn
    mapped = jax.lax.map(body, jax.tree.map(split, xs))
    return jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:])[:count], mapped)
