"""Bins of counts by powers of ten. Axes: "..." any."""

import numpy as np
import numpy.typing as npt
from jaxtyping import Int, Int64

from dynamics.errors import InputError


def decades(
    count: Int[npt.ArrayLike, "..."],
) -> tuple[Int64[np.ndarray, "..."], tuple[str, ...]]:
    """The decade of each count, and the decades' names from rare to frequent.

    Bin 0 holds what never occurs; bin k >= 1 holds counts from 10^(k-1) to 10^k - 1. The names
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
