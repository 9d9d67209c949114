"""The shared reducers: per-item numbers to a mean and the error it rests on.

Axes: N items, G clusters (documents), S seeds.
"""

import numpy as np
import numpy.typing as npt

from dynamics.errors import InputError


def clustered_mean(
    values: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Weighted mean over items and its standard error between clusters. values [..., N], clusters
    [N], weights [N].

    mean = sum w v / sum w; sem = sqrt(G / (G-1) sum_g (sum_{i in g} w_i (v_i - mean))^2) / sum w:
    the linearised error of a ratio under cluster sampling (Cochran 1977, section 11; Liang & Zeger
    1986), G clusters. Items of one cluster may depend on each other in any way. Returns (mean
    [...], sem [...], number of clusters); sem is NaN with a single cluster, whose spread nothing
    shows. Items of weight zero are left out. Raises InputError on mismatched shapes, negative
    weights, or no item of positive weight.
    """
    values, clusters = np.asarray(values, np.float64), np.asarray(clusters)
    weights = np.ones(clusters.shape) if weights is None else np.asarray(weights, np.float64)
    if clusters.ndim != 1 or weights.shape != clusters.shape or values.shape[-1:] != clusters.shape:
        shapes = f"values {values.shape}, clusters {clusters.shape}, weights {weights.shape}"
        raise InputError(shapes, expected="values [..., N], clusters [N] and weights [N]")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (weights > 0).any()):
        raise InputError(
            "weights that are negative, not finite or all zero",
            expected="weights >= 0, some positive",
        )
    kept = np.flatnonzero(weights > 0)
    kept = kept[np.argsort(clusters[kept], kind="stable")]
    values, clusters, weights = values[..., kept], clusters[kept], weights[kept]
    starts = np.flatnonzero(np.r_[True, clusters[1:] != clusters[:-1]])
    mean = values @ weights / weights.sum()
    sums = np.add.reduceat(weights * (values - mean[..., None]), starts, axis=-1)
    count = len(starts)
    correction = count / (count - 1) if count > 1 else np.nan
    return mean, np.sqrt(correction * (sums**2).sum(-1)) / weights.sum(), count


def mean_over_seeds(values: npt.ArrayLike) -> tuple[float, float]:
    """Mean of one value per seed, [S], and its standard error, SD / sqrt(S); the latter is NaN with
    a single seed.

    Raises InputError on no seed or more than one axis.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise InputError(f"values of shape {values.shape}", expected="one value per seed, [S]")
    sem = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(values.mean()), float(sem)
