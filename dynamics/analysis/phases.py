"""The phases of the seed-pair divergence over training: uniform, sharp convergence, sharp
divergence, reconvergence.

"Convergence and Divergence of Language Models under Different Random Seeds", section 4, reads four
phases off a curve by eye. Here they are the pieces of a continuous piecewise-linear curve of KL
over ln(step + 1), with 0 to 3 bends.

Errors are shared by steps, since all have the same seeds and documents: their covariance is that of
the delete-one jackknives. It weighs the points, decides how many bends there are, and makes the
intervals.

Axes: K steps, S seeds, G documents, R draws, M bends. Slopes are in nats per e-fold of step + 1.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from dynamics.analysis import jackknife, segmented
from dynamics.analysis.phase_names import absent, names_of
from dynamics.errors import InputError

MOST_BENDS = 3


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is fixed in advance, for every curve.

    `roundness` is the standard deviation, as a share of the curve's range, that a smooth curve is
    granted about its straight pieces. A bend is believed if it lowers the squared misfit by more
    than `penalty` ln K. A first piece whose slope is less than `gentle` of the range per e-fold is
    flat, and a phase of its own.
    """

    roundness: float = 0.01
    penalty: float = 3.0
    gentle: float = 0.04
    level: float = 0.95
    num_draws: int = 400
    reach: float = 1.5  # e-folds to either side within which a draw's bend is looked for
    seed: int = 0


RULE = Rule()


class Estimate(NamedTuple):
    """A number with its interval; NaN limits where nothing shows the error."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training. `begin` or `end` is None where that lies beyond the steps measured
    (censored)."""

    name: str  # as `phase_names.names_of` has it
    slope: Estimate  # nats per e-fold, over the whole stretch
    begin: Estimate | None  # steps
    end: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Phases:
    """A model's phases in order, those of the four that are not there with the reason, and the
    fitted curve."""

    phases: tuple[Phase, ...]
    absent: dict[str, str]
    bends: tuple[float, ...]  # steps of every bend, boundaries of phases or not
    steps: np.ndarray = field(repr=False)  # [K]
    fitted: np.ndarray = field(repr=False)  # [K], nats
    line: np.ndarray = field(
        repr=False
    )  # [M+2, 2], corners of the fitted curve: ln(step + 1), nats
    rests_on: str

    def at(self, steps: np.ndarray) -> np.ndarray:
        """The fitted curve, nats."""
        return np.interp(np.log1p(steps), *self.line.T)


def find_phases(
    steps: np.ndarray, kl: np.ndarray, weights: np.ndarray, rule: Rule = RULE
) -> Phases:
    """Phases of theta(step) from kl [K, S, S, G] in nats with document weights [G], at ascending
    steps [K].

    Intervals are for other seeds and other documents: quantiles of the bends of curves drawn about
    the fitted one with the jackknives' covariance, each source's draws spread as Student's t on its
    degrees of freedom. They end where a piece would hold fewer than two checkpoints. On 100 planted
    curves each (19 steps at powers of two; seeds that wander by 5 %, documents by 15 %): all of
    three bends were found in .96 at 5 seeds and 20 documents, all at 10 and 50, .82 at 3 and 20,
    .51 at 3 and 10, the one lost being the end of the uniform phase; a bend too many in 0 to .03;
    95 % intervals held .95-.99 of the bends. Raises InputError on arrays of other shapes, fewer
    than five steps, two seeds or three documents.
    """
    steps, kl, weights = _checked(steps, kl, weights)
    x, theta, sources = np.log1p(steps), jackknife.theta(kl, weights), _influences(kl, weights)
    noise = rule.roundness * np.ptp(theta)
    if noise == 0:
        raise InputError("a divergence that never changes", expected="a curve")
    whitener = segmented.whiten(_working_covariance(sources, len(x)) + noise**2 * np.eye(len(x)))
    fits = [
        segmented.fit(x, theta[None], whitener, m)
        for m in range(MOST_BENDS + 1)
        if m == 0 or segmented.possible(x, m)
    ]
    cost = [fit.misfit[0] + rule.penalty * np.log(len(x)) * m for m, fit in enumerate(fits)]
    chosen = fits[int(np.argmin(cost))]
    drawn = _draws(x, chosen, sources, noise, whitener, rule)
    unsure = np.quantile(drawn.slopes, [(1 - rule.level) / 2, (1 + rule.level) / 2], axis=0)
    names = names_of(
        chosen.slopes[0], unsure, rule.gentle * float(np.ptp(chosen.level[0])), bool(steps[0] <= 1)
    )
    return Phases(
        phases=tuple(_phases(x, names, chosen, drawn, rule)),
        absent=absent(names, steps),
        bends=tuple(np.expm1(chosen.knots[0]).tolist()),
        steps=steps,
        fitted=chosen.level[0],
        line=_corners(x, chosen),
        rests_on=f"{kl.shape[1]} seeds and {kl.shape[-1]} documents"
        if kl.shape[1] > 2
        else f"{kl.shape[-1]} documents",
    )


