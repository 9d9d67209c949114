"""Where a curve over training pauses: stage boundaries by one rule, fixed in advance.

docs/stages.md explains the rule.

Axes: K checkpoints, M grid points, R posterior draws, P plateaus. x = ln(step + 1), in e-folds.

After appendix B.1 of "Loss Landscape Degeneracy and Stagewise Development in Transformers": smooth
with a Gaussian process, differentiate in log time, call small slopes plateaus. The paper takes
zeros of the slope and its local minima below a tolerance; here a plateau is the whole stretch below
the tolerance and the boundary its midpoint, so that a shoulder and a turning point are one thing,
and several minima within one pause are not several boundaries. The tolerance is a share of the
curve's range, so that no unit decides.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64, Real

from dynamics.analysis import smooth
from dynamics.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The rule's constants.

    The defaults were set on the curve of one published run, and are not to be tuned again.
    """

    length: float = 0.5  # e-folds over which the curve may bend
    reach: float = 1.5  # the length is at least this times the gap between checkpoints
    # A plateau's slope at most, as a share of the curve's range per e-fold.
    tolerance: float = 0.065
    # Share of that range by which the curve must move between two plateaus, or they are merged.
    rise: float = 0.02
    apart: float = 3.0  # standard deviations by which it must move, too
    least_share: float = 0.5  # of posterior draws that have a boundary, below which it is not one
    start: float = 300.0  # steps set apart at the left
    edge: float = 0.1  # e-folds set apart at the right
    level: float = 0.95  # of the intervals
    fewest: int = 8  # checkpoints from `start` on
    spacing: float = 0.02  # of the grid, e-folds: boundaries are known to half of it
    num_draws: int = 200
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """The midpoint of a plateau. All in steps, and between checkpoints as a rule."""

    step: float
    low: float  # interval of the midpoint over posterior draws
    high: float
    begin: float  # the plateau
    end: float
    # "peak" or "valley": the slope changes sign across the plateau; "shoulder": it does not.
    kind: str
    share: float  # of posterior draws that have a boundary within this plateau


@dataclass(frozen=True, kw_only=True)
class Stages:
    """A curve's boundaries, and the smooth curve and slope that they were read from."""

    boundaries: tuple[Boundary, ...]  # ascending
    rule: Rule
    tolerance: float  # the slope below which a plateau is, in the curve's unit per e-fold
    fitted: smooth.Fit = field(repr=False)

    @property
    def steps(self) -> Float64[np.ndarray, " P"]:
        """Of the boundaries."""
        return np.array([boundary.step for boundary in self.boundaries])


RULE = Rule()


def find_stages(
    steps: Real[npt.ArrayLike, " K"],
    llc: Float[npt.ArrayLike, " K"],
    sem: Float[npt.ArrayLike, " K"] | None = None,
    rule: Rule = RULE,
) -> Stages:
    """Stage boundaries of a curve over training, such as that of the learning coefficient.

    Scaling or shifting the curve changes nothing, nor does the spacing of checkpoints beyond what
    it adds to the knowledge of the curve.

    Args:
        steps: [K], ascending from 0 or later.
        llc: [K], the curve at these steps, in any unit.
        sem: [K], the standard error of each point; without it one noise for all points is
            estimated.
        rule: the constants, fixed in advance.

    Raises:
        InputError: arrays of other shapes, steps that do not ascend, numbers that are not finite,
            fewer than `rule.fewest` checkpoints from step `rule.start` on.

    Example:
        >>> steps = np.unique(np.geomspace(1, 20000, 60).round())
        >>> x = np.log1p(steps)
        >>> curve = np.tanh(2 * (x - np.log(500))) + np.tanh(2 * (x - np.log(20000)))
        >>> stages = find_stages(steps, curve, np.full(len(steps), 0.01))
        >>> [boundary.kind for boundary in stages.boundaries]  # it pauses between its two rises
        ['shoulder']
        >>> boundary = stages.boundaries[0]
        >>> boundary.low < boundary.step < boundary.high
        True
    """
    steps, llc, sem = _checked(steps, llc, sem, rule)
    fitted = smooth.fit(np.log1p(steps), llc, sem, rule.length, rule.reach)
    grid = _grid(fitted.x, rule)
    mean, covariance = smooth.slope(fitted, grid)
    curve = smooth.level(fitted, grid)[0]
    tolerance = rule.tolerance * float(np.ptp(curve))
    drawn = smooth.draws(mean, covariance, rule.num_draws, rule.seed)
    unsure = rule.apart * _level(drawn - mean[None], grid)
    least = rule.rise / rule.tolerance * tolerance

    def least_move(a, b):
        return max(least, (unsure[:, b] - unsure[:, a]).std())

    moves = np.ptp(curve) > least_move(np.argmin(curve), np.argmax(curve))
    plateaus = _plateaus(mean, grid, tolerance, least_move) if moves else []
    # Nothing is unsure within a draw.
    drawn_plateaus = [_plateaus(slope, grid, tolerance, lambda a, b: least) for slope in drawn]
    candidates = [
        _boundary(plateau, drawn_plateaus, mean, grid, rule.level) for plateau in plateaus
    ]
    boundaries = tuple(boundary for boundary in candidates if boundary.share >= rule.least_share)
    return Stages(boundaries=boundaries, rule=rule, tolerance=tolerance, fitted=fitted)


