"""Divergences of pairs of models to curves over steps, with intervals for what is asked of them.

Axes: K steps, S models, G documents (or independent windows). Units are those of the values.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from dynamics.analysis import uncertainty
from dynamics.analysis.curves import Curve
from dynamics.analysis.means import clustered_mean
from dynamics.errors import InputError

Over = Literal["seeds", "documents", "both"]
_INTERVALS = {
    "seeds": uncertainty.seed_interval,
    "documents": uncertainty.document_interval,
    "both": uncertainty.population_interval,
}


def pair_curve(
    model: str, steps, pairs: Sequence[np.ndarray], weights: np.ndarray, over: Over
) -> Curve:
    """Mean over ordered pairs of K arrays [S,S,G], documents weighted [G], with its 95 % interval.

    `over` is what it is an interval over: other models, other documents, or both. Without one where
    there are too few models or documents for it, or where a mean is 0.
    """
    off = ~np.eye(len(pairs[0]), dtype=bool)
    value = np.array(
        [clustered_mean(one[off].mean(0), np.arange(len(weights)), weights)[0] for one in pairs]
    )
    limits = np.array([_limits(one, weights, over) for one in pairs])
    models, documents = f"{len(pairs[0])} seeds", f"{len(weights)} documents"
    rests_on = {"seeds": models, "documents": documents, "both": f"{models} and {documents}"}[over]
    found = f"95 % interval over {rests_on}" if np.isfinite(limits).any() else ""
    return Curve(
        model=model,
        steps=np.asarray(steps),
        value=value,
        low=limits[:, 0],
        high=limits[:, 1],
        rests_on=found,
    )


def seed_curve(model: str, steps, values: np.ndarray) -> Curve:
    """Mean over models of [K,S] with its 95 % interval by Student's t over models, three at least
    as for pairs."""
    values = np.asarray(values, np.float64)
    mean, count = values.mean(1), values.shape[1]
    if count < 3:
        nothing = np.full(len(mean), np.nan)
        return Curve(
            model=model, steps=np.asarray(steps), value=mean, low=nothing, high=nothing, rests_on=""
        )
    half = stdtrit(count - 1, 0.975) * values.std(1, ddof=1) / np.sqrt(count)
    found = f"95 % interval over {count} seeds"
    return Curve(
        model=model,
        steps=np.asarray(steps),
        value=mean,
        low=mean - half,
        high=mean + half,
        rests_on=found,
    )


def _limits(pairs: np.ndarray, weights: np.ndarray, over: Over) -> tuple[float, float]:
    try:
        found = _INTERVALS[over](pairs, weights)
    except InputError:
        return np.nan, np.nan
    return found.low, found.high
