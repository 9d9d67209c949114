"""Finding stage boundaries by a rule."""

from typing import NamedTuple

import numpy as np

from dynamics.analysis.stages import published
from dynamics.analysis.stages.candidates import Candidate, Limits, candidates
from dynamics.analysis.stages.checked import Values, checked
from dynamics.analysis.stages.falls import Fall, falls
from dynamics.analysis.stages.noise import Noise, estimate
from dynamics.analysis.stages.places import place
from dynamics.analysis.stages.rule import (
    RULE,
    Boundary,
    Dropped,
    PublishedRule,
    Rule,
    Stages,
)
from dynamics.analysis.stages.slopes import Slopes, all_slopes, kappa

SURER = (0.999, 0.95)  # levels of confidence above the rule's, highest first
NARROWER = 1.0  # standard errors: limits so much narrower tell what is suggested and not sure
BESIDE_FALL = 0.15  # e-folds: what is nearer to a sharp fall is part of it


class _Search(NamedTuple):
    """A curve of noise, range and slopes, ready to be searched."""

    x: np.ndarray
    y: np.ndarray
    noise: Noise
    scale: float
    slopes: Slopes
    falls: list[Fall]

    def candidates(self, rule: Rule, confidence: float, narrower: float = 0.0) -> list[Candidate]:
        """Boundaries that are there if all limits hold at once with a confidence.

        `narrower` by so many standard errors the limits hold less often.
        """
        inside = np.triu(np.ones(self.slopes.mean.shape, bool), 1)
        margin = self.slopes.margin(kappa(confidence, len(self.x)) - narrower) / self.scale
        limits = Limits(
            np.where(inside, self.slopes.mean / self.scale, 0),
            np.where(inside, margin, np.inf),
            self.slopes.length,
            float(np.median(self.noise.sd)) / self.scale,
        )
        return candidates(self.x, limits, rule, [fall.span for fall in self.falls])


def find_stages(steps, curve, sem=None, rule: Rule | PublishedRule = RULE) -> Stages:
    """Stage boundaries of `curve` [K] at `steps` [K], ascending from 0 or later.

    `sem` [K] is the standard error of each point, or None. It is where the search for the noise
    begins; what counts is how far neighbours scatter. Scaling or shifting the curve changes
    nothing. Checkpoints whose value is not finite are left out, and listed in the answer.

    Raises:
        InputError: arrays of other shapes, steps that do not ascend or are not finite, a negative
            error, fewer than `rule.fewest` finite values from `rule.start` on.

    Example:
        >>> steps = np.geomspace(20, 100_000, 60).round()
        >>> x = np.log1p(steps)
        >>> stages = find_stages(steps, np.clip(x, 4, 7) + np.clip(x, 8.5, 12))
        >>> [boundary.kind for boundary in stages.boundaries]
        ['edge', 'shoulder']
    """
    values = checked(steps, curve, sem, rule)
    if isinstance(rule, PublishedRule):
        return published.find(values, rule)
    if np.ptp(values.y) == 0:
        return _stages(values, rule, Noise(np.zeros(len(values.x)), 0.0, 0.0), 0.0, (), ())
    search = _search(values.x, values.y, values.sem, rule)
    halves = [_half(values, rule, offset) for offset in (0, 1)]
    certain = search.candidates(rule, rule.confidence)
    surer = [(level, search.candidates(rule, level)) for level in SURER if level > rule.confidence]
    placed = [_boundary(search, candidate, surer, halves, rule) for candidate in certain]
    boundaries = [boundary for boundary in placed if boundary is not None]
    boundaries += [_of_fall(search, fall, halves) for fall in search.falls]
    boundaries.sort(key=lambda boundary: boundary.step)
    dropped = _dropped(search, certain, search.candidates(rule, rule.confidence, NARROWER), rule)
    return _stages(values, rule, search.noise, search.scale, tuple(boundaries), dropped)


def _stages(values: Values, rule: Rule, noise: Noise, scale: float, boundaries, dropped) -> Stages:
    return Stages(
        boundaries=boundaries,
        dropped=dropped,
        rule=rule,
        tolerance=rule.tolerance * scale,
        noise=noise,
        steps_used=values.steps,
        values_used=values.y,
        left_out=values.left_out,
    )


