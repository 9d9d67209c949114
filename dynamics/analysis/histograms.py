"""Histograms of different grids brought together: one grid for all, and how far two lie apart.

Axes: N bins of one histogram, R bins of the grid that several share. A histogram says how many
values each bin holds and nothing of where in it: its density is taken as even within each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Real

_FEWEST = 8  # bins of a shared grid: a single one would show no shape


class Histogram(NamedTuple):
    """Counts between ascending edges."""

    edges: Float64[np.ndarray, " N+1"]
    counts: Real[np.ndarray, " N"]

    def extent(self) -> tuple[float, float] | None:
        """From the first occupied bin to the last; None where all are empty."""
        occupied = np.flatnonzero(self.counts > 0)
        if not occupied.size:
            return None
        return float(self.edges[occupied[0]]), float(self.edges[occupied[-1] + 1])


def shared_edges(histograms: Sequence[Histogram], most: int) -> Float64[np.ndarray, " R+1"]:
    """Even edges over all that the histograms hold: `most` bins at most.

    Bins are as wide as the narrowest of any histogram, or that times a power of two, and the edges
    are multiples of their width, so that even grids of such widths merge into it without a rest.

    Example:
        >>> coarse = Histogram(np.array([-2.0, 0.0, 2.0]), np.array([1, 3]))
        >>> fine = Histogram(np.arange(-8.0, 9.0), np.ones(16))
        >>> shared_edges([coarse, fine], most=8).tolist()
        [-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0]
    """
    extents = [extent for h in histograms if (extent := h.extent())]
    if not extents:
        return np.linspace(-1, 1, _FEWEST + 1)
    low, high = min(e[0] for e in extents), max(e[1] for e in extents)
    width = min(float(h.edges[1] - h.edges[0]) for h in histograms if h.extent())
    while np.ceil(high / width) - np.floor(low / width) > most:
        width *= 2
    first, last = np.floor(low / width), np.ceil(high / width)
    missing = max(0.0, _FEWEST - (last - first))
    first -= missing // 2
    count = int(last - first + missing - missing // 2)
    return (first + np.arange(count + 1)) * width


def rebinned(histogram: Histogram, edges: Float64[np.ndarray, " R+1"]) -> Float64[np.ndarray, " R"]:
    """The counts of the histogram between other edges; what lies outside of them is lost.

    Example:
        >>> histogram = Histogram(np.array([0.0, 2.0, 4.0]), np.array([4, 2]))
        >>> rebinned(histogram, np.array([0.0, 1.0, 3.0, 4.0])).tolist()
        [2.0, 3.0, 1.0]
    """
    below = np.append(0.0, np.cumsum(histogram.counts, dtype=np.float64))
    return np.diff(np.interp(edges, histogram.edges, below))


def distance(first: Histogram, second: Histogram) -> float:
    """How far the values of one must move on average to lie as those of the other.

    The Wasserstein distance of order 1, the area between the two distribution functions; in the
    unit of the edges. NaN where one of them is empty.

    Example:
        >>> edges = np.arange(0.0, 5.0)
        >>> low, high = (Histogram(edges, np.array(n)) for n in ([1, 1, 0, 0], [0, 0, 1, 1]))
        >>> distance(low, high)
        2.0
    """
    if first.extent() is None or second.extent() is None:
        return float("nan")
    at = np.union1d(first.edges, second.edges)
    below = [
        np.interp(at, h.edges, np.append(0.0, np.cumsum(h.counts)) / h.counts.sum())
        for h in (first, second)
    ]
    gap, gaps = below[1] - below[0], np.diff(at)
    left, right = gap[:-1], gap[1:]
    # Between two places the gap is a straight line, which may cross zero.
    size = np.maximum(np.abs(left) + np.abs(right), 1e-300)
    crossing = (left**2 + right**2) / size / 2
    area = np.where(left * right < 0, crossing, np.abs(left + right) / 2)
    return float((area * gaps).sum())
