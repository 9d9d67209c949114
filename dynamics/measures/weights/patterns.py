"""16-bit weights counted by their bit patterns: exact, and in one pass.

Axes: P = 65,536 patterns. A float16 or bfloat16 tensor has only P different values, so that how
often each occurs says all that there is to know of its distribution. Any bins, moments and shares
follow from the counts, without another look at the weights.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Float64, Int, Int64, Shaped
from numpy.typing import DTypeLike

PATTERNS = 1 << 16
_CHUNK = 1 << 18  # numbers counted at once, which are 2 MB as the indices that NumPy counts by
_THREADS = min(4, os.cpu_count() or 1)  # more would wait for memory
TYPES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


class Patterns(NamedTuple):
    """The different finite values of a type, ascending, and the pattern of each."""

    values: Float64[np.ndarray, " finite"]
    pattern: Int64[np.ndarray, " finite"]


@functools.cache
def patterns(dtype: DTypeLike) -> Patterns:
    """The finite values that a 16-bit type has; 0 and -0 are two patterns.

    Example:
        >>> values, pattern = patterns(np.float16)
        >>> len(values), values[-1], int(pattern[-1])
        (63488, np.float64(65504.0), 31743)
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN
        values = np.arange(PATTERNS, dtype=np.uint16).view(dtype).astype(np.float64)
    finite = np.flatnonzero(np.isfinite(values))
    order = finite[np.argsort(values[finite], kind="stable")]
    return Patterns(values[order], order)


def count(tensor: Shaped[np.ndarray, "..."], num_blocks: int = 1) -> Int[np.ndarray, "B P"]:
    """How often each bit pattern occurs in a 16-bit tensor, in each of B blocks.

    The tensor is read once, in chunks; the blocks take them in turn, so that each is spread over
    the whole tensor. Memory is that of the counts, 256 KB for a block, and of one chunk a thread.

    Example:
        >>> counts = count(np.array([1, 1, -2], np.float16))
        >>> np.flatnonzero(counts[0]).tolist(), int(counts[0, 0x3C00])
        ([15360, 49152], 2)
    """
    flat = tensor.reshape(-1).view(np.uint16)
    counts = np.zeros((num_blocks, PATTERNS), np.int32 if flat.size < 2**31 else np.int64)
    chunk = max(1, min(_CHUNK, -(-flat.size // num_blocks)))

    def count_block(block: int):
        for start in range(block * chunk, flat.size, num_blocks * chunk):
            counts[block] += np.bincount(flat[start : start + chunk], minlength=PATTERNS)

    # NumPy counts without Python's lock, and no two threads write to one block.
    with ThreadPoolExecutor(min(num_blocks, _THREADS)) as threads:
        list(threads.map(count_block, range(num_blocks)))
    return counts
