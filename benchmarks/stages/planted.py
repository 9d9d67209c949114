"""Curves over training whose stage boundaries are known: what a rule is judged by.

Axes: K checkpoints, M places of a fine grid, P planted boundaries. x = ln(step + 1), in e-folds.
Slopes and noise are shares of the curve's range, slopes per e-fold.

Every kind of curve is one way in which a rule may fail. A planted boundary has the name that a
reader would give it, its place, and the curve as it would be without it, for the oracle. Nothing
here knows a rule.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.special

from benchmarks.stages import schedules, shapes
from benchmarks.stages.shapes import Piece

LEAST_SLOPE, TILT = 0.15, 0.03  # of a ramp (mean) and of a pause (at most)
LEAST_HELD = 3  # checkpoints that show a pause or a ramp
LEAST_SIDE = 0.05  # rise of a ramp, share of the range
NOISE = (0.001, 0.01)  # standard deviation


@dataclass(frozen=True, kw_only=True)
class Place:
    """A planted boundary.

    Attributes:
        kind: peak, valley, shoulder, fall or edge.
        step: where it is: the middle of a pause, the top of a peak, the middle of a fall, where a
            curve leaves or enters a pause that the window cuts off.
        stretch: steps between which the curve would have to be another one without it.
        width: begin and end of the pause or fall, in steps; `step` twice for a turn without pause.
    """

    kind: str
    step: float
    stretch: tuple[float, float]
    width: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A curve as a study would measure it, and the truth about it.

    Attributes:
        kind: of KINDS.
        steps, value: [K] what is measured, noise and all.
        sem: [K] the errors that a study would state; None where it states none.
        truth: [K] without noise.
        scale: the range of the truth.
        own: [K] standard deviation of the noise that a checkpoint has alone.
        correlation: of that noise between neighbours (AR(1)).
        shared: [K] standard deviation of one error that all checkpoints share.
        places: the planted boundaries, ascending.
        open_ends: whether the curve at the first and the last checkpoint is so much slower than
            elsewhere that an edge there is a matter of taste, and is counted neither way.
    """

    kind: str
    steps: np.ndarray
    value: np.ndarray
    sem: np.ndarray | None
    truth: np.ndarray
    scale: float
    own: np.ndarray
    correlation: float
    shared: np.ndarray
    places: tuple[Place, ...]
    open_ends: tuple[bool, bool]


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """A curve of range 1 on a fine grid, with its boundaries."""

    x: np.ndarray
    curve: np.ndarray
    places: tuple[Place, ...]


def curve(kind: str, seed: int, count: int) -> Planted:
    """The curve of a kind with this seed, on about `count` checkpoints.

    Curves of even seeds come with their errors, those of odd seeds without.

    Example:
        >>> planted = curve("sharp peaks", 0, 60)
        >>> len(planted.steps), planted.places[0].kind
        (60, 'peak')
    """
    rng = np.random.default_rng([list(KINDS).index(kind), count, seed])
    while True:
        shape, steps = _shape(kind, rng, count)
        if shape is not None:
            return _measured(kind, rng, shape, steps, with_errors=seed % 2 == 0)


def _shape(kind: str, rng, count: int):
    """A shape and the steps that it is seen at; None where some boundary would not be seen."""
    first = int(rng.choice([0, 1, 100]))
    last = int(10 ** rng.uniform(4.5, 6))
    uneven = kind == "uneven steps"
    steps = (schedules.uneven if uneven else _logarithmic)(rng, count, first, last)
    shape = KINDS[kind](rng, np.log1p(steps))
    if isinstance(shape, tuple):  # a shape that sets its own window
        shape, low = shape
        steps = schedules.logarithmic(count, int(np.expm1(low)), int(np.expm1(shape.x[-1])))
    return shape, steps


def _logarithmic(rng, count: int, first: int, last: int) -> np.ndarray:
    return schedules.logarithmic(count, first, last)


