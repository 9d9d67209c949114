"""Where a pause, a turning point or the end of a pause lies, given that there is one.

Axes: L checkpoints about it; C places, H half lengths, P = C H pauses; S shapes of one side.

Places, lengths and tapers are summed over a grid that is narrowed to where the posterior is, and a
pause, a round turn and a sharp one by their odds. The stretch of the curve
that is looked at is the widest in which such a shape fits; where none fits, no more is known than
that the pause is in the region where the order of movements has it.
"""

from typing import NamedTuple

import numpy as np
import scipy.stats

from dynamics.analysis.stages import shapes
from dynamics.analysis.stages.blur import blurred
from dynamics.analysis.stages.candidates import Candidate
from dynamics.analysis.stages.noise import Noise

WIDTHS = (0.0, 0.1, 0.25, 0.5, 1.0)  # of tapers, shares of half the window
COARSE, FINE, ROUNDS = (8, 6), (15, 11), 6  # (C, H), and how often the grid is narrowed
LOG_LEAST = 9.2  # a weight below exp(-9.2) of the largest is none
BLUR = 0.05  # standard deviation of a place without noise, share of the gap of checkpoints
RETAINED = 0.1  # share of shapes that a round keeps at least, to the power of the round
# How far the unknown form of tapers moves the middle of a pause, and a turn without a pause, which
# is where the slope is zero whatever the form: shares of the tapers' width.
SHAPE, TURN_SHAPE = 0.06, 0.02
SHRUNK = (1.0, 0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.05, 0.0)  # windows, shares of the widest
LEAST_SIDE, LEAST_WINDOW = 3, 8  # checkpoints
# Standard deviation of a pause's own slope, shares of the range per e-fold.
STEEPNESS = {"shoulder": 0.1, "peak": 0.03, "valley": 0.03, "edge": 0.025}
# Odds of a pause, a round turn and a sharp one: a pause must show itself.
PRIORS = (1.0, 30.0, 60.0)
TOP_STEEPNESS = 0.005  # at a turn without a pause


class Place(NamedTuple):
    """A place and its interval, and the pause, in units of x."""

    middle: float
    low: float
    high: float
    begin: float
    end: float


class _Grid(NamedTuple):
    """Places [C], half lengths [H], and widths of the tapers before and after."""

    places: np.ndarray
    halves: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def steps(self) -> float:
        """The volume of a cell."""
        return float(np.prod([axis[1] - axis[0] for axis in self if len(axis) > 1]))

    def narrowed(self, weight: np.ndarray) -> "_Grid":
        """The part that has any weight [C, H, S, S'], a step wider at its ends."""
        forms = shapes.FORMS
        weight = weight.reshape(
            len(self.places), len(self.halves), len(self.before), forms, len(self.after), forms
        ).sum((3, 5))
        axes = [
            _focused(axis, weight.sum(tuple(k for k in range(4) if k != place)))
            for place, axis in enumerate(self)
        ]
        return _Grid(*axes)


def place(
    x: np.ndarray, y: np.ndarray, noise: Noise, scale: float, candidate: Candidate, level: float
) -> Place:
    """The place of a candidate in the curve y [K] at x [K] of range `scale`."""
    part, fits = _window(x, y, noise, scale, candidate)
    local = noise._replace(sd=noise.sd[part])
    if candidate.kind == "edge":
        return _blurred(_corner(x[part], y[part], local, scale, candidate, level), x, level)
    region = _region(x, candidate)
    estimate = _pause(x[part], y[part], local, scale, candidate, region, level)
    if fits:
        return _blurred(estimate, x, level)
    return _blurred(_within(estimate, x, region, level), x, level)


def _within(estimate: Place, x, region: tuple[float, float], level: float) -> Place:
    """The middle of a region, where no shape says more.

    A pause begins anywhere in one half of the region and ends anywhere in the other, so that its
    middle has a triangle over the middle half; the ends of a region are known to a checkpoint.
    """
    middle, half = sum(region) / 2, (region[1] - region[0]) / 2
    gap = 2 * half / max(np.count_nonzero((x >= region[0]) & (x <= region[1])) - 1, 1)
    reach = min(level * half, (1 - np.sqrt(1 - level)) / 2 * half + gap)
    return estimate._replace(middle=middle, low=middle - reach, high=middle + reach)


def _blurred(estimate: Place, x: np.ndarray, level: float) -> Place:
    low, high = blurred(estimate.middle, estimate.low, estimate.high, x, level, BLUR)
    return estimate._replace(low=low, high=high)


def _region(x, candidate: Candidate) -> tuple[float, float]:
    """The ends of a region, a checkpoint wider on both sides where it is no more than a gap.

    The movements about a sharp turn may overlap: it lies where both are.
    """
    first, last = sorted(candidate.region)
    wider = 1 if candidate.region.last - candidate.region.first <= 1 else 0
    return float(x[max(first - wider, 0)]), float(x[min(last + wider, len(x) - 1)])


