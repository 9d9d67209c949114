"""How far weights move: four statistics that are all called mean square displacement.

Axes: K checkpoints (ascending steps), N weights, G groups of weights, T points of a statistic. Time
is in training steps, which may be uneven. Units: those of the squared weights.

Nicolini et al. (2024, Eq. 4-5) sum positions, not displacements, so that linear
growth of it is no diffusion. Four statistics are offered and the caller names one; < > is the mean
over weights:

    cumulative   (sum_{s <= t} h_s (w_s - <w_s>))^2, Eq. 4-5; h = 1 on an even grid, as printed
    variance     (w_t - <w_t>)^2, no sum
    from_first   (w_t - w_first)^2
    lagged       (w_{t+lag} - w_t)^2, over all pairs of checkpoints at that lag

    exponent in time of    cumulative   variance   from_first   lagged
    constant weights       2            0          -            -
    Brownian weights       3            1          1            1        (from a common start)
    ballistic weights      4            2          2            2

On an uneven grid h_s is the number of steps since the checkpoint before, over the mean gap: the sum
stands for an integral. The exponents of `cumulative` then hold on any grid as far as it is fine: at
checkpoints that double, Brownian weights give 3.2 and ballistic ones 4.3.

All four are linear in the second moments of the weights, <w_s w_t>, so that one pass over the paths
in blocks serves them, and a process with known moments gives its expected curve on the same steps.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int, Real
from scipy.special import stdtrit

from dynamics.errors import InputError

Kind = Literal["cumulative", "variance", "from_first", "lagged"]
Process = Literal["constant", "Brownian", "ballistic"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PROCESSES: tuple[Process, ...] = get_args(Process)
_BLOCK = 2**22  # numbers of the paths that are held at once
_ROUNDING = 1e-14  # of a mean product: what is left of weights that are all equal
_REACH = 0.7  # e-folds to either side over which a local exponent is fitted: a factor of two


class Moments(NamedTuple):
    """Of weights over checkpoints, group by group. An expected process is one group of count 0."""

    steps: Float64[np.ndarray, " K"]
    count: Int[np.ndarray, " G"]  # weights of each group; 0 for an infinite number
    mean: Float64[np.ndarray, "G K"]
    product: Float64[np.ndarray, "G K K"]  # mean of w_s w_t


class Displacement(NamedTuple):
    """One statistic over time, with errors over groups of weights (NaN for a single group).

    The error is that of drawing other weights of the same tensor and run; it says nothing of
    another seed.
    """

    steps: Float64[np.ndarray, " T"]  # of the checkpoint; for lagged the mean lag
    time: Float64[np.ndarray, " T"]  # that exponents refer to, in steps
    value: Float64[np.ndarray, " T"]
    sem: Float64[np.ndarray, " T"]
    exponent: Float64[np.ndarray, " T"]  # d ln value / d ln time, about each point; NaN for none
    exponent_low: Float64[np.ndarray, " T"]  # 95 % interval
    exponent_high: Float64[np.ndarray, " T"]


def moments(
    steps: Real[npt.ArrayLike, " K"],
    weights: Real[np.ndarray, "K N"],
    rows: Int[npt.ArrayLike, " K"] | None = None,
    groups: int = 20,
) -> Moments:
    """Means and products of weights [K,N], which may be memory-mapped: read in blocks of columns.

    Args:
        steps: of the rows that are used.
        weights: a column for each weight.
        rows: which rows to use, such as `Trajectories.rows`; default all.
        groups: weights k, k + groups, ... make one group; errors come from leaving each out.

    Raises:
        InputError: other shapes, fewer than two checkpoints, steps that do not ascend, a weight
            that is not finite.

    Example:
        >>> paths = np.array([[1.0, 3.0], [2.0, 3.0]])
        >>> moments([0, 8], paths, groups=1).product.tolist()
        [[[5.0, 5.5], [5.5, 6.5]]]
    """
    steps = np.asarray(steps, np.float64)
    used = np.arange(len(weights)) if rows is None else np.asarray(rows)
    _check(steps, weights, used)
    num_weights, num_steps = weights.shape[1], len(used)
    groups = min(groups, num_weights)
    columns = max(groups, _BLOCK // num_steps // groups * groups)  # a block begins with group 0
    total = np.zeros((groups, num_steps))
    product = np.zeros((groups, num_steps, num_steps))
    for start in range(0, num_weights, columns):
        block = np.asarray(weights[used, start : start + columns], np.float64)
        if not np.isfinite(block).all():
            raise InputError("weights that are not finite", expected="finite paths")
        for group in range(groups):
            part = block[:, group::groups]
            total[group] += part.sum(1)
            product[group] += part @ part.T
    count = np.array([len(range(group, num_weights, groups)) for group in range(groups)])
    per_weight = 1 / count[:, None]
    return Moments(steps, count, total * per_weight, product * per_weight[..., None])


def expected(
    steps: Real[npt.ArrayLike, " K"],
    process: Process,
    *,
    start: float,
    reached: float,
) -> Moments:
    """Moments of infinitely many weights that follow a process from the first step on.

    Args:
        steps: at which.
        process: "constant"; "Brownian", independent increments of equal variance per step;
            "ballistic", each weight at a velocity of its own.
        start: variance over weights at the first step.
        reached: mean square displacement from the first step to the last; unused by "constant".

    Raises:
        InputError: an unknown process.

    Example:
        >>> brownian = expected([0, 1, 4], "Brownian", start=1.0, reached=2.0)
        >>> mean_square_displacement(brownian, "from_first").value.tolist()
        [0.0, 0.5, 2.0]
    """
    steps = np.asarray(steps, np.float64)
    time = (steps - steps[0]) / max(steps[-1] - steps[0], 1e-300)
    if process == "constant":
        moved = np.zeros((len(steps), len(steps)))
    elif process == "Brownian":
        moved = reached * np.minimum(time, time[:, None])
    elif process == "ballistic":
        moved = reached * time * time[:, None]
    else:
        raise InputError.unknown("process", process, PROCESSES)
    product = (start + moved)[None]
    return Moments(steps, np.zeros(1, np.int64), np.zeros((1, len(steps))), product)


def matched(measured: Moments, process: Process) -> Moments:
    """The process that has the measured variance at the start and the displacement at the end."""
    variance = mean_square_displacement(measured, "variance").value
    reached = mean_square_displacement(measured, "from_first").value
    return expected(measured.steps, process, start=variance[0], reached=reached[-1])


def mean_square_displacement(
    measured: Moments, kind: Kind, *, reach: float = _REACH
) -> Displacement:
    """The statistic that `kind` names, with its local exponent.

    Args:
        measured: of the weights, or of an expected process.
        kind: one of `KINDS`; there is no default, since they answer different questions.
        reach: e-folds of time to either side over which an exponent is fitted; at least the three
            nearest points count.

    Returns:
        [K] points; of "lagged" at most K - 1.

    Raises:
        InputError: an unknown kind.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> walk = np.cumsum(rng.normal(size=(64, 4000)), axis=0)
        >>> still = mean_square_displacement(moments(np.arange(64), walk), "from_first")
        >>> bool(abs(still.exponent[40] - 1) < 0.1)
        True
    """
    if kind not in KINDS:
        raise InputError.unknown("kind of displacement", kind, KINDS)
    steps, time, combine = _STATISTICS[kind](measured.steps)
    share = measured.count / max(measured.count.sum(), 1)
    if not measured.count.any():
        share = np.ones(1)
    groups = len(share)
    value = _value(measured, share, combine)
    without = np.zeros((0, len(value)))
    if groups > 1:
        others = (1 - np.eye(groups)) * measured.count
        others = others / others.sum(1, keepdims=True)
        without = np.stack([_value(measured, weight, combine) for weight in others])
    exponent, sem = _jackknife(_log_slopes(time, reach), _log(value), _log(without))
    half = stdtrit(max(groups - 1, 1), 0.975) * sem
    return Displacement(
        steps=steps,
        time=time,
        value=value,
        sem=_spread(without),
        exponent=exponent,
        exponent_low=exponent - half,
        exponent_high=exponent + half,
    )


def gaps(
    measured: Moments,
) -> tuple[Float64[np.ndarray, " K-1"], Float64[np.ndarray, " K-1"]]:
    """Mean square displacement from each checkpoint to the next, and its error over groups.

    Example:
        >>> paths = np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]])
        >>> gaps(moments([0, 1, 2], paths, groups=2))[0].tolist()
        [1.0, 4.0]
    """
    by_group = np.stack([np.diagonal(_squared(product), 1) for product in measured.product])
    share = measured.count / measured.count.sum()
    value, groups = share @ by_group, len(share)
    if groups < 2:
        return value, np.full(len(value), np.nan)
    return value, by_group.std(0, ddof=1) / groups**0.5


def _value(measured: Moments, share: np.ndarray, combine) -> np.ndarray:
    """[T] of the groups at these shares of all weights."""
    mean = share @ measured.mean
    product = np.tensordot(share, measured.product, 1)
    count = int(measured.count[share > 0].sum())
    return combine(mean, product, count / (count - 1) if count > 1 else 1.0)


def _cumulative(steps: np.ndarray):
    gaps = np.diff(steps)
    unit = gaps.mean()
    share = np.r_[gaps[0], gaps] / unit  # the first checkpoint stands for as long as the next

    def combine(mean, product, unbiased):
        covariance = _covariance(mean, product) * np.outer(share, share)
        sums = np.cumsum(np.cumsum(covariance, 0), 1)
        return unbiased * np.diagonal(sums)

    return steps, np.cumsum(share) * unit, combine


def _variance(steps: np.ndarray):
    def combine(mean, product, unbiased):
        return unbiased * np.diagonal(_covariance(mean, product))

    return steps, steps - steps[0], combine


def _from_first(steps: np.ndarray):
    def combine(mean, product, unbiased):
        return _squared(product)[0]

    return steps, steps - steps[0], combine


def _lagged(steps: np.ndarray):
    """Of an even grid every lag; of an uneven one as many bins, even in ln lag."""
    first, second = np.triu_indices(len(steps), 1)
    lags = steps[second] - steps[first]
    bins, place = np.unique(lags, return_inverse=True)
    if len(bins) > len(steps) - 1:
        edges = np.geomspace(lags.min(), lags.max() * (1 + 1e-9), len(steps))
        place = np.unique(np.searchsorted(edges, lags, side="right"), return_inverse=True)[1]
    pairs = np.bincount(place)
    time = np.bincount(place, lags) / pairs

    def combine(mean, product, unbiased):
        return np.bincount(place, _squared(product)[first, second]) / pairs

    return time, time, combine


_STATISTICS = {
    "cumulative": _cumulative,
    "variance": _variance,
    "from_first": _from_first,
    "lagged": _lagged,
}


def _covariance(mean: np.ndarray, product: np.ndarray) -> np.ndarray:
    """[K,K] over weights; 0 where rounding may have made all of it."""
    covariance = product - np.outer(mean, mean)
    size = np.sqrt(np.diagonal(product))
    return np.where(np.abs(covariance) > _ROUNDING * np.outer(size, size), covariance, 0.0)


def _squared(product: np.ndarray) -> np.ndarray:
    """[K,K] of <(w_s - w_t)^2>; rounding may leave a difference of zero just below it."""
    own = np.diagonal(product)
    return np.maximum(own + own[:, None] - 2 * product, 0)


def _log(value: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(value > 0, np.log(value), np.nan)


def _log_slopes(time: np.ndarray, reach: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each point the others that its exponent is fitted over, and their weights in it."""
    x = _log(time)
    fits = []
    for middle in x:
        distance = np.where(np.isfinite(x), np.abs(x - middle), np.inf)
        nearest = np.argsort(distance, kind="stable")[:3]
        near = np.union1d(
            np.flatnonzero(distance <= reach), nearest[np.isfinite(distance[nearest])]
        )
        centred = x[near] - x[near].mean() if len(near) > 2 else np.zeros(0)
        spread = (centred**2).sum()
        fits.append((near, centred / spread) if spread > 0 else (near[:0], np.zeros(0)))
    return fits


