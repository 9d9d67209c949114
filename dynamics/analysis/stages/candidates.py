"""Which boundaries a curve surely has, before it is asked where.

Axes: K checkpoints. Slopes and rises are shares of the curve's range, slopes per e-fold.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from dynamics.analysis.stages import patterns
from dynamics.analysis.stages.patterns import DOWN, PAUSE, UP, Sizes, Span, Token
from dynamics.analysis.stages.rule import Rule

LEVELS = 0.85 ** np.arange(14)  # at which pauses are told from movements, shares of the tolerance
LEAST_LEVEL = 0.005  # at which turning points are looked for
NEIGHBOURS = 2  # checkpoints beside the steepest gap of a fall that may be part of it
BESIDE_FALL = 0.3  # e-folds: a pause next to a sharp fall is at least so long


@dataclass(frozen=True)
class Limits:
    """Slopes [K, K] with half the length of their limits, and lengths in e-folds.

    `scatter` is the noise of a typical checkpoint, as a share of the range.
    """

    mean: np.ndarray
    margin: np.ndarray
    length: np.ndarray
    scatter: float


@dataclass(frozen=True)
class Candidate:
    """A boundary between two movements, or between a movement and an end of the curve.

    Attributes:
        kind: peak, valley, shoulder or edge.
        ups: signs of the movement before and after; that of the one movement twice for an edge.
        region: checkpoints between which the boundary surely is.
        window: checkpoints of the boundary and of the nearer halves of the movements beside it.
        leaves: for an edge, whether the movement follows the pause.
    """

    kind: str
    ups: tuple[int, int]
    region: Span
    window: Span
    leaves: bool = False


def candidates(x: np.ndarray, limits: Limits, rule: Rule, falls: list[Span]) -> list[Candidate]:
    """All boundaries but falls, in ascending order, of a curve at x [K] with these falls."""
    sizes = Sizes(rule.slow, rule.fast, rule.brisk, rule.pause, rule.contrast, limits.scatter)
    intervals = patterns.levels(limits.mean, limits.margin, limits.length, sizes)
    up, down = patterns.movements(intervals, LEAST_LEVEL)
    moving = up | down
    turns = _turns(patterns.tokens({UP: up, DOWN: down}))
    shoulders: list[Candidate] = []
    edges: dict[bool, Candidate] = {}
    rests: list[Span] = []
    for level in rule.tolerance * LEVELS:
        up, down = patterns.movements(intervals, level)
        slow = patterns.pauses(intervals, level)
        order = patterns.tokens({UP: up, DOWN: down, PAUSE: slow})
        for shoulder in _shoulders(order):
            if not any(_overlap(shoulder.region, other.region) for other in [*shoulders, *turns]):
                shoulders.append(shoulder)
        rests += _rests(order)
        for edge in _edges(order, slow, moving) if level <= rule.edge_tolerance else []:
            edges.setdefault(edge.leaves, edge)
    turns = [_widened(turn, rests) for turn in turns if _stands(turn, rests, falls, x)]
    listed = _windowed([*turns, *shoulders, *edges.values()], x)
    return _windowed([c for c in listed if c.kind != "shoulder" or _marked(c, limits, rule)], x)


def _turns(order: list[Token]) -> list[Candidate]:
    """Between movements of different signs, whatever their slope."""
    return [
        Candidate(
            "peak" if before.kind == UP else "valley",
            (_sign(before), _sign(after)),
            Span(before.late.last, after.early.first),
            Span(before.late.first, after.early.last),
        )
        for before, after in itertools.pairwise(order)
    ]


def _shoulders(order: list[Token]) -> list[Candidate]:
    """Pauses between two movements of one sign."""
    return [
        Candidate(
            "shoulder",
            (_sign(before), _sign(after)),
            _whole(pause),
            Span(before.late.first, after.early.last),
        )
        for before, pause, after in zip(order[:-2], order[1:-1], order[2:], strict=True)
        if pause.kind == PAUSE and before.kind == after.kind
    ]


def _rests(order: list[Token]) -> list[Span]:
    """Pauses between two movements of different signs."""
    return [
        _whole(pause)
        for before, pause, after in zip(order[:-2], order[1:-1], order[2:], strict=True)
        if pause.kind == PAUSE and before.kind != after.kind
    ]


def _edges(order: list[Token], slow: np.ndarray, moving: np.ndarray) -> list[Candidate]:
    """Pauses that an end of the curve cuts off, with no movement in them at any level."""
    end = len(slow) - 1
    moves = [token for token in order if token.kind != PAUSE]
    edges = []
    if not moves:
        return edges
    first, last = moves[0], moves[-1]
    until = np.flatnonzero(slow[0, : first.early.first + 1])
    if len(until) and not moving[: first.early.first + 1, : first.early.first + 1].any():
        region = Span(int(until[-1]), first.early.first)
        window = Span(0, first.early.last)
        edges.append(Candidate("edge", (_sign(first), _sign(first)), region, window, leaves=True))
    since = last.late.last + np.flatnonzero(slow[last.late.last :, end])
    if len(since) and not moving[last.late.last :, last.late.last :].any():
        region = Span(last.late.last, int(since[0]))
        window = Span(last.late.first, end)
        edges.append(Candidate("edge", (_sign(last), _sign(last)), region, window))
    return edges


def _stands(turn: Candidate, rests: list[Span], falls: list[Span], x) -> bool:
    """Whether a turn is more than the corner of a sharp fall: apart from it, or with a pause."""
    if not any(_overlap(turn.region, _with_neighbours(fall)) for fall in falls):
        return True
    return any(
        _overlap(turn.region, rest) and _length_without(falls, rest, x) > BESIDE_FALL
        for rest in rests
    )


def _with_neighbours(fall: Span) -> Span:
    """A fall and the checkpoints that it may have begun or ended at."""
    return Span(fall.first - NEIGHBOURS, fall.last + NEIGHBOURS)


def _length_without(falls: list[Span], rest: Span, x: np.ndarray) -> float:
    """The length of a pause without the checkpoints of falls and their neighbours, e-folds."""
    first, last = rest
    for fall in falls:
        whole = _with_neighbours(fall)
        if _overlap(rest, whole):
            if whole.first > first:
                last = min(last, whole.first)
            else:
                first = max(first, whole.last)
    end = len(x) - 1
    return float(x[min(last, end)] - x[min(first, end)])


def _widened(turn: Candidate, rests: list[Span]) -> Candidate:
    """The region of a turn with the pause of the highest level that it lies in."""
    for rest in rests:
        if _overlap(turn.region, rest):
            first, last = min(turn.region.first, rest.first), max(turn.region.last, rest.last)
            return replace(turn, region=Span(first, last))
    return turn


def _windowed(listed: list[Candidate], x: np.ndarray) -> list[Candidate]:
    """The same in order, with windows that end halfway to the neighbouring boundaries."""
    listed = sorted(listed, key=lambda candidate: candidate.region)
    end, windowed = len(x) - 1, []
    for k, candidate in enumerate(listed):
        region = candidate.region
        before = listed[k - 1].region.last if k else 0
        after = listed[k + 1].region.first if k + 1 < len(listed) else end
        first = max(min(_middle(x, before, region.first), region.first) - 1, 0)
        last = min(max(_middle(x, region.last, after), region.last) + 1, end)
        if candidate.kind == "edge":
            first, last = (0, last) if candidate.leaves else (first, end)
        windowed.append(replace(candidate, window=Span(first, last)))
    return windowed


def _marked(shoulder: Candidate, limits: Limits, rule: Rule) -> bool:
    """Whether the curve is so much slower in a shoulder than in the ramps beside it."""
    region, window = shoulder.region, shoulder.window
    sides = Span(window.first, region.first), Span(region.last, window.last)
    pace, own = min(abs(limits.mean[side]) for side in sides), abs(limits.mean[region])
    missing = (pace - own) * limits.length[region]
    return bool(pace >= rule.contrast * own and missing >= rule.missing)


def _whole(pause: Token) -> Span:
    return Span(min(pause.early.first, pause.late.first), max(pause.early.last, pause.late.last))


def _sign(token: Token) -> int:
    return 1 if token.kind == UP else -1


def _middle(x: np.ndarray, first: int, last: int) -> int:
    """The checkpoint nearest to the middle between two of them."""
    return int(np.argmin(np.abs(x - (x[first] + x[last]) / 2)))


def _overlap(a: Span, b: Span) -> bool:
    return a.first <= b.last and b.first <= a.last