def _window(x, y, noise: Noise, scale: float, candidate: Candidate) -> tuple[slice, bool]:
    """The widest window in which a shape fits, else the one where it fits best; and whether so."""
    widest = candidate.window
    least, best = np.inf, slice(widest.first, widest.last + 1)
    for share in SHRUNK:
        part = _shrunk(x, candidate, share)
        count = part.stop - part.start
        if count < LEAST_WINDOW and share < 1:
            break
        local = noise._replace(sd=noise.sd[part])
        if candidate.kind == "edge":
            value = _corner_likelihood(
                x[part], y[part], local, scale, candidate, _places(x[part], COARSE[0] * COARSE[1])
            )
        else:
            grid = _first_grid(x[part], _region(x, candidate), COARSE)
            value = _pause_likelihood(x[part], y[part], local, scale, candidate, grid)
        left = shapes.mean_square(float(value.max()), count, local)
        if left < least:
            least, best = left, part
        if left < shapes.acceptable(count, local):
            return part, True
    return best, False


def _shrunk(x, candidate: Candidate, share: float) -> slice:
    """A share of the widest window, with some checkpoints on both sides of the region."""
    region, widest = candidate.region, candidate.window
    low = x[region.first] - share * (x[region.first] - x[widest.first])
    high = x[region.last] + share * (x[widest.last] - x[region.last])
    first = min(int(np.searchsorted(x, low - 1e-9)), region.first - LEAST_SIDE)
    last = max(int(np.searchsorted(x, high + 1e-9)) - 1, region.last + LEAST_SIDE)
    if candidate.kind == "edge":  # the pause itself is all looked at
        first, last = (widest.first, last) if candidate.leaves else (first, widest.last)
    return slice(max(widest.first, first), min(widest.last, last) + 1)


def _first_grid(x, region, size: tuple[int, int], tied: bool = False) -> _Grid:
    widths = np.array(WIDTHS) * np.ptp(x) / 2
    halves = np.zeros(1) if tied else np.linspace(0, np.ptp(x) / 2, size[1])
    return _Grid(np.linspace(region[0], region[1], size[0]), halves, widths, widths)


def _pause_likelihood(x, y, noise: Noise, scale: float, candidate: Candidate, grid: _Grid):
    """[P, S, S'] of every pause of the grid."""
    begin, end = _ends(grid)
    steepness = TOP_STEEPNESS if len(grid.halves) == 1 else STEEPNESS[candidate.kind]
    before = -shapes.ramps(begin[:, None] - x, grid.before)
    after = shapes.ramps(x - end[:, None], grid.after)
    value = shapes.log_likelihood(x, y, noise, steepness * scale, before, after, candidate.ups)
    inside = (begin >= x[0] - 1e-9) & (end <= x[-1] + 1e-9)
    return np.where(inside[:, None, None], value, -1e300)


