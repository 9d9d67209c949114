"""Variance components of runs on a crossed grid, from the divergences of their pairs.

A grid crosses two causes: run (i, j) has the i-th level of the first, its row, and the j-th of the
second, its column. Of initialisations crossed with data orders, whatever a run predicts (its
log-probabilities, as a vector) is taken to be

    x_ij = mu + a_i + b_j + c_ij

with independent effects of mean zero. With A = E|a|^2, B = E|b|^2, C = E|c|^2, half the squared
distance of two runs has the mean

    C + A        where they share the column alone  (another row)
    C + B        where they share the row alone     (another column)
    A + B + C    where they share neither,

so that A is what sharing the row saves of the last, B what sharing the column saves, and C, the
interaction, what either saves less than its own if the other is shared already.

KL is half a squared distance for close runs: KL(p || p') = Var_p(x - x') / 2 up to third order in
x - x', and the mean of both directions up to fourth, at the metric of their midpoint. Far apart it
is not: components are then still these differences of mean divergences, and a negative C says
that divergences of both causes add up to more than the whole.

The three mean squares of the two-way analysis of variance have the means J A + C (rows, I - 1
degrees of freedom), I B + C (columns, J - 1) and C ((I - 1)(J - 1)), and every number above is a
linear combination of them (Searle, Casella & McCulloch 1992, Variance Components, section 4.3). In
many dimensions a mean square is as sure as a chi-square of n (tr S)^2 / tr S^2 degrees of freedom,
S being its covariance. Both traces are estimated without bias from the Gram matrix (`_spread`).

Axes: R = I J runs, row by row in any order; I rows, J columns. Units are those of the divergences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int
from scipy import special

from dynamics.analysis.uncertainty import Interval
from dynamics.errors import InputError

_FEWEST = 3  # levels of a cause: of two, the spread of its mean square is unknown
_SHARPEST = 1e-4  # the least tr S^2 / (tr S)^2: an effect of more than 10,000 equal dimensions


@dataclass(frozen=True, kw_only=True)
class Components:
    """Parts of the divergence of runs that share nothing, and the mean divergences of each kind.

    Attributes:
        row, column, interaction: A, B and C of the head of this file. They sum to `neither`.
        same_row: mean divergence of runs that share their row alone, B + C.
        same_column: of runs that share their column alone, A + C.
        neither: of runs that share nothing, A + B + C.
    """

    row: Interval
    column: Interval
    interaction: Interval
    same_row: Interval
    same_column: Interval
    neither: Interval


class _MeanSquare(NamedTuple):
    """A mean square and how sure it is."""

    mean: float
    df: float  # of the chi-square that spreads like it
    sureness_df: int  # degrees of freedom that its spread is estimated on


def components(
    divergence: Float[npt.ArrayLike, "R R"],
    rows: Int[npt.ArrayLike, " R"],
    columns: Int[npt.ArrayLike, " R"],
    level: float = 0.95,
) -> Components:
    """Variance components of a crossed grid, each with a confidence interval over other levels.

    The text that divergences are means over is held fixed. Limits are those of Graybill & Wang
    (1980) for a sum of mean squares and of Ting et al. (1990) for a difference, without their cross
    terms; both go back to the exact limits where one mean square is all there is. Since the
    spread of a mean square is itself estimated, normal quantiles become Student's on
    (n - 1)(n + 2)/2 degrees of freedom, the numbers that a Gram matrix of n dimensions tells of it.
    Where effects are normal, 95 % intervals of the components cover .92 to .98 on grids of 3 x 3 to
    6 x 6 in 2 to 40 dimensions; in one dimension 3 x 3 gives .99, in intervals too long for any
    use. Where single runs have scales of their own (lognormal, sigma .2: some runs lie far out)
    they cover too little: .85 to .94 at 3 x 3, .80 to .87 at 4 x 4.

    Args:
        divergence: [R, R], finite; both directions are averaged, the diagonal is ignored.
        rows: [R] the first cause's level of each run, any labels.
        columns: [R] the second's.
        level: of the intervals.

    Raises:
        InputError: runs that do not fill a grid, each pair of levels once; fewer than three levels
            of a cause; shapes that do not fit; divergences that are not finite.

    Example:
        >>> rows, columns = np.divmod(np.arange(16), 4)
        >>> rng = np.random.default_rng(0)
        >>> of_row, of_column = rng.normal(size=(2, 4, 30))
        >>> x = of_row[rows] + 0.5 * of_column[columns]  # and no interaction
        >>> squares = np.square(x[:, None] - x[None]).sum(-1)
        >>> parts = components(squares / 2, rows, columns)
        >>> parts.row.low < 30 < parts.row.high, abs(parts.interaction.mean) < 1e-9
        (True, True)
        >>> parts.row.rests_on
        '4 x 4 runs'
    """
    divergence, rows, columns = _checked(divergence, rows, columns, level)
    num_rows, num_columns = len(np.unique(rows)), len(np.unique(columns))
    of_rows = (rows[:, None] == rows) / num_columns - 1 / len(rows)  # projections [R, R]
    of_columns = (columns[:, None] == columns) / num_rows - 1 / len(rows)
    rest = np.eye(len(rows)) - 1 / len(rows) - of_rows - of_columns
    squares = [
        _spread(divergence, of_rows, num_rows - 1),
        _spread(divergence, of_columns, num_columns - 1),
        _spread(divergence, rest, (num_rows - 1) * (num_columns - 1)),
    ]
    row = np.array([1, 0, -1]) / num_columns
    column = np.array([0, 1, -1]) / num_rows
    interaction = np.array([0, 0, 1])
    evidence = f"{num_rows} x {num_columns} runs"

    def interval(weights: np.ndarray) -> Interval:
        return Interval(*_limits(squares, weights, level), evidence)

    return Components(
        row=interval(row),
        column=interval(column),
        interaction=interval(interaction),
        same_row=interval(column + interaction),
        same_column=interval(row + interaction),
        neither=interval(row + column + interaction),
    )


def _spread(divergence: np.ndarray, projection: np.ndarray, n: int) -> _MeanSquare:
    """The mean square of runs projected onto n dimensions, and how sure it is.

    W, the projected Gram matrix, is a sum over the n dimensions; for normal effects of covariance S

        E tr W = n tr S,    var tr W = 2 n tr S^2,    E tr W^2 = n (tr S)^2 + n (n + 1) tr S^2,

    which are solved for tr S^2. Half a squared distance is |x|^2 / 2 + |y|^2 / 2 - x.y, of which a
    projection that takes constants to 0 leaves minus the Gram matrix.
    """
    projected = -projection @ divergence @ projection
    trace, mean = np.trace(projected), np.trace(projected) / n
    squared = (n * np.sum(projected**2) - trace**2) / (n * (n + 2) * (n - 1))  # tr S^2
    share = np.clip(squared / mean**2, _SHARPEST, 1) if mean else 1.0
    return _MeanSquare(float(mean), float(n / share), (n - 1) * (n + 2) // 2)


def _limits(
    squares: Sequence[_MeanSquare], weights: np.ndarray, level: float
) -> tuple[float, float, float, float]:
    """(estimate, low, high, sem) of the sum of mean squares by their weights."""
    estimate = down = up = variance = 0.0
    for square, weight in zip(squares, weights, strict=True):
        part = weight * square.mean
        below, above = _stretch(square, level)
        if weight < 0:
            below, above = above, below
        estimate += part
        down += (below * part) ** 2
        up += (above * part) ** 2
        variance += 2 * part**2 / square.df
    limits = estimate - np.sqrt(down), estimate + np.sqrt(up)
    return float(estimate), float(limits[0]), float(limits[1]), float(np.sqrt(variance))


def _stretch(square: _MeanSquare, level: float) -> tuple[float, float]:
    """How far the limits of a mean square alone lie below and above it, as shares of it."""
    tail = special.ndtr(-special.stdtrit(square.sureness_df, (1 + level) / 2))
    top, bottom = (special.chdtri(square.df, at) / square.df for at in (tail, 1 - tail))
    return 1 - 1 / top, 1 / bottom - 1


def _checked(divergence, rows, columns, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The divergence [R, R], symmetric and with a diagonal of zeros, and both labels [R]."""
    divergence = np.asarray(divergence, np.float64)
    rows, columns = np.asarray(rows), np.asarray(columns)
    if divergence.shape != (len(rows), len(rows)) or columns.shape != rows.shape:
        raise InputError(
            f"divergences {divergence.shape} of runs with {len(rows)} rows and {len(columns)} "
            "columns",
            expected="divergences [R, R], and a row and a column for each run",
        )
    pairs = set(zip(rows.tolist(), columns.tolist(), strict=True))
    num_rows, num_columns = len(set(rows.tolist())), len(set(columns.tolist()))
    if not len(pairs) == len(rows) == num_rows * num_columns:
        raise InputError(
            f"{len(rows)} runs at {len(pairs)} of the places of a {num_rows} x {num_columns} grid",
            expected="one run at each place",
        )
    if min(num_rows, num_columns) < _FEWEST:
        raise InputError(
            f"a {num_rows} x {num_columns} grid of runs",
            expected=f"{_FEWEST} levels or more of both causes",
            mend="Train or load more runs.",
        )
    if not 0 < level < 1:
        raise InputError(f"level {level}", expected="a number between 0 and 1")
    divergence = np.where(np.eye(len(rows), dtype=bool), 0.0, (divergence + divergence.T) / 2)
    if not np.isfinite(divergence).all():
        raise InputError("divergences that are not finite", expected="finite ones off the diagonal")
    return divergence, rows, columns