def _measured(kind: str, rng, shape: _Shape, steps, with_errors: bool) -> Planted:
    """Noise, errors, a unit and an offset."""
    x, scale, shift = np.log1p(steps), 10 ** rng.uniform(-3, 3), rng.normal(0, 1000)
    truth = np.interp(x, shape.x, shape.curve)
    low, high = (0.003, 0.03) if kind == "monotone loss" else NOISE
    level = np.exp(rng.uniform(np.log(low), np.log(high)))
    own = level * np.exp(rng.normal(0, 0.3, len(x)))
    correlation = rng.uniform(0.5, 0.9) if kind == "AR(1) noise" else 0.0
    shared = np.zeros(len(x))
    if kind == "shared errors":
        own = own / 3
        drift = np.sin(2 * np.pi * (x / np.ptp(x) + rng.uniform()))
        shared = 100 * level / 3 * np.exp(0.1 * drift)
    normal = rng.standard_normal(len(x))
    error = own * _autoregressive(normal, correlation) + shared * rng.standard_normal()
    sem = np.hypot(own, shared)
    return Planted(
        kind=kind,
        steps=steps,
        value=shift + scale * (truth + error),
        sem=scale * sem if with_errors else None,
        truth=shift + scale * truth,
        scale=scale,
        own=scale * own,
        correlation=correlation,
        shared=scale * shared,
        places=shape.places,
        open_ends=_open_ends(shape),
    )


def _autoregressive(normal: np.ndarray, correlation: float) -> np.ndarray:
    """AR(1) noise [K] of variance 1."""
    noise = normal.copy()
    for k in range(1, len(noise)):
        noise[k] = correlation * noise[k - 1] + np.sqrt(1 - correlation**2) * normal[k]
    return noise


