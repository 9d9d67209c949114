"""Two modes on either side of zero: where they are, how deep the valley between them is.

Axes: B blocks of a tensor, N bins. Units: those of the weights; depths and asymmetries are shares.

The density is smoothed with a Gaussian and its greatest value sought on either side of zero. Where
each lies apart from zero, with less between them than at both, there are two modes: at -mu and +mu
if they are symmetric, as "The Garden of Forking Paths" (Nicolini et al. 2024, section 4.1) sees
them. An equal mixture of two normals has two modes only where they are more than two of their
standard deviations apart.

Errors are those of a jackknife over blocks of the tensor: how far the numbers rest on some of its
rows. They are not errors over seeds.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from dynamics.measures.weights.bins import Bins

BANDWIDTH = 0.2  # of the scale, the least that a density is smoothed by
_SILVERMAN = 0.9  # times the scale times N^(-1/5), for few weights
_REACH = 4  # bandwidths that the kernel goes out to


class Modes(NamedTuple):
    """Of one tensor. Positions and asymmetry are NaN where there are not two modes."""

    low: float  # position of the mode below zero
    high: float  # and of that above
    depth: float  # 1 - valley / lower peak; 0 where there are not two modes, 1 for an empty valley
    depth_sem: float
    asymmetry: float  # |low + high| / (high - low): 0 for modes at -mu and +mu
    asymmetry_sem: float

    @property
    def half_distance(self) -> float:
        """mu: half of the distance between the modes."""
        return (self.high - self.low) / 2


NONE = Modes(*[np.nan] * 6)  # of a tensor without a finite spread


def find(bins: Bins, blocks: Int[np.ndarray, "B N"]) -> Modes:
    """The two modes of the tensor whose blocks have these histograms.

    Example:
        >>> bins = Bins(-3, -32, 64)
        >>> x = bins.center
        >>> density = np.exp(-(x - 1.5) ** 2 / 2) + np.exp(-(x + 1.5) ** 2 / 2)
        >>> modes = find(bins, np.tile(1000 * density, (4, 1)).round().astype(int))
        >>> round(modes.high, 1), round(modes.depth, 1), modes.depth_sem
        (1.4, 0.3, 0.0)
    """
    total = blocks.sum(0).astype(np.float64)
    bandwidth = _bandwidth(bins, total)
    if not bandwidth > 0:
        return NONE
    occupied = blocks[blocks.sum(1) > 0]
    left_out = total - occupied  # [B,N], each without one block
    of_all, *without = _modes(bins, np.vstack([total, left_out]), bandwidth)
    depth_sem, asymmetry_sem = (_jackknife([m[k] for m in without]) for k in (2, 3))
    low, high, depth, asymmetry = map(float, of_all)
    return Modes(low, high, depth, depth_sem, asymmetry, asymmetry_sem)


def _bandwidth(bins: Bins, counts: Float64[np.ndarray, " N"]) -> float:
    """Of the smaller of the standard deviation and the quartiles' width, as for a normal."""
    number = counts.sum()
    if number < 2:
        return 0.0
    mean = (counts * bins.center).sum() / number
    sd = np.sqrt((counts * (bins.center - mean) ** 2).sum() / number)
    below = np.append(0, np.cumsum(counts)) / number
    quartiles = np.interp([0.25, 0.75], below, bins.edges)
    scale = min(sd, (quartiles[1] - quartiles[0]) / 1.349)
    if np.count_nonzero(counts) < 2 or not scale > 0:
        return 0.0
    return max(bins.width / 2, scale * max(BANDWIDTH, _SILVERMAN * number**-0.2))


def _modes(bins: Bins, counts: Float64[np.ndarray, "R N"], bandwidth: float) -> np.ndarray:
    """[R,4] low, high, depth, asymmetry of each row."""
    density, x = _smoothed(counts, bins, bandwidth)
    above, below = x > 0, x < 0
    if not (above.any() and below.any()):
        return np.tile([np.nan, np.nan, 0.0, np.nan], (len(density), 1))
    origin = int(np.searchsorted(x, 0.0))
    rows = np.arange(len(density))
    left = np.argmax(density[:, :origin], axis=1)
    right = origin + np.argmax(density[:, origin:], axis=1)
    # A valley is sought between the two places, which are neighbours where there is one mode.
    between = (np.arange(len(x)) > left[:, None]) & (np.arange(len(x)) < right[:, None])
    valley = np.where(between, density, np.inf).min(1)
    peak = np.minimum(density[rows, left], density[rows, right])
    apart = (valley < peak) & (left < origin - 1) & (right > origin)
    depth = np.where(apart, 1 - valley / np.maximum(peak, 1e-300), 0.0)
    low, high = (np.where(apart, _vertex(density, x, at), np.nan) for at in (left, right))
    return np.column_stack([low, high, depth, np.abs(low + high) / (high - low)])


def _smoothed(counts: np.ndarray, bins: Bins, bandwidth: float) -> tuple[np.ndarray, np.ndarray]:
    """Densities [R,N'] in an arbitrary unit and their places [N'], with empty bins on both ends."""
    reach = min(int(np.ceil(_REACH * bandwidth / bins.width)), bins.count)
    offsets = np.arange(-reach, reach + 1) * bins.width
    kernel = np.exp(-0.5 * (offsets / bandwidth) ** 2)
    padded = Bins(bins.exponent, bins.first - reach, bins.count + 2 * reach)
    density = np.stack([np.convolve(row, kernel / kernel.sum()) for row in counts])
    return density, padded.center


def _vertex(density: np.ndarray, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """[R] where the parabola through the greatest value and its neighbours is greatest."""
    rows, inner = np.arange(len(at)), np.clip(at, 1, len(x) - 2)
    before, middle, after = (density[rows, inner + k] for k in (-1, 0, 1))
    bend = before - 2 * middle + after
    shift = np.where(bend < 0, (before - after) / (2 * np.where(bend < 0, bend, -1)), 0.0)
    return x[inner] + np.clip(shift, -1, 1) * (x[1] - x[0])


def _jackknife(values: list[float]) -> float:
    """The standard error of a number of all blocks, from those that leave one out."""
    count = len(values)
    if count < 2 or not np.isfinite(values).all():
        return float("nan")
    return float(np.sqrt((count - 1) * np.var(values)))