def _checked(steps, kl, weights):
    steps, kl, weights = (np.asarray(value, np.float64) for value in (steps, kl, weights))
    if (
        kl.ndim != 4
        or kl.shape[1] != kl.shape[2]
        or steps.shape != kl.shape[:1]
        or weights.shape != kl.shape[3:]
    ):
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
    """Of each source of error, what its units add to every step's, [n, K]. Two seeds have no
    jackknife."""
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
    for each in sources:
        covariance, drawn_in = each.T @ each, points / (points + len(each) - 1)
        total += (1 - drawn_in) * covariance + drawn_in * np.diag(np.diag(covariance))
    return total


def _draws(x, chosen: segmented.Fit, sources, noise: float, whitener, rule: Rule) -> segmented.Fit:
    """Fits of curves drawn about the chosen one, with its number of bends."""
    rng, shape = np.random.default_rng(rule.seed), (rule.num_draws, len(x))
    error = noise * rng.standard_normal(shape)
    for each in sources:
        df = len(each) - 1
        heavy = np.sqrt(df / rng.chisquare(df, (rule.num_draws, 1)))
        error += heavy * (rng.standard_normal((rule.num_draws, len(each))) @ each)
    knots = chosen.knots[0]
    near = knots[:, None] + np.array([-rule.reach, rule.reach])
    return segmented.fit(
        x, chosen.level + error, whitener, len(knots), near if len(knots) else None
    )


def _corners(x, fit: segmented.Fit) -> np.ndarray:
    """[M+2, 2]; the first corner is the first point, where the fitted curve has its level."""
    places = np.r_[x[0], fit.knots[0], x[-1]]
    rises = np.diff(places) * fit.slopes[0]
    return np.stack([places, fit.level[0, 0] + np.r_[0.0, np.cumsum(rises)]], axis=1)


def _phases(x, names, chosen: segmented.Fit, drawn: segmented.Fit, rule: Rule) -> list[Phase]:
    """Neighbouring pieces of one name are one phase."""
    limits = [(1 - rule.level) / 2, (1 + rule.level) / 2]

    def step(bend: int | None) -> Estimate | None:
        if bend is None:
            return None
        low, high = np.quantile(drawn.knots[:, bend], limits)
        return Estimate(*(float(np.expm1(value)) for value in (chosen.knots[0, bend], low, high)))

    found, begin = [], 0
    for at in range(len(names)):
        if at + 1 < len(names) and names[at + 1] == names[at]:
            continue
        slope = _slope(x, chosen, begin, at)[0]
        low, high = np.quantile(_slope(x, drawn, begin, at), limits)
        ends = {
            "begin": step(begin - 1 if begin else None),
            "end": step(at if at + 1 < len(names) else None),
        }
        found.append(
            Phase(name=names[at], slope=Estimate(float(slope), float(low), float(high)), **ends)
        )
        begin = at + 1
    return found


def _slope(x, fit: segmented.Fit, first: int, last: int) -> np.ndarray:
    """Rise over run of pieces first to last, [R]."""
    edge = np.ones((len(fit.knots), 1))
    edges = np.concatenate([x[0] * edge, fit.knots, x[-1] * edge], axis=1)
    runs = np.maximum(np.diff(edges, axis=1), 1e-9)[:, first : last + 1]
    return (fit.slopes[:, first : last + 1] * runs).sum(1) / runs.sum(1)
