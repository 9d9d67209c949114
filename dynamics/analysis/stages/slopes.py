"""The mean slope of a curve over every interval of checkpoints, with limits that hold at once.

Axes: K checkpoints; [K, K] is an interval from its first checkpoint to its last. x = ln(step + 1).

The slope of a weighted straight line through the checkpoints of an interval is a mean of the
curve's own slope over that interval, with weights that are nowhere negative, whatever the curve.
If it is surely above t, the curve is somewhere in the interval steeper than t: no smoothness is
assumed. The limits of an interval of n checkpoints lie z(n) = sqrt(2 ln(e K / n)) + kappa standard
errors off, which makes short and long intervals equally likely to fail (Duembgen & Spokoiny 2001,
Multiscale testing of qualitative hypotheses, section 2).
"""

from typing import NamedTuple

import numpy as np

from dynamics.analysis.stages.noise import Noise

MEDIAN, GROWTH, SPREAD = 0.5, 0.27, 0.33  # of the largest excess, see `kappa`


def kappa(confidence: float, count: int) -> float:
    """By how much the limits of all intervals of `count` checkpoints hold at once.

    The largest excess of |slope| / standard error over sqrt(2 ln(e K / n)) under white noise is
    close to a Gumbel variable with median 0.5 + 0.27 ln(K / 30) and scale 0.33, by simulation from
    30 to 500 checkpoints.
    """
    median = MEDIAN + GROWTH * np.log(count / 30)
    return float(median - SPREAD * np.log(np.log(confidence) / np.log(0.5)))


class Slopes(NamedTuple):
    """[K, K] each; meaningless at and below the diagonal."""

    mean: np.ndarray
    sem: np.ndarray
    reach: np.ndarray  # sqrt(2 ln(e K / n))
    length: np.ndarray  # in units of x

    def margin(self, kappa: float) -> np.ndarray:
        """Half the length of each interval's limits."""
        return self.sem * (self.reach + kappa)


def all_slopes(x: np.ndarray, y: np.ndarray, noise: Noise) -> Slopes:
    """Slopes of y [K] over ascending x [K], in units of y per unit of x."""
    count = len(x)
    root = noise.sd.mean() / noise.sd
    weight = root**2
    sums = [_from_to(values) for values in (weight, weight * x, weight * x**2, weight * y)]
    total, first, second, level = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        center = first / total
        spread = second - first * center
        mean = (_from_to(weight * x * y) - center * level) / spread
        variance = _weighted_variance(root, x, center, noise.correlation) / spread**2
    index = np.arange(count)
    points = np.maximum(index - index[:, None] + 1, 1)
    return Slopes(
        mean=mean,
        sem=noise.sd.mean() * np.sqrt(np.maximum(variance, 0)),
        reach=np.sqrt(2 * np.log(np.e * count / points)),
        length=x - x[:, None],
    )


def _from_to(values: np.ndarray) -> np.ndarray:
    """[K, K] sums from i to j, both included."""
    sums = np.r_[0.0, np.cumsum(values)]
    return sums[1:] - sums[:-1, None]


def _weighted_variance(root, x, center, correlation: float) -> np.ndarray:
    """[K, K] of sum_k root_k (x_k - center) a_k, a being AR(1) noise of variance 1."""
    if correlation == 0:
        second, first, total = (_from_to(root**2 * x**p) for p in (2, 1, 0))
        return second - 2 * center * first + center**2 * total
    moments = np.zeros((3, len(x), len(x)))  # of 1, x, x^2 over pairs of checkpoints
    sums, near = np.zeros((3, len(x))), np.zeros((2, len(x)))
    for j in range(len(x)):
        # near[p, i] = sum_{i <= k < j} correlation^(j - k) root_k x_k^p
        rj, xj = root[j], x[j]
        sums[:, : j + 1] += (rj**2 * xj ** np.arange(3))[:, None]
        sums[0] += 2 * rj * near[0]
        sums[1] += rj * (near[1] + xj * near[0])
        sums[2] += 2 * rj * xj * near[1]
        moments[:, :, j] = sums
        near[:, : j + 1] += np.array([rj, rj * xj])[:, None]
        near *= correlation
    return moments[2] - 2 * center * moments[1] + center**2 * moments[0]
