"""The paper's rule: zeros and minima of the slope of a smoothed curve (appendix B.1)."""

from typing import NamedTuple

import numpy as np

from dynamics.analysis import smooth
from dynamics.analysis.stages.checked import Values
from dynamics.analysis.stages.noise import estimate
from dynamics.analysis.stages.rule import Boundary, PublishedRule, Stages

NEAR = 0.5  # e-folds: within which a draw's zero or minimum counts as the same


class _Point(NamedTuple):
    """A zero of the slope, or a minimum of its size, at a grid point."""

    index: int
    kind: str


def find(values: Values, rule: PublishedRule) -> Stages:
    """Boundaries of a curve by the paper's rule. `confidence` is the share of draws that agree."""
    noise = estimate(values.x, values.y, values.sem)
    fitted = smooth.fit(values.x, values.y, noise.sd, rule.length, rule.reach)
    count = int(np.ceil(np.ptp(values.x) / rule.spacing)) + 1
    grid = np.linspace(values.x[0], values.x[-1], max(count, 3))
    mean, covariance = smooth.slope(fitted, grid)
    tolerance = rule.tolerance * float(np.ptp(smooth.level(fitted, grid)[0]))
    draws = [
        _points(slope, tolerance)
        for slope in smooth.draws(mean, covariance, rule.num_draws, rule.seed)
    ]
    return Stages(
        boundaries=tuple(_boundary(point, draws, grid, rule) for point in _points(mean, tolerance)),
        dropped=(),
        rule=rule,
        tolerance=tolerance,
        noise=noise,
        steps_used=values.steps,
        values_used=values.y,
        left_out=values.left_out,
    )


def _points(slope: np.ndarray, tolerance: float) -> list[_Point]:
    """Zeros of a slope [M], and minima of its size below the tolerance that are no zeros."""
    turns = np.flatnonzero(slope[:-1] * slope[1:] < 0)
    size = np.abs(slope)
    least = 1 + np.flatnonzero(
        (size[1:-1] <= size[:-2]) & (size[1:-1] < size[2:]) & (size[1:-1] < tolerance)
    )
    beside_turns = np.isin(least, np.r_[turns, turns + 1])
    points = [_Point(int(k), "peak" if slope[k] > 0 else "valley") for k in turns]
    points += [_Point(int(k), "shoulder") for k in least[~beside_turns]]
    return sorted(points)


def _boundary(point: _Point, draws, grid, rule: PublishedRule) -> Boundary:
    middle = grid[point.index]
    places = [
        min((grid[other.index] for other in drawn), key=lambda x: abs(x - middle))
        for drawn in draws
        if any(abs(grid[other.index] - middle) <= NEAR for other in drawn)
    ]
    tail = (1 - rule.level) / 2
    low, high = np.quantile(places, [tail, 1 - tail]) if places else (middle, middle)
    step = float(np.expm1(middle))
    return Boundary(
        step=step,
        low=float(np.expm1(low)),
        high=float(np.expm1(high)),
        begin=step,
        end=step,
        kind=point.kind,
        confidence=len(places) / len(draws),
        repeats=None,
    )
