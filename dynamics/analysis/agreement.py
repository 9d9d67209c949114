"""Whether two curves over the same checkpoints rank them alike.

Axes: K checkpoints, R resamples.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from dynamics.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Spearman's rho and its limits under the errors of both curves.

    NaN where a curve does not vary.
    """

    rho: float
    low: float
    high: float
    count: int  # checkpoints


def rank_correlation(
    first: Float[npt.ArrayLike, " K"],
    second: Float[npt.ArrayLike, " K"],
    first_sem: Float[npt.ArrayLike, " K"] | None = None,
    second_sem: Float[npt.ArrayLike, " K"] | None = None,
    *,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> RankCorrelation:
    """Spearman's rank correlation of two curves [K].

    The limits are for the correlation of the two curves without their errors, at these checkpoints.
    Resamples add normal errors of the stated size, which lowers the correlation as the errors
    themselves did; the limits are the outer ones of the resamples' quantiles and of the same turned
    about the estimate, since neither alone holds both weak and strong correlations. They say
    nothing of other runs: neighbouring checkpoints are no independent draws.

    Raises:
        InputError: fewer than three checkpoints, other shapes, values that are not finite.

    Example:
        >>> round(rank_correlation([1.0, 2.0, 4.0, 3.0], [0.1, 0.2, 0.3, 0.4]).rho, 3)
        0.8
    """
    from scipy import stats

    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if (
        first.ndim != 1
        or first.shape != second.shape
        or len(first) < 3
        or not np.isfinite([first, second]).all()
    ):
        raise InputError(
            f"curves of shapes {first.shape} and {second.shape}",
            expected="two finite curves over three checkpoints or more",
        )
    if not (np.ptp(first) and np.ptp(second)):
        return RankCorrelation(rho=np.nan, low=np.nan, high=np.nan, count=len(first))
    rng = np.random.default_rng(seed)

    def resampled_ranks(values, sem):
        sem = (
            np.zeros_like(values)
            if sem is None
            else np.nan_to_num(np.broadcast_to(sem, values.shape))
        )
        return stats.rankdata(values + sem * rng.normal(size=(num_resamples, len(values))), axis=1)

    pairs = [
        rows - rows.mean(1, keepdims=True)
        for rows in (resampled_ranks(first, first_sem), resampled_ranks(second, second_sem))
    ]
    products = [
        (a * b).sum(1)
        for a, b in ((pairs[0], pairs[1]), (pairs[0], pairs[0]), (pairs[1], pairs[1]))
    ]
    draws = products[0] / np.sqrt(products[1] * products[2])
    rho = float(np.corrcoef(stats.rankdata(first), stats.rankdata(second))[0, 1])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    low, high = max(-1.0, min(low, 2 * rho - high)), min(1.0, max(high, 2 * rho - low))
    return RankCorrelation(rho=rho, low=float(low), high=float(high), count=len(first))
