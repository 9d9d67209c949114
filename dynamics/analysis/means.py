"""The shared reducers: per-item numbers to a mean and its standard error.

Axes: N items, G clusters (documents), S seeds. Any unit; means and errors keep it.
"""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Shaped

from dynamics.errors import InputError


def clustered_mean(
    values: Float[npt.ArrayLike, "... N"],
    clusters: Shaped[npt.ArrayLike, " N"],
    weights: Float[npt.ArrayLike, " N"] | None = None,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."], int]:
    """Weighted mean over items and its standard error between clusters.

    mean = sum w v / sum w; sem = sqrt(G / (G-1) sum_g (sum_{i in g} w_i (v_i - mean))^2) / sum w:
    the linearised error of a ratio under cluster sampling (Cochran 1977, section 11; Liang & Zeger
    1986). Items of one cluster may depend on each other in any way.

    Args:
        values: [..., N], the numbers to average.
        clusters: [N], the cluster of each item, as any sortable label.
        weights: [N], at least 0; default all 1. Items of weight zero are left out.

    Returns:
        mean [...], sem [...] and the number of clusters. sem is NaN with a single cluster, because
        one cluster shows no spread.

    Raises:
        InputError: on mismatched shapes, negative weights, or no item of positive weight.

    Example:
        >>> mean, sem, num_clusters = clustered_mean([1.0, 3.0, 5.0], [0, 0, 1])
        >>> print(f"{mean:.2f} {sem:.2f} {num_clusters}")
        3.00 1.33 2
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
    # Sorted by cluster, so that each cluster is one run of items that reduceat can sum.
    positive = np.flatnonzero(weights > 0)
    positive = positive[np.argsort(clusters[positive], kind="stable")]
    values, clusters, weights = values[..., positive], clusters[positive], weights[positive]
    starts = np.flatnonzero(np.r_[True, clusters[1:] != clusters[:-1]])
    mean = values @ weights / weights.sum()
    sums = np.add.reduceat(weights * (values - mean[..., None]), starts, axis=-1)
    num_clusters = len(starts)
    correction = num_clusters / (num_clusters - 1) if num_clusters > 1 else np.nan
    return mean, np.sqrt(correction * (sums**2).sum(-1)) / weights.sum(), num_clusters


def mean_over_seeds(values: Float[npt.ArrayLike, " S"]) -> tuple[float, float]:
    """Mean over seeds of values [S], and its standard error SD / sqrt(S).

    The standard error is NaN with a single seed.

    Raises:
        InputError: on no seed or more than one axis.

    Example:
        >>> print("%.2f %.2f" % mean_over_seeds([1.0, 2.0, 3.0]))
        2.00 0.58
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise InputError(f"values of shape {values.shape}", expected="one value per seed, [S]")
    sem = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(values.mean()), float(sem)


def pair_mean(values: Float[np.ndarray, "... S S G"]) -> Float[np.ndarray, "... G"]:
    """Mean over ordered pairs of different seeds, [..., S, S, G] -> [..., G]; no diagonal in it.

    Example:
        >>> pair_mean(np.array([[[9.0], [1.0]], [[3.0], [9.0]]])).tolist()
        [2.0]
    """
    different = ~np.eye(values.shape[-2], dtype=bool)
    return values[..., different, :].mean(-2)
