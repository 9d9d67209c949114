"""Divergences of pairs of models as curves over steps, with intervals for what is asked of them.

Axes: K steps, S models, G documents (or independent windows). Units are those of the values.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Real
from scipy.special import stdtrit

from dynamics.analysis import uncertainty
from dynamics.analysis.curve import Curve
from dynamics.analysis.means import clustered_mean, mean_over_seeds, pair_mean
from dynamics.errors import InputError

Over = Literal["seeds", "documents", "both"]
_INTERVALS = {
    "seeds": uncertainty.seed_interval,
    "documents": uncertainty.document_interval,
    "both": uncertainty.population_interval,
}


def pair_curve(
    model: str,
    steps: Real[npt.ArrayLike, " K"],
    pairs: Sequence[Float[np.ndarray, "S S G"]],
    weights: Float[npt.ArrayLike, " G"],
    over: Over,
) -> Curve:
    """Mean over ordered pairs of K arrays [S,S,G], documents weighted [G], with its 95 % interval.

    `over` is what it is an interval over: other models, other documents, or both. There is none
    where models or documents are too few for it, or where a mean is 0.

    Example:
        >>> level = np.array([[2.0, 4.0, 3.0, 5.0, 4.0]])  # five documents
        >>> pairs = [step * level * (1 - np.eye(2))[..., None] for step in (1.0, 0.5)]
        >>> curve = pair_curve("toy", [0, 8], pairs, np.ones(5), "documents")
        >>> curve.value.tolist(), curve.rests_on
        ([3.6, 1.8], '95 % interval over 5 documents')
    """
    weights = np.asarray(weights)
    documents = np.arange(len(weights))
    means = [clustered_mean(pair_mean(step), documents, weights)[0] for step in pairs]
    low, high = np.array([_limits(step, weights, over) for step in pairs]).T
    rests_on = f"95 % interval over {_kinds(over, len(pairs[0]), len(weights))}"
    rests_on = rests_on if np.isfinite(low).any() else ""
    return Curve.with_limits(model, steps, means, low, high, rests_on)


def seed_curve(
    model: str, steps: Real[npt.ArrayLike, " K"], values: Float[npt.ArrayLike, "K S"]
) -> Curve:
    """Mean over models of [K,S] with its 95 % interval by Student's t over models.

    Three models at least, as for pairs; fewer have no interval.
    """
    values = np.asarray(values, np.float64)
    mean, count = values.mean(1), values.shape[1]
    if count < 3:
        nothing = np.full(len(mean), np.nan)
        return Curve.with_limits(model, steps, mean, nothing, nothing, "")
    half = stdtrit(count - 1, 0.975) * values.std(1, ddof=1) / np.sqrt(count)
    rests_on = f"95 % interval over {count} seeds"
    return Curve.with_limits(model, steps, mean, mean - half, mean + half, rests_on)


def seed_sem_curve(
    model: str, steps: Real[npt.ArrayLike, " K"], values: Float[npt.ArrayLike, "K S"]
) -> Curve:
    """Mean over models of [K,S] with its standard error over models; none for a single one."""
    values = np.asarray(values, np.float64)
    mean, sem = np.array([mean_over_seeds(step) for step in values]).T
    count = values.shape[1]
    rests_on = f"± standard error over {count} seeds" if count > 1 else ""
    return Curve.with_sem(model, steps, mean, sem, rests_on)


def single_seed_curve(
    model: str,
    steps: Real[npt.ArrayLike, " K"],
    values: Sequence[Sequence[float]],
    own_sem: Float[np.ndarray, " K"] | Sequence[float],
) -> Curve:
    """A number measured one seed at a time: K lists of one value per seed, that may differ in
    length.

    A curve has errors of one kind. Where any step has two seeds or more they are standard errors
    over seeds, and steps of a single seed have none: an estimator's error knows nothing of other
    seeds, and beside theirs would look like certainty. Where every step has a single seed they are
    `own_sem` [K], the estimator's own (NaN where it has none).

    Example:
        >>> curve = single_seed_curve("toy", [4, 8], [[1.0, 2.0], [5.0]], [0.5, 0.25])
        >>> curve.sem.tolist(), curve.rests_on
        ([0.5, nan], '± standard error over up to 2 seeds, none where there is one seed')
    """
    counts = {len(step) for step in values}
    if max(counts) > 1:
        own_sem = np.full(len(values), np.nan)
    pairs = [
        mean_over_seeds(step) if len(step) > 1 else (step[0], sem)
        for step, sem in zip(values, own_sem, strict=True)
    ]
    mean, sem = np.array(pairs, np.float64).T
    if min(counts) > 1:
        count = str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        rests_on = f"± standard error over {count} seeds"
    elif max(counts) > 1:
        rests_on = f"± standard error over up to {max(counts)} seeds, none where there is one seed"
    else:
        rests_on = "± the estimator's own error, one seed" if np.isfinite(own_sem).any() else ""
    return Curve.with_sem(model, steps, mean, sem, rests_on)


def _kinds(over: Over, models: int, documents: int) -> str:
    kinds = {"seeds": f"{models} seeds", "documents": f"{documents} documents"}
    return kinds[over] if over in kinds else " and ".join(kinds.values())


def _limits(pairs: np.ndarray, weights: np.ndarray, over: Over) -> tuple[float, float]:
    try:
        interval = _INTERVALS[over](pairs, weights)
    except InputError:
        return np.nan, np.nan
    return interval.low, interval.high