def _jackknife(fits, log_value: np.ndarray, log_without: np.ndarray):
    """Slopes [T] by the fits and their standard errors; NaN where a value is not positive."""

    def slopes(values: np.ndarray) -> np.ndarray:
        parts = [values[..., near] @ line if len(near) else np.nan for near, line in fits]
        return np.stack(np.broadcast_arrays(*parts), -1)

    return slopes(log_value), _spread(slopes(log_without))


def _spread(without: np.ndarray) -> np.ndarray:
    """Jackknife standard error [T] of values [G,T] that leave out each group in turn."""
    groups = len(without)
    if not groups:
        return np.full(without.shape[1], np.nan)
    return np.sqrt((groups - 1) / groups * ((without - without.mean(0)) ** 2).sum(0))


def _check(steps: np.ndarray, weights: np.ndarray, rows: np.ndarray):
    if weights.ndim != 2 or not weights.shape[1] or steps.shape != rows.shape:
        raise InputError(
            f"{steps.shape} steps beside weights {weights.shape}",
            expected="weights [K,N] with a step for each row that is used",
        )
    if len(steps) < 2 or not (np.diff(steps) > 0).all():
        raise InputError(
            f"{len(steps)} steps, ascending or not",
            expected="two or more in ascending order",
            mend="A displacement needs two different checkpoints.",
        )