def _search(x, y, sem, rule: Rule) -> _Search:
    noise = estimate(x, y, sem)
    typical = float(np.median(noise.sd))
    # The extremes of a noisy curve are a little beyond those of the curve without noise.
    extreme = typical * np.sqrt(2 * np.log1p(len(x) / 10))
    scale = float(max(np.ptp(y) - 2 * extreme, np.ptp(y) / 4))
    # Where little is known of the noise it may be larger than it seems.
    wary = noise._replace(sd=noise.sd * np.exp(noise.log_spread / 2))
    sharp = falls(x, y, wary, scale, rule.fall, rule.level)
    return _Search(x, y, noise, scale, all_slopes(x, y, wary), sharp)


def _half(values: Values, rule: Rule, offset: int) -> tuple[_Search, list[Candidate]] | None:
    """Every second checkpoint and its boundaries; None where that is too few."""
    part = slice(offset, None, 2)
    x, y = values.x[part], values.y[part]
    if len(x) < rule.fewest or np.ptp(y) == 0:
        return None
    search = _search(x, y, None if values.sem is None else values.sem[part], rule)
    return search, search.candidates(rule, rule.confidence)


def _boundary(search: _Search, candidate: Candidate, surer, halves, rule: Rule) -> Boundary | None:
    """The boundary at its place; None where it is part of a sharp fall."""
    middle, low, high, begin, end = place(
        search.x, search.y, search.noise, search.scale, candidate, rule.level
    )
    if candidate.kind in ("edge", "shoulder") and any(
        search.x[fall.span.first] - BESIDE_FALL < middle < search.x[fall.span.last] + BESIDE_FALL
        for fall in search.falls
    ):
        return None
    again = [
        half is not None
        and any(_same(candidate, other) and _meet(half[0].x, other, low, high) for other in half[1])
        for half in halves
    ]
    return Boundary(
        step=float(np.expm1(middle)),
        low=float(np.expm1(low)),
        high=float(np.expm1(high)),
        begin=float(np.expm1(begin)),
        end=float(np.expm1(end)),
        kind=candidate.kind,
        confidence=_confidence(search.x, candidate, surer, rule),
        repeats=None if None in halves else sum(again),
    )


def _confidence(x, candidate: Candidate, surer, rule: Rule) -> float:
    """The highest level at which a boundary of this kind is found in the same region."""
    first, last = x[candidate.region.first], x[candidate.region.last]
    for level, others in surer:
        if any(_same(candidate, other) and _meet(x, other, first, last) for other in others):
            return level
    return rule.confidence


def _same(candidate: Candidate, other: Candidate) -> bool:
    return (candidate.kind, candidate.leaves) == (other.kind, other.leaves)


def _meet(x, candidate: Candidate, low: float, high: float) -> bool:
    """Whether a candidate meets a stretch of x: its region, or its window for an edge."""
    first, last = candidate.window if candidate.kind == "edge" else candidate.region
    end = len(x) - 1
    return bool(x[max(first - 1, 0)] <= high and x[min(last + 1, end)] >= low)


def _of_fall(search: _Search, fall: Fall, halves) -> Boundary:
    again = [
        half is not None
        and any(other.low <= fall.high and other.high >= fall.low for other in half[0].falls)
        for half in halves
    ]
    begin, end = search.x[list(fall.span)]
    return Boundary(
        step=float(np.expm1(fall.middle)),
        low=float(np.expm1(fall.low)),
        high=float(np.expm1(fall.high)),
        begin=float(np.expm1(begin)),
        end=float(np.expm1(end)),
        kind="fall",
        confidence=SURER[0],
        repeats=None if None in halves else sum(again),
    )


def _dropped(search: _Search, certain, suggested, rule: Rule) -> tuple[Dropped, ...]:
    """What would be a boundary if limits were narrower."""
    x = search.x
    spans = [*(c.region for c in certain), *(fall.span for fall in search.falls)]
    taken = [(float(x[first]), float(x[last])) for first, last in spans]
    return tuple(
        Dropped(
            low=float(np.expm1(x[candidate.region.first])),
            high=float(np.expm1(x[candidate.region.last])),
            kind=candidate.kind,
            reason="too few checkpoints, or too much noise, to say",
        )
        for candidate in suggested
        if not any(_meet(x, candidate, low, high) for low, high in taken)
    )