def _checked(steps, llc, sem, rule: Rule):
    """float64 arrays [K], or InputError."""
    arrays = {"steps": steps, "llc": llc} | ({} if sem is None else {"sem": sem})
    arrays = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    steps, sizes = arrays["steps"], {name: value.shape for name, value in arrays.items()}
    if steps.ndim != 1 or len(set(sizes.values())) > 1:
        raise InputError(
            f"arrays of shapes {sizes}", expected="one number per checkpoint, [K], in each"
        )
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            at = steps[~np.isfinite(value)]
            raise InputError(
                f"{name} not finite at steps {at[:5].tolist()}",
                expected="finite numbers",
                mend=_LEAVE_OUT,
            )
    if (steps < 0).any() or (np.diff(steps) <= 0).any():
        raise InputError(
            "steps that are negative, repeat or fall back", expected="ascending steps from 0 on"
        )
    if sem is not None and (arrays["sem"] < 0).any():
        raise InputError("a negative standard error", expected="sem >= 0")
    inside = int((steps >= rule.start).sum())
    if inside < rule.fewest:
        raise InputError(
            f"too few checkpoints: {len(steps)}, of which {inside} from step {rule.start:g} on",
            expected=f"at least {rule.fewest} there",
            mend="Measure more checkpoints, or set Rule(start=...) lower for a short training run.",
        )
    if np.log1p(steps[-1]) - rule.edge <= np.log1p(max(rule.start, steps[0])):
        raise InputError(
            f"steps {steps[0]:g} to {steps[-1]:g}", expected="a stretch between start and edge"
        )
    return arrays["steps"], arrays["llc"], arrays.get("sem")


_LEAVE_OUT = "Leave such checkpoints out: the rule takes any spacing."


def _grid(x: np.ndarray, rule: Rule) -> np.ndarray:
    """[M] places between the two edges that are set apart."""
    low, high = max(np.log1p(rule.start), x[0]), x[-1] - rule.edge
    return np.linspace(low, high, max(3, int(np.ceil((high - low) / rule.spacing)) + 1))


def _level(slope: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The integral [...,M] of slopes [...,M] from the first grid point on."""
    middle = (slope[..., 1:] + slope[..., :-1]) / 2 * (grid[1] - grid[0])
    return np.concatenate([np.zeros_like(slope[..., :1]), np.cumsum(middle, axis=-1)], axis=-1)


def _plateaus(
    slope, grid, tolerance: float, least: Callable[[int, int], float]
) -> list[tuple[int, int]]:
    """First and last grid point of every plateau that begins and ends within the grid.

    Two between whose near ends a and b the curve moves by less than least(a, b) are one.
    """
    within = np.abs(slope) < tolerance
    within[:-1] |= slope[:-1] * slope[1:] < 0  # a turn so sharp that no grid point falls into it
    change = np.diff(np.r_[0, within.astype(np.int8), 0])
    level, merged = _level(slope, grid), []
    for begin, after in zip(
        np.flatnonzero(change == 1).tolist(), np.flatnonzero(change == -1).tolist(), strict=True
    ):
        last = merged[-1][1] if merged else None
        if last is not None and abs(level[begin] - level[last]) < least(last, begin):
            merged[-1] = (merged[-1][0], after - 1)
        else:
            merged.append((begin, after - 1))
    return [(begin, end) for begin, end in merged if begin > 0 and end < len(grid) - 1]


def _boundary(plateau: tuple[int, int], drawn_plateaus, slope, grid, level: float) -> Boundary:
    begin, end = plateau
    middle = (grid[begin] + grid[end]) / 2
    nearest = [_nearest(plateau, drawn, grid) for drawn in drawn_plateaus]
    midpoints = [midpoint for midpoint in nearest if midpoint is not None]
    low, high = (
        np.quantile(midpoints, [(1 - level) / 2, (1 + level) / 2])
        if midpoints
        else (grid[begin], grid[end])
    )
    before, after = slope[begin - 1], slope[end + 1]
    kind = "shoulder" if before * after > 0 else "peak" if before > 0 else "valley"
    return Boundary(
        step=float(np.expm1(middle)),
        low=float(np.expm1(low)),
        high=float(np.expm1(high)),
        begin=float(np.expm1(grid[begin])),
        end=float(np.expm1(grid[end])),
        kind=kind,
        share=len(midpoints) / len(drawn_plateaus),
    )


def _nearest(plateau: tuple[int, int], drawn, grid) -> float | None:
    """The midpoint of the draw's plateau that overlaps with `plateau`; None without one.

    Of several, the nearest.
    """
    middle = (grid[plateau[0]] + grid[plateau[1]]) / 2
    middles = [(grid[a] + grid[b]) / 2 for a, b in drawn if a <= plateau[1] and b >= plateau[0]]
    return min(middles, key=lambda place: abs(place - middle)) if middles else None
