"""The slope of the last phase, and how it goes with the size of the model.

A slope is a sum of theta over steps with fixed weights (that of a straight line's least squares),
so that its error comes from the jackknives of theta itself: over seeds, and over documents, which
models that read one text share.

Axes: K steps, S seeds, G documents, M models.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Real
from scipy.special import stdtrit

from dynamics.analysis import jackknife
from dynamics.analysis.uncertainty import Interval
from dynamics.errors import InputError


class Influences(NamedTuple):
    """A number and what every unit adds to its error: sums of squares are the jackknives'
    variances."""

    value: float
    seeds: Float[np.ndarray, " S"]  # empty under three seeds
    documents: Float[np.ndarray, " G"]


def slope(
    steps: Real[npt.ArrayLike, " K"],
    kl: Float[np.ndarray, "K S S G"],
    weights: Float[np.ndarray, " G"],
) -> Influences:
    """Slope of theta in nats per e-fold of step + 1, from kl [K, S, S, G] at steps [K].

    Raises:
        InputError: fewer than two steps or three documents.

    Example:
        >>> steps = np.array([0, 1, 3, 7])
        >>> level = 5 - 2 * np.log1p(steps)
        >>> influences = slope(steps, level[:, None, None, None] * np.ones((3, 3, 4)), np.ones(4))
        >>> round(influences.value, 6), influences.documents.shape
        (-2.0, (4,))
    """
    steps = np.asarray(steps, np.float64)
    if len(steps) < 2 or len(weights) < 3:
        raise InputError(
            f"{len(steps)} steps and {len(weights)} documents",
            expected="two steps and three documents",
        )
    kl = np.where(np.eye(kl.shape[1], dtype=bool)[..., None], 0.0, np.asarray(kl, np.float64))
    line = _line(np.log1p(steps))
    combined = np.tensordot(line, kl, axes=1)
    seeds = np.zeros(0)
    if len(combined) > 2:
        seeds = jackknife.influence(jackknife.without_each_seed(combined, weights))
    documents = jackknife.influence(jackknife.without_each_document(combined, weights))
    return Influences(float(jackknife.theta(combined, weights)), seeds, documents)


def interval(influences: Influences, level: float = 0.95) -> Interval:
    """Limits over other seeds and other documents (documents alone where there are two seeds), the
    steps held fixed.

    Student's t on the raw scale, since a slope may have either sign; degrees of freedom as in
    `jackknife.log_limits`.
    """
    return _limits(
        influences.value, [influences.seeds, influences.documents], level, _rests_on([influences])
    )


def against_size(
    parameters: Sequence[float], by_model: Sequence[Influences], level: float = 0.95
) -> Interval:
    """Change of the slope per e-fold of parameters, least squares over the models, as an interval.

    Other seeds, other documents; these models. With two models it is their difference over that of
    their ln sizes. Documents are one sample where all models have as many, else each model's own.
    Raises InputError on fewer than two sizes.
    """
    sizes = np.log(np.asarray(parameters, np.float64))
    if len(set(parameters)) < 2:
        raise InputError(f"{len(set(parameters))} size", expected="two sizes or more")
    line = _line(sizes)
    weighted = list(zip(line, by_model, strict=True))
    sources = [weight * influences.seeds for weight, influences in weighted]
    documents = [weight * influences.documents for weight, influences in weighted]
    shared = len({len(effects) for effects in documents}) == 1
    sources += [np.sum(documents, axis=0)] if shared else documents
    value = float(line @ [influences.value for influences in by_model])
    return _limits(value, sources, level, _rests_on(by_model))


def _line(x: np.ndarray) -> np.ndarray:
    """Weights [n] whose sum with y is the least-squares slope of y on x [n]."""
    centred = x - x.mean()
    return centred / (centred**2).sum()


def _limits(value: float, sources, level: float, rests_on: str) -> Interval:
    parts = [((effects**2).sum(), len(effects) - 1) for effects in sources if len(effects) > 1]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Interval(value, value, value, 0.0, rests_on)
    df = variance**2 / sum(part**2 / free for part, free in parts)
    own = sum(part / variance * stdtrit(free, (1 + level) / 2) ** 2 for part, free in parts)
    half = np.sqrt((0.75 * stdtrit(df, (1 + level) / 2) ** 2 + 0.25 * own) * variance)
    return Interval(
        value, float(value - half), float(value + half), float(np.sqrt(variance)), rests_on
    )


def _rests_on(by_model: Sequence[Influences]) -> str:
    seeds = {len(influences.seeds) for influences in by_model}
    documents = {len(influences.documents) for influences in by_model}
    counted = [f"{max(seeds)} seeds"] if max(seeds) else []
    return " and ".join([*counted, f"{max(documents)} documents"])
