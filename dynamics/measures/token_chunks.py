"""Maps over tokens in chunks on the device, so that logits [N,V] are never held whole.

Axes: N tokens (batch and positions flattened), V vocabulary.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

# Floats of one chunk's logits, by backend. 2 MB stays in a core's cache; accelerators want larger
# chunks to fill their units.
_CHUNK_FLOATS = {"cpu": 2**19, "gpu": 2**25, "tpu": 2**25}
# The same where a gradient is made too: each chunk then adds into all of the unembedding's
# gradient, so that on a CPU fewer chunks are better.
GRADIENT_FLOATS = {"cpu": 2**22, "gpu": 2**25, "tpu": 2**25}


def tokens_per_chunk(
    vocab_size: int, models: int = 1, floats: Mapping[str, int] = _CHUNK_FLOATS
) -> int:
    """How many tokens to take at once when each has `models` logit vectors of `vocab_size`.

    `floats` maps a backend to the number of logits held at once. At least 8 tokens.
    """
    most = floats.get(jax.default_backend(), floats["cpu"])
    return max(8, most // (vocab_size * models))


def map_chunks(fn: Callable, xs: PyTree, chunk: int, remat: bool = False) -> PyTree:
    """fn over chunks of the leading axis N of every leaf of `xs`, joined to leaves [N,...].

    N is padded with zeros to a multiple of `chunk`, and the padding is cut off the outputs. With
    `remat` the backward pass recomputes each chunk instead of holding it.
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
