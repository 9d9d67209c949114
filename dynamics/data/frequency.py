"""How often each token id occurs in a text, and bins of those counts by powers of ten.

Axes: V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from dynamics.errors import InputError


def counts(documents: Sequence[Int[np.ndarray, "..."]], vocab_size: int) -> Int[np.ndarray, " V"]:
    """Occurrences of every id, int64; separators count like any other id.

    Raises:
        InputError: ids outside the vocabulary.

    Example:
        >>> counts([np.array([0, 2, 2]), np.array([2])], vocab_size=4).tolist()
        [1, 0, 3, 0]
    """
    total = np.zeros(vocab_size, np.int64)
    for ids in documents:
        ids = np.asarray(ids).ravel()
        if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
            raise InputError(
                f"token ids from {ids.min()} to {ids.max()}", expected=f"ids in [0, {vocab_size})"
            )
        total += np.bincount(ids, minlength=vocab_size)
    return total


def decades(count: Int[np.ndarray, "*axes"]) -> tuple[Int[np.ndarray, "*axes"], tuple[str, ...]]:
    """The decade of each count, and the decades' names from rare to frequent.

    Bin 0 holds ids that never occur; bin k >= 1 holds counts from 10^(k-1) to 10^k - 1. The names
    include bins that stay empty, from 0 to the largest count's.

    Raises:
        InputError: a negative count.

    Example:
        >>> bins, names = decades(np.array([0, 7, 12]))
        >>> [names[k] for k in bins]
        ['never', '1–9', '10–99']
    """
    count = np.asarray(count, np.int64)
    if count.size and count.min() < 0:
        raise InputError(f"a count of {count.min()}", expected="0 or more")
    highest = len(str(count.max(initial=0)))
    # Integer edges: log10(1000) may fall short of 3.
    edges = np.array([10**k for k in range(highest + 1)])
    names = ("never", *(f"{10 ** (k - 1):,}–{10**k - 1:,}" for k in range(1, highest + 1)))
    return np.searchsorted(edges, count, side="right"), names
