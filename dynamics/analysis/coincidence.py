"""Whether a bend of one curve and the minimum of another lie at one step: as numbers.

A gap is drawn and not read off: both curves rest on the same seeds and documents, so that each draw
moves both by the same seeds and documents (`phases.unit_draws`).

Axes: K steps, S seeds, G documents, R draws. Gaps are in e-folds of step + 1.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Real

from dynamics.analysis import jackknife
from dynamics.analysis.phases import Estimate, Pieces, unit_draws
from dynamics.errors import InputError


class Coincidence(NamedTuple):
    """How far apart two events are, and how surely they are one.

    Attributes:
        gap: of the minimum after the bend, e-folds, with its interval.
        spacing: e-folds between the minimum's checkpoint and the farther of its neighbours: events
            that are nearer cannot be told apart at these steps.
        probability: share of the draws in which they are no farther apart than `spacing`.
        minimum: step of the minimum.
    """

    gap: Estimate
    spacing: float
    probability: float
    minimum: float


def bend_and_minimum(
    pieces: Pieces,
    bend: int,
    values: Float[npt.ArrayLike, "K S G"],
    weights: Float[npt.ArrayLike, " G"],
) -> Coincidence:
    """A bend of `pieces` beside the minimum of the mean of values [K,S,G], documents weighted [G].

    `values` are of the steps, seeds and documents that the pieces are of. The minimum is that of
    the parabola through the lowest checkpoint and its neighbours; at either end the checkpoint.

    Raises:
        InputError: values of other steps, or fewer than two seeds or three documents.

    Example:
        >>> from dynamics.analysis.phases import find_pieces
        >>> steps = np.array([0, 1, 2, 4, 8, 16, 32])
        >>> level = np.abs(np.log1p(steps) - np.log1p(4)) + 0.1  # falls to step 4, then rises
        >>> pieces = find_pieces(steps, level[:, None, None, None] * np.ones((3, 3, 4)), np.ones(4))
        >>> other = level[:, None, None] * np.ones((3, 4))
        >>> round(bend_and_minimum(pieces, 0, other, np.ones(4)).minimum, 1)
        4.1
    """
    values, weights = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    seeds, documents = values.shape[1:] if values.ndim == 3 else (0, 0)
    if len(values) != len(pieces.steps) or seeds < 2 or documents < 3:
        raise InputError(
            f"values {values.shape}",
            expected=f"[{len(pieces.steps)}, S, G], two seeds and three documents or more",
        )
    x, rule = np.log1p(pieces.steps), pieces.rule
    curve = values.mean(1) @ weights / weights.sum()
    sources = _influences(values, weights)
    _, by_unit = unit_draws(rule, len(x), [len(source) for source in sources])
    drawn = curve + sum(
        of_units @ source for of_units, source in zip(by_unit, sources, strict=True)
    )
    gaps = _minimum(x, drawn) - pieces.drawn.knots[:, bend]
    at = _minimum(x, curve[None])[0]
    lowest = int(np.argmin(curve))
    spacing = float(np.abs(x[max(lowest - 1, 0) : lowest + 2] - x[lowest]).max())
    low, high = np.quantile(gaps, rule.tails)
    return Coincidence(
        gap=Estimate(float(at - pieces.fit.knots[0, bend]), float(low), float(high)),
        spacing=spacing,
        probability=float(np.mean(np.abs(gaps) <= spacing)),
        minimum=float(np.expm1(at)),
    )


def _influences(values: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """What every seed and document adds to the mean's error, [n, K] each: documents alone where
    there are two seeds."""
    share = weights / weights.sum()
    total = values.mean(1) * share
    without = (total.sum(-1, keepdims=True) - total) / (1 - share)
    of_documents = jackknife.influence(without).T
    seeds = values.shape[1]
    if seeds < 3:
        return [of_documents]
    each = values @ share
    others = (each.sum(-1, keepdims=True) - each) / (seeds - 1)
    return [jackknife.influence(others).T, of_documents]


def _minimum(x: Real[np.ndarray, " K"], curves: Float[np.ndarray, "R K"]) -> np.ndarray:
    """[R] where each curve is lowest."""
    lowest = curves.argmin(1)
    inner = np.clip(lowest, 1, len(x) - 2)
    rows = np.arange(len(curves))
    before, after = (x[inner + side] - x[inner] for side in (-1, 1))
    left, right = ((curves[rows, inner + side] - curves[rows, inner]) for side in (-1, 1))
    bend = left * after - right * before  # of the parabola, times a positive number
    vertex = (left * after**2 - right * before**2) / (2 * np.where(bend == 0, 1.0, bend))
    moved = np.where(bend > 0, np.clip(vertex, before, after), 0.0)
    return x[lowest] + np.where(lowest == inner, moved, 0.0)
