"""Whether a bend of one curve and an event of another lie at one step: as numbers.

A gap is drawn and not read off: both curves rest on the same seeds and documents, so that each draw
moves both by the same seeds and documents (`phases.unit_draws`).

Axes: K steps, S seeds, G documents, R draws. Gaps are in e-folds of step + 1.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Real, Shaped

from dynamics.analysis import jackknife
from dynamics.analysis.phases import (
    Estimate,
    Pieces,
    Units,
    find_pieces_of_mean,
    unit_draws,
)
from dynamics.analysis.turns import vertex
from dynamics.errors import InputError


class Coincidence(NamedTuple):
    """How far apart two events are, and how surely they are one.

    Attributes:
        gap: of the other event after the bend, e-folds, with its interval.
        spacing: e-folds between the checkpoint next to the other event and the farther of its
            neighbours: events that are nearer cannot be told apart at these steps.
        probability: share of the draws in which they are no farther apart than `spacing`.
        step: of the other event.
    """

    gap: Estimate
    spacing: float
    probability: float
    step: float


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
        >>> round(bend_and_minimum(pieces, 0, other, np.ones(4)).step, 1)
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
    sources = jackknife.mean_influences(values, weights)
    _, by_unit = unit_draws(rule, len(x), [len(source) for source in sources])
    drawn = curve + sum(
        of_units @ source for of_units, source in zip(by_unit, sources, strict=True)
    )
    at = float(_minimum(x, curve[None])[0])
    return _coincidence(pieces, bend, x, at, _minimum(x, drawn), int(np.argmin(curve)))


class Score(NamedTuple):
    """A number of single seeds over training.

    Attributes:
        steps: [K'].
        values: [K',S,D], the seeds those of the divergence that it is set beside.
        weights: [D] of its documents in the mean.
        documents: [D] their names.
    """

    steps: Real[np.ndarray, " K"]
    values: Float[np.ndarray, "K S D"]
    weights: Float[np.ndarray, " D"]
    documents: Shaped[np.ndarray, " D"]


def bend_and_onset(
    pieces: Pieces, bend: int, documents: Shaped[npt.ArrayLike, " G"], score: Score
) -> Coincidence | None:
    """A bend of `pieces`, of documents [G], beside the step from which a score falls most steeply.

    The score's own pieces say where that is (`phases.find_pieces_of_mean`); None where they have no
    such bend: where it never surely falls, or does so most steeply from its first step on.

    Raises:
        InputError: another number of seeds, or a score without pieces.
    """
    rule = pieces.rule
    units = _shared_units(pieces, np.asarray(documents), score)
    of_score = find_pieces_of_mean(score.steps, score.values, score.weights, rule, units)
    steepest = int(np.argmin(of_score.slopes))
    if steepest == 0 or of_score.slope_limits[1, steepest] >= 0:
        return None
    x, at = np.log1p(of_score.steps), float(of_score.fit.knots[0, steepest - 1])
    nearest = int(np.argmin(np.abs(x - at)))
    return _coincidence(pieces, bend, x, at, of_score.drawn.knots[:, steepest - 1], nearest)


def _shared_units(pieces: Pieces, documents: np.ndarray, score: Score) -> Units:
    """The draws of a score: those of the pieces for the seeds and the documents that both have."""
    seeds, count = score.values.shape[1], len(score.documents)
    sizes = [len(documents)] if seeds < 3 else [seeds, len(documents)]
    *of_seeds, of_documents = unit_draws(pieces.rule, len(pieces.steps), sizes).by_source
    other = dataclasses.replace(pieces.rule, seed=pieces.rule.seed + 1)
    own, (fresh,) = unit_draws(other, len(score.steps), [count])
    _, of_score, of_pieces = np.intersect1d(score.documents, documents, return_indices=True)
    fresh[:, of_score] = of_documents[:, of_pieces]
    return Units(own, [*of_seeds, fresh])


def _coincidence(
    pieces: Pieces, bend: int, x: np.ndarray, at: float, drawn: np.ndarray, nearest: int
) -> Coincidence:
    """From where the other event lies on its axis x [K], and lies in the draws [R]."""
    gaps = drawn - pieces.drawn.knots[:, bend]
    spacing = float(np.abs(x[max(nearest - 1, 0) : nearest + 2] - x[nearest]).max())
    low, high = np.quantile(gaps, pieces.rule.tails)
    return Coincidence(
        gap=Estimate(at - float(pieces.fit.knots[0, bend]), float(low), float(high)),
        spacing=spacing,
        probability=float(np.mean(np.abs(gaps) <= spacing)),
        step=float(np.expm1(at)),
    )


def _minimum(x: Real[np.ndarray, " K"], curves: Float[np.ndarray, "R K"]) -> np.ndarray:
    """[R] where each curve is lowest."""
    lowest = curves.argmin(1)
    inside = vertex(x, curves, lowest)
    return np.where(np.isnan(inside), x[lowest], inside)
