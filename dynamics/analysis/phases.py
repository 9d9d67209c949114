"""Phases of a divergence over training: the straight pieces of its curve over ln(step + 1).

The mean divergence of pairs of models is fitted by a continuous piecewise-linear curve with 0 to 3
bends. Errors are shared by steps, since all have the same seeds and documents: their covariance is
that of the delete-one jackknives. It weighs the points, decides how many bends there are, and makes
the intervals. Pieces have no names here; whoever asks for them names them, and neighbours of one
name join into a phase.

Axes: K steps, S seeds, G documents, R draws, M bends. Slopes are in nats per e-fold of step + 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64, Real

from dynamics.analysis import jackknife, segmented
from dynamics.errors import InputError

MOST_BENDS = 3


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is fixed in advance, for every curve.

    Attributes:
        roundness: standard deviation, as a share of the curve's range, that a smooth curve is
            granted about its straight pieces.
        penalty: a bend is believed if it lowers the squared misfit by more than `penalty` ln K.
        level: of the intervals.
        num_draws: curves drawn for the intervals.
        reach: e-folds to either side within which a draw's bend is looked for.
        seed: of the draws.
    """

    roundness: float = 0.01
    penalty: float = 3.0
    level: float = 0.95
    num_draws: int = 400
    reach: float = 1.5
    seed: int = 0

    @property
    def tails(self) -> tuple[float, float]:
        """The quantiles at which an interval ends."""
        return (1 - self.level) / 2, (1 + self.level) / 2


RULE = Rule()


class Estimate(NamedTuple):
    """A number with its interval; NaN limits where nothing shows the error."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Pieces:
    """The straight pieces of one curve, and those of curves drawn about it.

    Attributes:
        steps: [K] training steps.
        fit: of the curve itself, R = 1.
        drawn: of the draws, with as many bends.
        rule: that they were found by.
        rests_on: whose sampling the intervals take account of, in words.
    """

    steps: Float64[np.ndarray, " K"]
    fit: segmented.Fit = field(repr=False)
    drawn: segmented.Fit = field(repr=False)
    rule: Rule
    rests_on: str

    @property
    def bends(self) -> tuple[float, ...]:
        """[M] steps at which neighbouring pieces meet."""
        return tuple(np.expm1(self.fit.knots[0]).tolist())

    @property
    def slopes(self) -> Float64[np.ndarray, " M+1"]:
        """Of each piece."""
        return self.fit.slopes[0]

    @property
    def slope_limits(self) -> Float64[np.ndarray, "2 M+1"]:
        """The ends of each slope's interval."""
        return np.quantile(self.drawn.slopes, self.rule.tails, axis=0)

    @property
    def fitted(self) -> Float64[np.ndarray, " K"]:
        """The fitted curve at the steps, nats."""
        return self.fit.level[0]

    def bound(self, bend: int) -> Estimate:
        """The step of a bend, with its interval."""
        low, high = np.quantile(self.drawn.knots[:, bend], self.rule.tails)
        return Estimate(*np.expm1([self.fit.knots[0, bend], low, high]).tolist())

    def slope(self, first: int, last: int) -> Estimate:
        """Rise over run of pieces `first` to `last`, with its interval."""
        x = np.log1p(self.steps)
        low, high = np.quantile(_slope(x, self.drawn, first, last), self.rule.tails)
        return Estimate(float(_slope(x, self.fit, first, last)[0]), float(low), float(high))

    def at(self, steps: Real[npt.ArrayLike, "..."]) -> Float64[np.ndarray, "..."]:
        """The fitted curve at any steps within those measured, nats."""
        x = np.log1p(self.steps)
        corners = np.r_[x[0], self.fit.knots[0], x[-1]]
        rises = np.diff(corners) * self.slopes
        return np.interp(np.log1p(steps), corners, self.fitted[0] + np.r_[0.0, np.cumsum(rises)])


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training: neighbouring pieces of one name.

    Attributes:
        name: as it was given.
        slope: nats per e-fold of step + 1, over the whole stretch.
        begin, end: steps; None where the stretch may go on beyond the steps measured.
    """

    name: str
    slope: Estimate
    begin: Estimate | None
    end: Estimate | None


class Units(NamedTuple):
    """Numbers of R draws.

    Attributes:
        points: [R, K] normal ones of every point.
        by_source: [R, n] each, of every unit of a source, spread as Student's t.
    """

    points: Float64[np.ndarray, "R K"]
    by_source: list[Float64[np.ndarray, "R n"]]


def find_pieces(
    steps: Real[npt.ArrayLike, " K"],
    kl: Float[npt.ArrayLike, "K S S G"],
    weights: Float[npt.ArrayLike, " G"],
    rule: Rule = RULE,
) -> Pieces:
    """Pieces of theta(step) from kl [K, S, S, G] in nats with document weights [G], at steps [K].

    Intervals are for other seeds and other documents: quantiles of the bends of curves drawn about
    the fitted one with the jackknives' covariance, each source's draws spread as Student's t on its
    degrees of freedom. They end where a piece would hold fewer than two checkpoints. On 100 planted
    curves each (19 steps at powers of two; seeds that wander by 5 %, documents by 15 %): all of
    three bends were found in .96 at 5 seeds and 20 documents, all at 10 and 50, .82 at 3 and 20,
    .51 at 3 and 10, the one lost being the first; a bend too many in 0 to .03; 95 % intervals held
    .95-.99 of the bends.

    Raises:
        InputError: arrays of other shapes, steps that do not ascend, fewer than five steps, two
            seeds or three documents.

    Example:
        >>> steps = np.array([0, 1, 2, 4, 8, 16, 32])
        >>> level = np.abs(np.log1p(steps) - np.log1p(4)) + 0.1  # falls to step 4, then rises
        >>> pieces = find_pieces(steps, level[:, None, None, None] * np.ones((3, 3, 4)), np.ones(4))
        >>> [round(step, 1) for step in pieces.bends], pieces.slopes.round(2).tolist()
        ([4.0], [-1.0, 1.0])
    """
    steps, kl, weights = _checked(steps, kl, weights)
    seeds, documents = kl.shape[1], kl.shape[-1]
    sources = _influences(kl, weights)
    sizes = [len(source) for source in sources]
    units = unit_draws(rule, len(steps), sizes)
    return _pieces(
        steps, jackknife.theta(kl, weights), sources, rule, units, _evidence(seeds, documents)
    )


def find_pieces_of_mean(
    steps: Real[npt.ArrayLike, " K"],
    values: Float[npt.ArrayLike, "K S G"],
    weights: Float[npt.ArrayLike, " G"],
    rule: Rule = RULE,
    units: Units | None = None,
) -> Pieces:
    """Pieces of a number of single seeds: the mean of values [K, S, G], documents weighted [G].

    `units` are the draws of its points, seeds and documents; those of `unit_draws` by default.

    Raises:
        InputError: as `find_pieces`.

    Example:
        >>> steps = np.array([0, 1, 2, 4, 8, 16, 32])
        >>> level = -np.maximum(np.log1p(steps) - np.log1p(4), 0)  # falls from step 4 on
        >>> pieces = find_pieces_of_mean(steps, level[:, None, None] * np.ones((3, 4)), np.ones(4))
        >>> [round(step, 1) for step in pieces.bends], (pieces.slopes.round(2) + 0).tolist()
        ([4.0], [0.0, -1.0])
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 3:
        raise InputError(f"values {values.shape}", expected="[K, S, G]")
    both = np.broadcast_to(values[:, :, None], (*values.shape[:2], *values.shape[1:]))
    steps, _, weights = _checked(steps, both, weights)
    sources = jackknife.mean_influences(values, weights)
    mean = values.mean(1) @ weights / weights.sum()
    units = units or unit_draws(rule, len(steps), [len(source) for source in sources])
    return _pieces(steps, mean, sources, rule, units, _evidence(*values.shape[1:]))


