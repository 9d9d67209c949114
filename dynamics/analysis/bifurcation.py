"""When a cloud of paths forks: the first checkpoint from which its density has two modes.

Axes: K checkpoints, N paths (single weights), B cells of a density, in units of its width.

Each checkpoint's density is smoothed by a Gaussian. A Gaussian is log-concave, and smoothing by a
log-concave kernel leaves a density with one mode with one mode (Ibragimov 1956), however skewed or
heavy-tailed. So a valley between two peaks of the smoothed density is noise of a finite sample, or
a second mode. The depth of the deepest valley, in standard errors, is compared with a threshold
that Bonferroni's inequality sets for all checkpoints and all places of a valley together: the null
is ANY density with one mode at every checkpoint, N independent paths. Weights of one column of a
matrix are not: where many tokens share their rows, every column makes a lump of its own. `clusters`
names what may depend on each other, and the errors are then those between clusters as well.

What is no bifurcation and may look like one: one vector added to every row of an unembedding moves
its columns apart, so that the pooled weights may have two modes while no softmax has changed. The
paths of one column share that move: `shared` names the column, and its mean is taken off.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.stats
from jaxtyping import Bool, Float64, Int, Real

from dynamics.errors import InputError

_CELLS = 256  # of a density
_REACH = 6.0  # widths to either side of the median that the density covers
_BLOCK = 2**22  # numbers of the paths that are held at once
_SIGN = 1.64  # standard errors from which a valley is a sign of two modes
_TO_WIDTH = 1.349  # interquartile range of a normal, in standard deviations


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is fixed in advance.

    Attributes:
        level: of false alarms over the whole run, under the null.
        bandwidth: of the smoothing, in widths (interquartile range / 1.349) of the density.
        persist: checkpoints in a row that must have two modes; a single faulty one is none.
    """

    level: float = 0.05
    bandwidth: float = 0.2
    persist: int = 2

    def threshold(self, checkpoints: int) -> float:
        """Standard errors that a valley's depth must exceed at any of so many checkpoints."""
        places = 2 * _REACH / (2 * self.bandwidth)  # that smoothing leaves apart
        return float(scipy.stats.norm.isf(self.level / (checkpoints * places)))


RULE = Rule()


@dataclass(frozen=True, kw_only=True, eq=False)
class Bifurcation:
    """How forked the paths are, and since when.

    Attributes:
        depth: [K] of the deepest valley, in standard errors; 0 where there is none.
        threshold: that it is compared with.
        modes: [K,2] the two peaks beside that valley, in the unit of the weights.
        valley: [K] where it lies.
        step: the first checkpoint from which two modes stay for `rule.persist`; None for "not yet".
        low, high: the last checkpoint before it without any sign of a second mode, and itself; NaN
            where there is none.
        loyal: share of paths that end on the side of the valley on which they were at `step`: near
            1 where paths fork for good, near 1/2 where the density alone has two modes.
        rule: that it was found by.
    """

    depth: Float64[np.ndarray, " K"]
    threshold: float
    modes: Float64[np.ndarray, "K 2"]
    valley: Float64[np.ndarray, " K"]
    step: int | None
    low: float
    high: float
    loyal: float
    rule: Rule = field(repr=False, default=RULE)

    @property
    def two_modes(self) -> Bool[np.ndarray, " K"]:
        """[K] whether the valley is deeper than the threshold."""
        return self.depth > self.threshold


