"""Where a divergence turns: its lowest point before its peak, and its peak, with intervals.

Unlike the bends of straight pieces, whose number is chosen, every curve that falls, rises and falls
again has both, so that curves of different runs can be compared event by event.

Axes: K steps, S seeds, G documents, R draws.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int, Real

from dynamics.analysis import jackknife
from dynamics.analysis.phases import RULE, Estimate, Rule, unit_draws
from dynamics.errors import InputError

_SEEN = 0.95  # share of the draws that must have an event, too


class Turns(NamedTuple):
    """Steps of the two events; None where the curve, or a draw in twenty, lacks one."""

    lowest: Estimate | None
    peak: Estimate | None


def turns(
    steps: Real[npt.ArrayLike, " K"],
    kl: Float[npt.ArrayLike, "K S S G"],
    weights: Float[npt.ArrayLike, " G"],
    rule: Rule = RULE,
) -> Turns:
    """The turning points of the pair mean of kl, documents weighted [G].

    The peak is the highest checkpoint, the lowest point that before it; each lies at the vertex of
    the parabola through the checkpoint and its neighbours. Intervals are quantiles over curves
    drawn about the mean with the jackknives' errors of seeds and documents, as in `phases`, and
    reach at least to the neighbouring checkpoints: between them a sharp turn may be anywhere.

    Raises:
        InputError: fewer than three steps, three seeds or three documents.

    Example:
        >>> steps = np.array([0, 1, 2, 4, 8, 16, 32, 64])
        >>> level = np.array([0.4, 0.4, 0.3, 0.2, 0.3, 0.6, 0.5, 0.4])
        >>> planted = turns(steps, level[:, None, None, None] * np.ones((3, 3, 4)), np.ones(4))
        >>> round(planted.lowest.value), bool(16 < planted.peak.value < 32)
        (4, True)
    """
    steps, kl, weights = (np.asarray(value, np.float64) for value in (steps, kl, weights))
    if len(steps) < 3 or kl.shape[1] < 3 or len(weights) < 3:
        raise InputError(
            f"{len(steps)} steps, {kl.shape[1]} seeds, {len(weights)} documents",
            expected="three or more of each",
        )
    kl = np.where(np.eye(kl.shape[1], dtype=bool)[..., None], 0.0, kl)
    left_out = jackknife.without_each_seed, jackknife.without_each_document
    sources = [jackknife.influence(without(kl, weights)).T for without in left_out]
    curve = jackknife.theta(kl, weights)
    _, by_unit = unit_draws(rule, len(steps), [len(source) for source in sources])
    drawn = curve + sum(
        of_units @ source for of_units, source in zip(by_unit, sources, strict=True)
    )
    x = np.log1p(steps)
    places = _events(x, np.concatenate([curve[None], drawn]))
    return Turns(*(_estimate(x, of_event, rule) for of_event in places))


def _events(x: np.ndarray, curves: Float[np.ndarray, "R K"]) -> tuple[np.ndarray, np.ndarray]:
    """Places on x [K] of the lowest point before the peak, and of the peak; [R] each, NaN where it
    lies at an end."""
    peak = curves.argmax(1)
    before = np.where(np.arange(len(x)) < peak[:, None], curves, np.inf)
    return vertex(x, curves, before.argmin(1)), vertex(x, -curves, peak)


def vertex(
    x: Float[np.ndarray, " K"], curves: Float[np.ndarray, "R K"], lowest: Int[np.ndarray, " R"]
) -> Float[np.ndarray, " R"]:
    """Where on x the parabola through each curve's `lowest` point and its neighbours is lowest.

    NaN where that point is at either end.

    Example:
        >>> x = np.array([0.0, 1.0, 2.0])
        >>> vertex(x, np.array([[2.0, 1.0, 2.0], [0.0, 1.0, 2.0]]), np.array([1, 0])).tolist()
        [1.0, nan]
    """
    inner, rows = np.clip(lowest, 1, len(x) - 2), np.arange(len(curves))
    before, after = (x[inner + side] - x[inner] for side in (-1, 1))
    left, right = ((curves[rows, inner + side] - curves[rows, inner]) for side in (-1, 1))
    bend = left * after - right * before  # of the parabola, times a positive number
    vertex = (left * after**2 - right * before**2) / (2 * np.where(bend == 0, 1.0, bend))
    moved = np.where(bend > 0, np.clip(vertex, before, after), 0.0)
    return np.where(lowest == inner, x[inner] + moved, np.nan)


def _estimate(x: np.ndarray, places: Float[np.ndarray, " R"], rule: Rule) -> Estimate | None:
    """The first is the curve's own, the others those of its draws."""
    own, drawn = places[0], places[1:]
    if np.isnan(own) or np.isfinite(drawn).mean() < _SEEN:
        return None
    nearest = int(np.argmin(np.abs(x - own)))
    low, high = np.nanquantile(drawn, rule.tails)
    limits = [own, min(low, x[max(nearest - 1, 0)]), max(high, x[min(nearest + 1, len(x) - 1)])]
    return Estimate(*np.expm1(limits).tolist())