def _evidence(seeds: int, documents: int) -> str:
    return f"{seeds} seeds and {documents} documents" if seeds > 2 else f"{documents} documents"


def _pieces(steps, theta, sources, rule: Rule, units: Units, rests_on: str) -> Pieces:
    """Pieces of a curve [K], and of its draws, from what the units of every source add to it."""
    x, noise = np.log1p(steps), rule.roundness * np.ptp(theta)
    if noise == 0:
        raise InputError("a divergence that never changes", expected="a curve")
    whitener = segmented.whiten(_working_covariance(sources, len(x)) + noise**2 * np.eye(len(x)))
    fits = [
        segmented.fit(x, theta[None], whitener, m)
        for m in range(MOST_BENDS + 1)
        if m == 0 or segmented.possible(x, m)
    ]
    cost = [fit.misfit[0] + rule.penalty * np.log(len(x)) * m for m, fit in enumerate(fits)]
    best = fits[int(np.argmin(cost))]
    drawn = _draws(x, best, sources, noise, whitener, rule, units)
    return Pieces(steps=steps, fit=best, drawn=drawn, rule=rule, rests_on=rests_on)


def join(pieces: Pieces, names: Sequence[str]) -> tuple[Phase, ...]:
    """The phases that pieces of these names [M+1] make, in order.

    Raises:
        InputError: another number of names than of pieces.

    Example:
        >>> steps = np.array([0, 1, 2, 4, 8, 16, 32])
        >>> level = np.abs(np.log1p(steps) - np.log1p(4)) + 0.1  # falls to step 4, then rises
        >>> pieces = find_pieces(steps, level[:, None, None, None] * np.ones((3, 3, 4)), np.ones(4))
        >>> [(phase.name, round(phase.slope.value, 1)) for phase in join(pieces, ["down", "up"])]
        [('down', -1.0), ('up', 1.0)]
    """
    count = len(pieces.slopes)
    if len(names) != count:
        raise InputError(f"{len(names)} names", expected=f"a name for each of {count} pieces")
    phases, first = [], 0
    for last in range(count):
        if last + 1 < count and names[last + 1] == names[last]:
            continue
        phases.append(
            Phase(
                name=names[last],
                slope=pieces.slope(first, last),
                begin=pieces.bound(first - 1) if first else None,
                end=pieces.bound(last) if last + 1 < count else None,
            )
        )
        first = last + 1
    return tuple(phases)