def _open_ends(shape: _Shape) -> tuple[bool, bool]:
    """An end is open where the curve moves at most half as fast as it does somewhere else, and by
    less than a tenth of its range per e-fold."""
    slope = np.abs(np.gradient(shape.curve, shape.x))
    near = max(2, len(slope) // 50)
    least = min(0.1, slope.max() / 2)
    return bool(slope[:near].min() < least), bool(slope[-near:].min() < least)


# Curves of ramps and pauses.


def _pauses(rng, x: np.ndarray) -> _Shape | None:
    """Pauses between ramps; the first one 3 to 50 % of the log range off either end."""
    span = np.ptp(x)
    offset = rng.uniform(0.03, 0.5) * span
    lengths = _lengths(rng, x, span - offset)
    # Ramps at the ends go on beyond the window.
    ends = rng.uniform(0.3, 1, 2)
    lengths = [offset + ends[0], *lengths, max(span - offset - sum(lengths), 0.1) + ends[1]]
    return _of_ramps(rng, x, lengths, -ends[0], mirrored=bool(rng.integers(2)), last_paused=False)


def _end_plateau(rng, x: np.ndarray) -> _Shape | None:
    """A curve that ends on a pause, cut off by the window."""
    span = np.ptp(x)
    plateau = rng.uniform(0.5, 2.0)
    offset = rng.uniform(0.5, 2.0)
    lengths = _lengths(rng, x, span - offset - plateau)
    between = span - offset - plateau - sum(lengths)
    lengths = [offset + 0.5, *lengths, max(between, 0.1), plateau + 0.1]
    return _of_ramps(rng, x, lengths, -0.5, mirrored=False, last_paused=True)


def _lengths(rng, x: np.ndarray, room: float) -> list[float]:
    """Of pause, ramp, ... pause, as many as leave room for a ramp."""
    least = max(0.4, 2.5 * np.ptp(x) / len(x))
    lengths = [rng.uniform(least, max(1.2, 2 * least))]
    while True:
        ramp = rng.uniform(max(0.5, least), max(2.0, 2 * least))
        pause = rng.uniform(least, max(1.2, 2 * least))
        if sum(lengths) + ramp + pause > room - 0.5 or (len(lengths) > 2 and rng.random() < 0.2):
            return lengths
        lengths += [ramp, pause]


def _of_ramps(rng, x, lengths, start: float, mirrored: bool, last_paused: bool) -> _Shape | None:
    """Ramps and pauses of these lengths in turn, from `start` e-folds off the window's edge."""
    count = len(lengths)
    ramps = np.arange(count) % 2 == 0
    lengths = np.array(lengths)
    rises = np.where(ramps, rng.uniform(0.3, 1.5, count) * rng.choice([1, 1, -1], count), 0.0)
    rises /= np.ptp(np.r_[0, np.cumsum(rises)])
    tilts = rng.uniform(-TILT, TILT, count) * lengths
    tapers = rng.uniform(0.1, 0.5, (count, 2))
    tapers[0, 0] = 0
    if not last_paused:
        tapers[-1, 1] = 0
    pieces = [
        Piece(length=lengths[k], rise=rises[k], tapers=(tapers[k, 0], tapers[k, 1]))
        if ramps[k]
        else Piece(length=lengths[k], rise=tilts[k])
        for k in range(count)
    ]
    if mirrored:
        pieces = [
            Piece(length=piece.length, rise=piece.rise, tapers=(piece.tapers[1], piece.tapers[0]))
            for piece in pieces[::-1]
        ]
        start = np.ptp(x) - sum(lengths) - start
    grid, curve = shapes.of_pieces(pieces, x[0] + start, x[0], x[-1])
    borders = x[0] + start + np.r_[0, np.cumsum([piece.length for piece in pieces])]
    return _checked(_Shape(x=grid, curve=curve, places=_places(pieces, borders, x)), borders, x)


def _places(pieces: list[Piece], borders: np.ndarray, x: np.ndarray) -> tuple[Place, ...]:
    """Boundaries of ramps (even) and pauses (odd)."""
    places = []
    for k in range(1, len(pieces), 2):
        begin, end = borders[k], borders[k + 1]
        left = (max(borders[k - 1], x[0]) + begin) / 2
        if end >= x[-1]:
            step, kind, right = begin, "edge", x[-1]
        else:
            after = pieces[k + 1].rise
            step, right = (begin + end) / 2, (end + min(borders[k + 2], x[-1])) / 2
            kind = _turn(pieces[k - 1].rise, after)
        places.append(_place(kind, step, (left, right), (begin, end)))
    return tuple(places)


def _turn(before: float, after: float) -> str:
    return "shoulder" if before * after > 0 else "peak" if before > 0 else "valley"


def _place(kind: str, at: float, stretch, width) -> Place:
    steps = np.expm1([at, *stretch, *width])
    return Place(
        kind=kind,
        step=float(steps[0]),
        stretch=(float(steps[1]), float(steps[2])),
        width=(float(steps[3]), float(steps[4])),
    )


def _checked(shape: _Shape, borders: np.ndarray, x: np.ndarray) -> _Shape | None:
    """The shape, or None where a ramp or pause is too gentle or held by too few checkpoints."""
    visible = np.clip(borders, x[0], x[-1])
    lengths = np.diff(visible)
    if lengths.min() < 0.03 * np.ptp(x):
        return None
    moved = np.abs(np.diff(np.interp(visible, shape.x, shape.curve)))
    ramps = np.arange(len(lengths)) % 2 == 0
    held = np.histogram(x, visible)[0]
    least = np.full(len(lengths), LEAST_HELD)
    least[[0, -1]] = 2  # the outermost ones go on beyond the window
    slow = (moved / lengths)[ramps].min() < LEAST_SLOPE or moved[ramps].min() < LEAST_SIDE
    return None if slow or (held < least).any() else shape


# Curves of straight and round pieces.


def _sharp_peaks(rng, x: np.ndarray) -> _Shape | None:
    """One to three turning points without a pause, between straight ramps."""
    return _turns(rng, x, int(rng.integers(1, 4)), 1e-3)


def _round_peaks(rng, x: np.ndarray) -> _Shape | None:
    """One or two turning points of one to two and a half e-folds, as parabolas."""
    return _turns(rng, x, int(rng.integers(1, 3)), rng.uniform(1.0, 2.5))


def _turns(rng, x: np.ndarray, count: int, width: float) -> _Shape | None:
    corners = np.sort(rng.uniform(x[0], x[-1], count))
    slopes = rng.uniform(0.3, 1.5, count + 1) * (-1.0) ** (np.arange(count + 1) + rng.integers(2))
    knots = np.repeat(corners, 2) + np.tile([-width / 2, width / 2], count)
    if (np.diff(np.r_[x[0], knots, x[-1]]) < 0).any():
        return None
    grid, curve = shapes.of_slopes(knots, np.repeat(slopes, 2)[1:-1], x[0], x[-1])
    tops = corners - width / 2 + width * slopes[:-1] / (slopes[:-1] - slopes[1:])
    borders = np.r_[x[0], tops, x[-1]]
    moved = np.abs(np.diff(np.interp(borders, grid, curve)))
    held = np.histogram(x, borders)[0]
    if (moved / np.diff(borders)).min() < 0.1 or moved.min() < LEAST_SIDE or held.min() < 3:
        return None
    middles = (borders[1:] + borders[:-1]) / 2
    places = tuple(
        _place(_turn(slopes[k], slopes[k + 1]), tops[k], middles[k : k + 2], [tops[k], tops[k]])
        for k in range(count)
    )
    return _Shape(x=grid, curve=curve, places=places)


def _collapse(rng, x: np.ndarray) -> _Shape | None:
    """A fall of 15 to 90 % of the range within a fiftieth of an e-fold, on a slow ramp."""
    at = rng.uniform(x[0] + 0.1 * np.ptp(x), x[-1] - 0.1 * np.ptp(x))
    k = int(np.searchsorted(x, at))
    if k < 3 or k > len(x) - 3:
        return None
    grid = np.linspace(x[0], x[-1], shapes.FINE)
    depth, ramp = rng.uniform(0.15, 0.9), rng.choice([-1, 1]) * rng.uniform(0.03, 0.12)
    curve = ramp * (grid - x[0]) - depth * scipy.special.expit((grid - at) / 0.004)
    span = np.ptp(curve)
    if depth < 0.15 * span or abs(ramp) > 0.12 * span:
        return None
    return _Shape(
        x=grid,
        curve=curve / span,
        places=(_place("fall", at, (x[k - 3], x[k + 2]), (at - 0.01, at + 0.01)),),
    )


def _straight_ramp(rng, x: np.ndarray):
    """A straight line; below 8 % per e-fold one that follows on a steeper one."""
    slope = np.exp(rng.uniform(np.log(0.02), np.log(0.30)))
    if slope < 0.08:
        steep = rng.uniform(0.3, 0.6)
        span = np.ptp(x)
        knee = (1 - slope * span) / (steep - slope)
        if not 0.5 < knee < span - 1:
            return None
        at = x[0] + knee + np.array([-0.01, 0.01])
        return _bare(rng, at, [steep, slope], x[0], x[-1])
    return _own_window(rng, [slope, slope], slope)


def _curved_ramp(rng, x: np.ndarray):
    """A slope that goes from one value between 2 and 30 % to another, and never turns back."""
    first, last = np.exp(rng.uniform(np.log(0.02), np.log(0.30), 2))
    slopes = np.geomspace(first, last, 60) if rng.integers(2) else np.linspace(first, last, 60)
    return _own_window(rng, slopes, float(np.mean(slopes)))


def _own_window(rng, slopes, mean: float):
    """A ramp over as many e-folds as its slopes need for a range of 1, and where it begins."""
    span = 1 / mean
    if not 3 < span < 13.5:
        return None
    # The last step is between 15,000 and 1 million: whole numbers for every checkpoint.
    low = rng.uniform(max(0, 9.6 - span), 13.8 - span)
    low = float(np.log1p(np.round(np.expm1(low))))
    knots = np.linspace(low, low + span, len(slopes))
    return _bare(rng, knots, slopes, low, low + span), low


def _bare(rng, knots, slopes, low: float, high: float) -> _Shape:
    """A curve without boundaries, that rises or falls."""
    grid, curve = shapes.of_slopes(knots, slopes, low, high)
    return _Shape(x=grid, curve=rng.choice([-1, 1]) * curve, places=())


def _monotone_loss(rng, x: np.ndarray) -> _Shape:
    """A power of the step that levels off at both ends."""
    grid = np.linspace(x[0], x[-1], shapes.FINE)
    offset = 10 ** rng.uniform(0, 3)
    curve = (np.expm1(grid) + offset) ** -rng.uniform(0.05, 0.6)
    return _Shape(x=grid, curve=curve / np.ptp(curve), places=())


def _flat(rng, x: np.ndarray) -> _Shape:
    """No curve: noise alone, whose scale is that of the noise of other kinds."""
    grid = np.linspace(x[0], x[-1], shapes.FINE)
    return _Shape(x=grid, curve=np.zeros(shapes.FINE), places=())


KINDS: dict[str, Callable] = {
    "pauses": _pauses,
    "ends on a plateau": _end_plateau,
    "sharp peaks": _sharp_peaks,
    "round peaks": _round_peaks,
    "collapse": _collapse,
    "straight ramp": _straight_ramp,
    "curved ramp": _curved_ramp,
    "monotone loss": _monotone_loss,
    "AR(1) noise": _pauses,
    "shared errors": _pauses,
    "uneven steps": _pauses,
    "noise alone": _flat,
}
