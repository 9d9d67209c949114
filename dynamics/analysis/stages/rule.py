"""What a rule is, and what it finds."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dynamics.analysis import smooth
from dynamics.analysis.stages.noise import Noise


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The rule's constants, fixed in advance for every curve.

    Slopes and rises are shares of the curve's range, slopes per e-fold of step + 1, lengths
    e-folds.

    Attributes:
        tolerance: a pause between two movements is surely slower.
        edge_tolerance: a pause that the window cuts off is surely slower.
        contrast: movements are faster than the pause between them by this factor at least.
        missing: by how much more the curve would have moved at its neighbours' pace, at least.
        slow: rise of a movement that counts at any pace.
        fast: rise of a movement that counts where it is surely faster than `brisk`.
        pause: length of a pause.
        fall: size of a sharp fall.
        confidence: with which all limits of slopes hold at once where a boundary is reported.
        level: of the intervals of places.
        start: steps before it are left out.
        fewest: checkpoints that the rule needs.
    """

    tolerance: float = 0.10
    edge_tolerance: float = 0.065
    contrast: float = 1.8
    missing: float = 0.015
    slow: float = 0.07
    fast: float = 0.02
    brisk: float = 0.05
    pause: float = 0.1
    fall: float = 0.08
    confidence: float = 0.5
    level: float = 0.95
    start: float = 0.0
    fewest: int = 8


@dataclass(frozen=True, kw_only=True)
class PublishedRule:
    """The rule of "Loss Landscape Degeneracy and Stagewise Development in Transformers", B.1.

    Boundaries are the zeros of the slope of a smoothed curve, and the minima of the slope's size
    that are below a tolerance. In the paper, length and tolerance were chosen by eye for each
    curve. Here the kernel is Matérn's 5/2, since the paper's RBF rings beside sharp bends.

    Attributes:
        length: e-folds over which the curve may bend.
        reach: the length is at least this times the gap between checkpoints.
        tolerance: of minima, share of the curve's range per e-fold.
        spacing: of the grid, e-folds.
        num_draws, seed: posterior draws for the intervals.
        level, start, fewest: as in `Rule`.
    """

    length: float = 0.5
    reach: float = 1.5
    tolerance: float = 0.065
    spacing: float = 0.02
    num_draws: int = 200
    seed: int = 0
    level: float = 0.95
    start: float = 0.0
    fewest: int = 8


RULE = Rule()
PUBLISHED_RULE = PublishedRule()


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """A stage boundary. All in steps, and between checkpoints in general.

    Attributes:
        step: where it is: the middle of a pause, a turning point or a fall; for an edge where the
            curve leaves a pause at the window's start, or enters one at its end.
        low, high: interval of that place, given that the boundary exists.
        begin, end: the pause or the fall.
        kind: "peak" or "valley" (a turning point, with or without a pause), "shoulder" (a pause
            between two movements of one sign), "fall" (a sharp one), "edge" (a pause that the
            window cuts off).
        confidence: that it exists: the largest of a few levels at which it is still found when
            the limits of all slopes hold at once with that confidence. A boundary needs two or
            three such limits to fail together to be false, so that far fewer are.
        repeats: in how many of the two halves of the checkpoints, even and odd, it is found;
            None where halves are too few to say.
    """

    step: float
    low: float
    high: float
    begin: float
    end: float
    kind: str
    confidence: float
    repeats: int | None


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A place where the values suggest a boundary that the checkpoints cannot make sure.

    Attributes:
        low, high: steps between which it would be.
        kind: what it would be.
        reason: why it is not reported, in words.
    """

    low: float
    high: float
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Stages:
    """A curve's boundaries, and what they were read from.

    Attributes:
        boundaries: in ascending order of steps.
        dropped: what was seen but is not sure.
        rule: by which they were found.
        tolerance: slope below which a pause is, in the curve's unit per e-fold.
        noise: of single checkpoints, as estimated.
        steps_used, values_used: [K] the finite values from `rule.start` on.
        left_out: steps at which the value is not finite.
    """

    boundaries: tuple[Boundary, ...]
    dropped: tuple[Dropped, ...]
    rule: Rule | PublishedRule
    tolerance: float
    noise: Noise = field(repr=False)
    steps_used: np.ndarray = field(repr=False)
    values_used: np.ndarray = field(repr=False)
    left_out: tuple[float, ...]

    @property
    def steps(self) -> np.ndarray:
        """float [P] of the boundaries."""
        return np.array([boundary.step for boundary in self.boundaries])

    @cached_property
    def fitted(self) -> smooth.Fit:
        """The curve smoothed for the eye; the boundaries do not rest on it."""
        x = np.log1p(self.steps_used)
        if isinstance(self.rule, PublishedRule):
            rule = self.rule
            return smooth.fit(x, self.values_used, self.noise.sd, rule.length, rule.reach)
        return smooth.likeliest(x, self.values_used, self.noise.sd)