def _checked(steps, kl, weights):
    steps, kl, weights = (np.asarray(value, np.float64) for value in (steps, kl, weights))
    square = kl.ndim == 4 and kl.shape[1] == kl.shape[2]
    if not square or steps.shape != kl.shape[:1] or weights.shape != kl.shape[3:]:
        shapes = f"steps {steps.shape}, kl {kl.shape}, weights {weights.shape}"
        raise InputError(shapes, expected="steps [K], kl [K, S, S, G], weights [G]")
    if len(steps) < 5:
        raise InputError(
            f"{len(steps)} steps",
            expected="five or more, to see a bend",
            mend="Measure more checkpoints",
        )
    if (np.diff(steps) <= 0).any() or steps[0] < 0:
        raise InputError("steps that do not ascend from 0 or later", expected="ascending steps")
    if len(weights) < 3 or kl.shape[1] < 2:
        raise InputError(
            f"{kl.shape[1]} seeds, {len(weights)} documents",
            expected="2 seeds and 3 documents or more",
        )
    kl = np.where(np.eye(kl.shape[1], dtype=bool)[..., None], 0.0, kl)
    if not np.isfinite(kl).all():
        raise InputError(
            "divergences that are not finite", expected="finite values off the diagonal"
        )
    return steps, kl, weights


def _influences(kl, weights) -> list[np.ndarray]:
    """What the units of each source of error add to every step, [n, K] each.

    Two seeds have no jackknife, and documents are then the only source.
    """
    of_documents = jackknife.influence(jackknife.without_each_document(kl, weights)).T
    if kl.shape[1] < 3:
        return [of_documents]
    return [jackknife.influence(jackknife.without_each_seed(kl, weights)).T, of_documents]


def _working_covariance(sources, points: int) -> np.ndarray:
    """Sum of the sources' covariances, each drawn to its diagonal by K / (K + df).

    Few units span few directions: unshrunken, the fit would take every other direction for free of
    noise.
    """
    total = np.zeros((points, points))
    for source in sources:
        covariance, drawn_in = source.T @ source, points / (points + len(source) - 1)
        total += (1 - drawn_in) * covariance + drawn_in * np.diag(np.diag(covariance))
    return total


def _draws(
    x, best: segmented.Fit, sources, noise: float, whitener, rule: Rule, units: Units
) -> segmented.Fit:
    """Fits of curves drawn about the best one, with its number of bends."""
    own, by_unit = units
    error = noise * own
    for of_units, source in zip(by_unit, sources, strict=True):
        error += of_units @ source
    knots = best.knots[0]
    near = knots[:, None] + np.array([-rule.reach, rule.reach])
    return segmented.fit(x, best.level + error, whitener, len(knots), near if len(knots) else None)


def unit_draws(rule: Rule, points: int, sizes: Sequence[int]) -> Units:
    """Normal numbers of every point, and of every unit of each source spread as Student's t.

    Times a source's influences they are errors. Curves that rest on the same units have the same
    numbers, so that their draws go together as the curves do.

    Example:
        >>> of_points, of_units = unit_draws(RULE, points=7, sizes=[3, 10])
        >>> of_points.shape[1], [drawn.shape[1] for drawn in of_units]
        (7, [3, 10])
    """
    rng, draws = np.random.default_rng(rule.seed), rule.num_draws
    own, by_unit = rng.standard_normal((draws, points)), []
    for size in sizes:
        heavy = np.sqrt((size - 1) / rng.chisquare(size - 1, (draws, 1)))
        by_unit.append(heavy * rng.standard_normal((draws, size)))
    return Units(own, by_unit)


def _slope(x, fit: segmented.Fit, first: int, last: int) -> np.ndarray:
    """Rise over run of pieces first to last, [R]."""
    edge = np.ones((len(fit.knots), 1))
    edges = np.concatenate([x[0] * edge, fit.knots, x[-1] * edge], axis=1)
    runs = np.maximum(np.diff(edges, axis=1), 1e-9)[:, first : last + 1]
    return (fit.slopes[:, first : last + 1] * runs).sum(1) / runs.sum(1)
