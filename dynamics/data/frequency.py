"""How often every token id occurs in a text, and bins of that by decades.

Axes: V vocabulary, N ids of a text.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.errors import InputError


def counts(documents: Sequence[np.ndarray], vocab_size: int) -> np.ndarray:
    """Occurrences of every id, [V] int64; separators count like any other. Raises InputError on ids
    out of range."""
    total = np.zeros(vocab_size, np.int64)
    for ids in documents:
        ids = np.asarray(ids).ravel()
        if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
            raise InputError(
                f"token ids from {ids.min()} to {ids.max()}", expected=f"ids in [0, {vocab_size})"
            )
        total += np.bincount(ids, minlength=vocab_size)
    return total


def decades(count: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Bins of counts by powers of ten: the bin of each, and the bins' names, rare to frequent.

    Bin 0 holds what was never counted and is there also where it stays empty; bin k >= 1 holds
    10^(k-1) to 10^k - 1. Raises InputError on negative counts.
    """
    count = np.asarray(count, np.int64)
    if count.size and count.min() < 0:
        raise InputError(f"a count of {count.min()}", expected="0 or more")
    highest = len(str(count.max(initial=0)))
    edges = np.array(
        [1, *(10**k for k in range(1, highest + 1))]
    )  # integers: log10(1000) may fall short of 3
    names = ("never", *(f"{10 ** (k - 1):,}–{10**k - 1:,}" for k in range(1, highest + 1)))
    return np.searchsorted(edges, count, side="right"), names
