"""Random numbers like a pytree: Threefry's words, made into normal numbers or signs.

What draws as many numbers as a model has parameters, a step of a chain or a probe of a Hessian,
draws them here. On a CPU `jax.random.normal` makes its words in rolled loops that each pass through
memory, and that take the compiler a third of a second for every leaf. Here the cipher is one chain
of elementwise operations that fuses with what uses the numbers. The generator is the same,
Threefry-2x32 with all 20 rounds (Salmon et al. 2011), with the same guarantee: a number depends on
(key, leaf, index in the leaf) and on nothing else.
"""

import functools
import math
import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Key, PyTree, UInt32

from dynamics import devices

__all__ = ["like", "normal", "sign", "words"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # Salmon et al. (2011), table 2, R_{2x32}
_PARITY = 0x1BD11BDA  # section 3.3, from Skein, so that no key is a fixed point


def like(key: Key[Array, ""], tree: PyTree, of_word: Callable[[Array], Array]) -> PyTree:
    """Random numbers shaped like `tree`, each leaf in its own float dtype.

    A number comes from the cipher of (its index in the leaf, crc32 of the leaf's path). A leaf
    holds up to 2^32 numbers.

    Args:
        key: a typed key; see `devices.layout_free_key`.
        tree: arrays, or what has their shapes and dtypes.
        of_word: `normal` or `sign`, or another map of words to numbers of its own.

    Raises:
        InputError: a key whose numbers depend on how calls are batched.

    Example:
        >>> import jax
        >>> weights = {"w": jax.numpy.zeros((2, 3))}
        >>> sorted(set(like(jax.random.key(0), weights, sign)["w"].ravel().tolist()))
        [-1.0, 1.0]
    """
    key_words = jax.random.bits(devices.layout_free_key(key), (2,), jnp.uint32)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        checksum = np.uint32(zlib.crc32(name.encode()))
        return _numbers(key_words, checksum, leaf.shape, of_word).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, tree)


@functools.partial(jax.jit, static_argnames=("shape", "of_word"))
def _numbers(key, checksum, shape, of_word):
    """Of one leaf. Traced once for all leaves of a shape and all programs that draw them; the
    compiler inlines it where it is used."""
    index = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    # Only the cipher's first word is used: joined to it, the second would keep both from fusing
    # with the update that follows.
    return of_word(words(key, index, jnp.full_like(index, checksum))[0])


def words(
    key: UInt32[Array, "2"], first: UInt32[Array, "*axes"], second: UInt32[Array, "*axes"]
) -> tuple[UInt32[Array, "*axes"], UInt32[Array, "*axes"]]:
    """Threefry-2x32-20: counters (first, second), uint32 of one shape, and key [2] -> two words."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    x, y = first + schedule[0], second + schedule[1]
    for block in range(5):
        for turn in _ROTATIONS[block % 2]:
            x = x + y
            y = x ^ (y << jnp.uint32(turn) | y >> jnp.uint32(32 - turn))
        x = x + schedule[(block + 1) % 3]
        y = y + schedule[(block + 2) % 3] + jnp.uint32(block + 1)
    return x, y


def normal(word: UInt32[Array, "*axes"]) -> Float32[Array, "*axes"]:
    """A word to a standard normal number, sqrt(2) erfinv(u), symmetric and up to 5.4 sigma.

    u is the middle of one of 2^24 equal cells of (-1, 1), which float32 holds exactly.
    """
    cell = (jax.lax.bitcast_convert_type(word, jnp.int32) >> 8).astype(jnp.float32) + 0.5
    return jnp.float32(2**0.5) * jax.lax.erf_inv(cell * jnp.float32(2**-23))


def sign(word: UInt32[Array, "*axes"]) -> Float32[Array, "*axes"]:
    """A word to -1 or 1, by its first bit."""
    return 1 - 2 * (word >> 31).astype(jnp.float32)
