"""Sharp falls: a large drop between neighbouring checkpoints, far steeper than what is beside it.

Axes: K checkpoints, L of them about a fall; P shapes, which are middles times widths.
x = ln(step + 1), in e-folds.
"""

from typing import NamedTuple

import numpy as np
import scipy.special

from dynamics.analysis.stages.blur import blurred
from dynamics.analysis.stages.noise import Noise
from dynamics.analysis.stages.patterns import Span

SURELY = 4.0  # standard errors
STEEPER = 4.0  # than the steepest neighbour
STEEPER_OVER_TWO = 6.0  # for a drop over two gaps that are not short
BRIEF, MOST = 0.15, 12  # e-folds and gaps that a drop over several gaps takes at most
BESIDE = 4  # checkpoints on either side that tell the levels before and after
LEAST_DURATION = 0.01  # e-folds from a tenth of a fall to nine tenths
DURATION = 2 * np.log(9)  # the same for a logistic of scale 1
BLUR = 0.035  # standard deviation of a middle without noise, share of the gap of checkpoints
MIDDLES, DURATIONS = 601, 16  # of the grid


class Fall(NamedTuple):
    """A sharp fall: its checkpoints, and its middle with limits in x."""

    span: Span
    middle: float
    low: float
    high: float


def falls(
    x: np.ndarray, y: np.ndarray, noise: Noise, scale: float, least: float, confidence: float
) -> list[Fall]:
    """Falls of y [K] at x [K] by at least the share `least` of the range `scale`.

    Limits hold the middle of a fall, where it is half done, with this confidence.
    """
    level, sd = y / scale, noise.sd / scale
    steep = sorted(
        (_slope(x, level, first, last), first, last)
        for first in range(1, len(x) - 2)
        for last in range(first + 1, min(first + MOST, len(x) - 1))
        if _is_fall(x, level, sd, first, last, least)
    )
    separate: list[Span] = []
    for _, first, last in steep:  # steepest first
        if all(last <= span.first or span.last <= first for span in separate):
            separate.append(Span(first, last))
    return [_placed(x, level, sd, span, confidence) for span in separate]


def _is_fall(x, level, sd, first: int, last: int, least: float) -> bool:
    gaps, length = last - first, x[last] - x[first]
    if gaps > 2 and length > BRIEF:
        return False
    drop = level[first] - level[last]
    if drop - SURELY * np.hypot(sd[first], sd[last]) < least:
        return False
    end = len(x) - 1
    beside = max(
        abs(_slope(x, level, *pair))
        for pair in (
            (first - 1, first),
            (max(first - 3, 0), first),
            (last, last + 1),
            (last, min(last + 3, end)),
        )
    )
    ratio = STEEPER if gaps == 1 or length <= BRIEF else STEEPER_OVER_TWO
    return drop / length > ratio * beside


def _slope(x, level, first: int, last: int) -> float:
    return float((level[last] - level[first]) / (x[last] - x[first]))


def _placed(x, level, sd, span: Span, confidence: float) -> Fall:
    """The posterior of a logistic fall between two lines.

    Its middle is uniform beforehand, its duration log-uniform from a hundredth of an e-fold to
    BRIEF. A fall between two checkpoints may be anywhere between them, but
    for places from which it would have been seen at one of the two.
    """
    part = slice(max(span.first - BESIDE, 0), span.last + BESIDE + 1)
    middles = np.linspace(x[span.first - 1], x[span.last + 1], MIDDLES)
    scales = np.geomspace(LEAST_DURATION, BRIEF, DURATIONS) / DURATION
    middle, scale = (grid.ravel() for grid in np.meshgrid(middles, scales, indexing="ij"))
    log_posterior = _log_evidence(x[part], level[part], sd[part], middle, scale)
    share = np.exp(log_posterior - log_posterior.max()).reshape(MIDDLES, DURATIONS).sum(1)
    below = (np.cumsum(share) - share / 2) / share.sum()
    tail = (1 - confidence) / 2
    low, half, high = np.interp([tail, 0.5, 1 - tail], below, middles)
    return Fall(span, float(half), *blurred(half, low, high, x, confidence, BLUR))


def _log_evidence(x, level, sd, middle, scale) -> np.ndarray:
    """[P] of levels [L], the two lines integrated out: their coefficients have a normal prior of
    one range, per e-fold for slopes."""
    fallen = scipy.special.expit((x - middle[:, None]) / scale[:, None])
    ones = np.ones_like(fallen)
    lines = [ones, ones * (x - x.mean()), fallen, fallen * (x - middle[:, None])]
    basis = np.stack(lines, -1) / sd[:, None]
    square = basis.mT @ basis + np.eye(len(lines))
    target = (level - level.mean()) / sd
    along = basis.mT @ target
    explained = (along * np.linalg.solve(square, along[..., None])[..., 0]).sum(-1)
    misfit = np.maximum(target @ target - explained, 0)
    # What no shape of the grid explains is noise that the lines do not know of.
    noise = max(misfit.min() / max(len(x) - len(lines), 1), 1.0)
    return -misfit / (2 * noise) - np.linalg.slogdet(square)[1] / 2