def _ends(grid: _Grid) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end of every pause, [P] each."""
    middle, half = (axis.ravel() for axis in np.meshgrid(grid.places, grid.halves, indexing="ij"))
    return middle - half, middle + half


def _pause(x, y, noise: Noise, scale: float, candidate: Candidate, region, level: float) -> Place:
    """A pause between two ramps, with or without a length."""
    grid = _first_grid(x, region, (2 * FINE[0], 1), tied=True)
    families = [
        _family(x, y, noise, scale, candidate, _first_grid(x, region, FINE), tied=False),
        _family(x, y, noise, scale, candidate, grid, tied=True),
    ]
    if candidate.kind != "shoulder":
        sharp = grid._replace(before=np.zeros(1), after=np.zeros(1))
        families.append(_family(x, y, noise, scale, candidate, sharp, tied=True))
    odds = np.repeat(PRIORS[: len(families)], [len(family[0]) for family in families])
    begin, end, log_weight, square = (np.concatenate(part) for part in zip(*families, strict=True))
    share = odds * np.exp(log_weight - log_weight.max())
    share /= share.sum()
    limits = _quantiles((begin + end) / 2, share, level)
    low, middle, high = _with_form(*limits, share @ square, level)
    return Place(middle, low, high, float(share @ begin), float(share @ end))


def _family(x, y, noise: Noise, scale: float, candidate: Candidate, grid: _Grid, tied: bool):
    """Begin, end, log posterior and squared error of the form of all shapes, flattened."""
    region = grid.places[-1] - grid.places[0]
    for narrowing in range(ROUNDS):
        value = _pause_likelihood(x, y, noise, scale, candidate, grid)
        last = grid
        if narrowing + 1 < ROUNDS:
            grid = grid.narrowed(_tempered(value, narrowing))
    begin, end = (np.broadcast_to(side[:, None, None], value.shape) for side in _ends(last))
    tapers = [np.repeat(widths, shapes.FORMS) ** 2 for widths in (last.before, last.after)]
    moved = TURN_SHAPE if tied else SHAPE
    square = np.broadcast_to(moved**2 * (tapers[0][:, None] + tapers[1]) / 2, value.shape)
    # Uniform prior: of the place over the region, of half the length and widths to half the window.
    free = (not tied) + 2 * (len(last.before) > 1)
    volume = region * (np.ptp(x) / 2) ** free
    log_mass = np.log(last.steps() / volume + 1e-300)
    return begin.ravel(), end.ravel(), value.ravel() + log_mass, square.ravel()


def _places(x, count: int) -> np.ndarray:
    return np.linspace(x[0], x[-1], count)


def _corner_likelihood(x, y, noise: Noise, scale: float, candidate: Candidate, places, widths=None):
    """[C, S] of a ramp on one side of a pause."""
    widths = np.array(WIDTHS) * np.ptp(x) / 2 if widths is None else widths
    if candidate.leaves:
        ramp = shapes.ramps(x - places[:, None], widths)
    else:
        ramp = -shapes.ramps(places[:, None] - x, widths)
    nothing = np.zeros((len(places), 1, len(x)))
    steepness = STEEPNESS["edge"] * scale
    return shapes.log_likelihood(x, y, noise, steepness, ramp, nothing, candidate.ups)[..., 0]


def _corner(x, y, noise: Noise, scale: float, candidate: Candidate, level: float) -> Place:
    """Where the ramp of an edge begins or ends: at a sharp corner or with a taper, alike likely."""
    widths = np.array(WIDTHS) * np.ptp(x) / 2
    families = [
        _corner_family(x, y, noise, scale, candidate, shape) for shape in (widths, np.zeros(1))
    ]
    places, log_weight, square = (np.concatenate(part) for part in zip(*families, strict=True))
    share = np.exp(log_weight - log_weight.max())
    share /= share.sum()
    low, middle, high = _with_form(*_quantiles(places, share, level), share @ square, level)
    low, high = max(low, float(x[0])), min(high, float(x[-1]))
    ends = (float(x[0]), middle) if candidate.leaves else (middle, float(x[-1]))
    return Place(middle, low, high, *ends)


def _corner_family(x, y, noise: Noise, scale: float, candidate: Candidate, widths: np.ndarray):
    """Place, log posterior and squared error of the form of all corners, flattened."""
    places, tapered = _places(x, 4 * FINE[0]), len(widths) > 1
    for narrowing in range(ROUNDS):
        value = _corner_likelihood(x, y, noise, scale, candidate, places, widths)
        last = places, widths
        if narrowing + 1 < ROUNDS:
            share = _tempered(value, narrowing)
            by_width = share.reshape(len(places), len(widths), shapes.FORMS).sum((0, 2))
            places, widths = _focused(places, share.sum(1)), _focused(widths, by_width)
    places, widths = last
    cell = (places[1] - places[0]) * (2 * (widths[1] - widths[0]) / np.ptp(x) if tapered else 1)
    square = np.broadcast_to(np.repeat(SHAPE * widths, shapes.FORMS) ** 2, value.shape)
    where = np.broadcast_to(places[:, None], value.shape)
    return where.ravel(), (value + np.log(cell + 1e-300)).ravel(), square.ravel()


def _tempered(value: np.ndarray, narrowing: int) -> np.ndarray:
    """The posterior, flattened in early rounds: a coarse grid may miss a narrow ridge.

    It keeps a share of all shapes that falls from round to round, and all that have any weight.
    """
    best, share = value.max(), RETAINED ** (narrowing + 1)
    bound = np.quantile(value, 1 - share)
    return np.exp((value - best) / max((best - bound) / LOG_LEAST, 1.0))


def _focused(axis: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """As many values over the stretch of an axis that has any weight, a step wider at its ends."""
    if len(axis) == 1:
        return axis
    inside = np.flatnonzero(weight > np.exp(-LOG_LEAST) * weight.max())
    low, high = max(inside[0] - 1, 0), min(inside[-1] + 1, len(axis) - 1)
    return np.linspace(axis[low], axis[high], len(axis))


def _quantiles(values, share, level: float) -> tuple[float, float, float]:
    """Lower limit, median and upper limit."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(share[order]) - share[order] / 2
    tail = (1 - level) / 2
    low, middle, high = np.interp([tail, 0.5, 1 - tail], below, values[order])
    return float(low), float(middle), float(high)


def _with_form(low: float, middle: float, high: float, square: float, level: float):
    """The limits with an error of this mean square that the unknown form of tapers makes."""
    error = np.sqrt(square) * scipy.stats.norm.isf((1 - level) / 2)
    return (
        float(middle - np.hypot(middle - low, error)),
        middle,
        float(middle + np.hypot(high - middle, error)),
    )