def find_bifurcation(
    steps: Real[npt.ArrayLike, " K"],
    paths: Real[np.ndarray, "K N"],
    shared: Int[npt.ArrayLike, " N"] | None = None,
    rule: Rule = RULE,
    rows: Int[npt.ArrayLike, " K"] | None = None,
    clusters: Int[npt.ArrayLike, " N"] | None = None,
) -> Bifurcation:
    """Since when the density of paths [K,N] has two modes.

    An equal mixture of two normals has two modes from a distance of two standard deviations on;
    what is found of it grows from nothing there to nearly all at three, for ten thousand paths.

    Args:
        steps: of the checkpoints, ascending.
        paths: a column for each weight; may be memory-mapped, and is read some rows at a time.
        shared: number of the group of each path, whose mean changes nothing and is taken off at
            every checkpoint; None where every move counts.
        rule: see `Rule`.
        rows: which rows of `paths` the steps are of; default all.
        clusters: number of the cluster of each path, where paths of one may depend on each other;
            None where all are independent.

    Raises:
        InputError: other shapes, steps that do not ascend, paths that are not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> paths = rng.normal(size=(6, 10_000))
        >>> paths[3:] += np.where(np.arange(10_000) % 2, 1.6, -1.6)
        >>> forked = find_bifurcation(np.arange(6), paths)
        >>> forked.step, forked.low
        (3, 2.0)
    """
    used = np.arange(len(paths)) if rows is None else np.asarray(rows)
    steps = _checked(steps, paths, used)
    group, cluster = _groups(paths, shared), _groups(paths, clusters)
    threshold = rule.threshold(len(steps))
    block = max(1, _BLOCK // paths.shape[1])
    parts = [
        _valleys(_rows(paths, used[start : start + block], group), rule.bandwidth, cluster)
        for start in range(0, len(steps), block)
    ]
    depth, modes, valley = (np.concatenate(part) for part in zip(*parts, strict=True))
    first = _first_run(depth > threshold, rule.persist)
    if first is None:
        place = {"step": None, "low": np.nan, "high": np.nan, "loyal": np.nan}
    else:
        calm = np.flatnonzero(depth[:first] < _SIGN)
        before = steps[calm[-1]] if len(calm) else steps[0]
        sides = [_rows(paths, used[[k]], group) > valley[k] for k in (first, len(steps) - 1)]
        place = {
            "step": int(steps[first]),
            "low": float(before),
            "high": float(steps[first]),
            "loyal": float((sides[0] == sides[1]).mean()),
        }
    return Bifurcation(
        depth=depth, threshold=threshold, modes=modes, valley=valley, rule=rule, **place
    )


def _valleys(paths: np.ndarray, bandwidth: float, cluster: np.ndarray | None):
    """The deepest valley of every checkpoint: depth [K], peaks [K,2] and place [K]."""
    low, middle, high = np.quantile(paths, [0.25, 0.5, 0.75], axis=1)
    width = (high - low) / _TO_WIDTH
    width = np.where(width > 0, width, paths.std(1))
    scale = np.where(width > 0, width, 1.0)  # paths that are all equal: one cell
    density = _density((paths - middle[:, None]) / scale[:, None]) @ _kernel(bandwidth)
    left = np.maximum.accumulate(density, axis=1)
    right = np.maximum.accumulate(density[:, ::-1], axis=1)[:, ::-1]
    peak = np.minimum(left, right)
    # Variance of a kernel estimate: f / (2 sqrt(pi) n h); two places that are not near add up.
    variance = (peak + density) / (2 * np.sqrt(np.pi) * paths.shape[1] * bandwidth)
    depth = (peak - density) / np.sqrt(np.where(variance > 0, variance, np.inf))
    at = depth.argmax(1)
    center = (np.arange(_CELLS) + 0.5) / _CELLS * 2 * _REACH - _REACH
    cells = np.arange(_CELLS)
    first = np.where(cells <= at[:, None], density, -1.0).argmax(1)
    second = np.where(cells >= at[:, None], density, -1.0).argmax(1)
    places = center[np.stack([first, second, at], axis=1)] * scale[:, None] + middle[:, None]
    deepest = depth[np.arange(len(depth)), at]
    if cluster is not None:
        for k in np.flatnonzero(deepest > _SIGN):  # of no other does the size matter
            lower = places[k, int(density[k, first[k]] > density[k, second[k]])]
            between = _between_clusters(
                paths[k], lower, places[k, 2], bandwidth * scale[k], cluster
            )
            deepest[k] = min(deepest[k], between)
    return deepest, places[:, :2], places[:, 2]


def _between_clusters(values, peak: float, valley: float, width: float, cluster) -> float:
    """The valley's depth in standard errors between clusters, as a normal's.

    Student's t has few degrees of freedom; the normal quantile of the same probability is given.
    """
    away = [np.exp(-0.5 * ((values - place) / width) ** 2) for place in (peak, valley)]
    sums, sizes = np.bincount(cluster, away[0] - away[1]), np.bincount(cluster)
    mean, count = sums.sum() / sizes.sum(), len(sums)
    if count < 2:
        return 0.0
    error = np.sqrt(count / (count - 1) * ((sums - mean * sizes) ** 2).sum()) / sizes.sum()
    if not error > 0:
        return 0.0
    return float(scipy.stats.norm.isf(scipy.stats.t.sf(mean / error, count - 1)))


def _density(standard: np.ndarray) -> np.ndarray:
    """Histograms [K,B] per unit of width; what lies beyond the cells is in none of them."""
    cells = np.floor((standard + _REACH) * (_CELLS / (2 * _REACH)))
    inside = (cells >= 0) & (cells < _CELLS)
    rows = np.arange(len(cells))[:, None] * _CELLS
    flat = (cells + rows)[inside].astype(np.int64)
    counts = np.bincount(flat, minlength=cells.shape[0] * _CELLS).reshape(-1, _CELLS)
    return counts * (_CELLS / (2 * _REACH) / cells.shape[1])


def _kernel(bandwidth: float) -> np.ndarray:
    """[B,B] that smooths densities [K,B] by a Gaussian."""
    center = np.arange(_CELLS) / _CELLS * 2 * _REACH
    weight = np.exp(-0.5 * ((center - center[:, None]) / bandwidth) ** 2)
    return weight / weight[_CELLS // 2].sum()


def _first_run(mask: np.ndarray, length: int) -> int | None:
    """Where the first `length` True in a row begin; None without."""
    together = np.convolve(mask, np.ones(length, int), "valid") if len(mask) >= length else []
    places = np.flatnonzero(np.asarray(together) == length)
    return int(places[0]) if len(places) else None


def _groups(paths: np.ndarray, shared) -> np.ndarray | None:
    """[N] the number of each path's group, from 0."""
    if shared is None:
        return None
    if np.shape(shared) != paths.shape[1:]:
        raise InputError(
            f"{np.shape(shared)} groups of {paths.shape[1]} paths", expected="a group for each path"
        )
    return np.unique(np.asarray(shared), return_inverse=True)[1]


def _rows(paths: np.ndarray, rows: np.ndarray, group: np.ndarray | None) -> np.ndarray:
    """Some checkpoints as finite float64, less the mean of each path's group."""
    values = np.asarray(paths[rows], np.float64)
    if not np.isfinite(values).all():
        raise InputError("paths that are not finite", expected="finite weights")
    if group is None:
        return values
    sums = np.stack([np.bincount(group, row) for row in values])
    return values - (sums / np.bincount(group))[:, group]


def _checked(steps, paths: np.ndarray, rows: np.ndarray) -> np.ndarray:
    steps = np.asarray(steps)
    if np.ndim(paths) != 2 or steps.shape != rows.shape or not (paths.size and rows.size):
        raise InputError(
            f"steps {steps.shape} and paths {np.shape(paths)}",
            expected="steps [K] and paths [K,N]",
        )
    if not (np.diff(steps) > 0).all():
        raise InputError("steps that do not ascend", expected="ascending steps")
    return steps
