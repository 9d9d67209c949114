"""Histogram bins whose edges are whole multiples of a power of two.

Axes: N bins. Units: those of the weights.

Stored weights are dyadic numbers. Between two such edges lie equally many of them wherever the bin
is in its octave, so that a histogram of float16 or bfloat16 weights has no comb; a bin of twice the
width is two whole bins, so that histograms of several checkpoints merge exactly; and the bin of a
number is floor(x / width) without rounding, since dividing by a power of two is exact.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from dynamics.errors import InputError

FAR = 8.0  # standard deviations to either side of the mean that bins reach to at most
_NARROWEST = -149  # exponent of the smallest float32


class Bins(NamedTuple):
    """`count` bins of width 2**exponent; the first begins at first * 2**exponent."""

    exponent: int
    first: int
    count: int

    @property
    def width(self) -> float:
        """Of one bin."""
        return math.ldexp(1.0, self.exponent)

    @property
    def edges(self) -> Float64[np.ndarray, " N+1"]:
        """[N+1] ascending."""
        return (self.first + np.arange(self.count + 1)) * self.width

    @property
    def center(self) -> Float64[np.ndarray, " N"]:
        """[N] of each bin."""
        return (self.first + np.arange(self.count) + 0.5) * self.width

    def slots(self, values: Float[np.ndarray, "..."]) -> np.ndarray:
        """0 below the bins, 1 to N in them, N + 1 above, for finite values; bins are open above.

        Example:
            >>> Bins(-1, -2, 4).slots(np.array([-1.5, -1.0, 0.4, 0.5, 1.0])).tolist()
            [0, 1, 3, 4, 5]
        """
        places = np.floor(np.ldexp(values, -self.exponent)) - (self.first - 1)
        return np.clip(places, 0, self.count + 1, out=places).astype(np.int32)


def choose(
    low: float, high: float, mean: float, sd: float, count: int, digits: int | None = None
) -> Bins:
    """The narrowest bins of a power of two that hold values from `low` to `high`.

    What lies more than FAR standard deviations from the mean may fall outside.

    Args:
        low, high: the smallest and the largest value; finite.
        mean, sd: of the values.
        count: how many bins.
        digits: of the type's significand, after the point. No bin is narrower than its numbers lie
            apart where the bins end, or bins there would be empty in turn. None: no limit.

    Raises:
        InputError: fewer than two bins, which zero, an edge, would keep from holding both signs.

    Example:
        >>> bins = choose(-0.9, 0.8, 0.0, 0.25, count=8)
        >>> bins.width, bins.edges.tolist()[:2]
        (0.25, [-1.0, -0.75])
    """
    if count < 2:
        raise InputError(f"{count} bins", expected="2 or more")
    low, high = max(low, mean - FAR * sd), min(high, mean + FAR * sd)
    extent, size = max(high - low, 0.0), max(abs(low), abs(high))
    # Equal values have no width of their own: their bins are a hundredth of their size.
    spacing = 0.0 if digits is None else math.ldexp(1.0, math.frexp(size)[1] - 1 - digits)
    narrowest = max(spacing, extent / count, 2.0**-7 * size * (extent == 0))
    exponent = max(math.frexp(narrowest)[1] - 1 if narrowest else -24, _NARROWEST)
    while True:
        width = math.ldexp(1.0, exponent)
        first, last = math.floor(low / width), math.floor(high / width)
        if width >= narrowest and last - first < count:
            return Bins(exponent, first - (count - 1 - last + first) // 2, count)
        exponent += 1
