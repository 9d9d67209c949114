"""Least squares with errors clustered by document, of columns that can be told apart.

Observations of one document may depend on each other in any way. The plain clustered variance
(Liang & Zeger 1986) covers .65 to .82 at ten documents of unequal length: residuals are shorter
than errors, and t has fewer degrees of freedom than G - 1 where few documents decide a coefficient.
Here it is CR2 of Bell & McCaffrey (2002, "Bias reduction in standard errors for linear regression
with multi-stage samples", Survey Methodology 28), unbiased where errors are independent, with
Satterthwaite's degrees of freedom for each coefficient, under errors that documents share as far as
the residuals say (Imbens & Kolesar 2016, "Robust standard errors in small samples", section 4).

With X = Q R, Q orthonormal, and S_g = Q_g' Q_g of document g, (I - H_gg)^(-1/2) X_g is Q_g
(I - S_g)^(-1/2) R, so that nothing is larger than C x C, however long a document is.

Axes: n observations, C columns, G documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped
from scipy.special import stdtrit

from dynamics.errors import InputError

LEVEL = 0.95
FEWEST_DF = 4.0  # under these the distribution of t is not known well enough (Imbens & Kolesar)
_DEPENDENT = 1e-8  # relative length of what earlier columns leave of one that they span


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """Coefficients, their clustered standard errors, the degrees of freedom of those and confidence
    limits, [C] each; NaN where a single document decides a coefficient alone."""

    value: Float64[np.ndarray, " C"]
    sem: Float64[np.ndarray, " C"]
    df: Float64[np.ndarray, " C"]
    low: Float64[np.ndarray, " C"]
    high: Float64[np.ndarray, " C"]

    @property
    def too_few(self) -> Bool[np.ndarray, " C"]:
        """Coefficients whose limits rest on too few documents to hold what they claim."""
        return ~(self.df >= FEWEST_DF)


@dataclass(frozen=True, eq=False, kw_only=True)
class Design:
    """Columns whose coefficients can be told apart.

    Attributes:
        matrix: [n,C].
        names: [C].
        dropped: names of columns that earlier ones span, empty ones among them.
    """

    matrix: Float[np.ndarray, "n C"]
    names: tuple[str, ...]
    dropped: tuple[str, ...]


def identified(matrix: Float[np.ndarray, "n C"], names: Sequence[str]) -> Design:
    """Drops every column [n] that lies in the span of those before it, by Gram-Schmidt.

    Example:
        >>> identified(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]), ["a", "b", "c"]).names
        ('a', 'c')
    """
    independent: list[int] = []
    basis = np.empty(matrix.shape, order="F")
    for k, column in enumerate(matrix.T):
        rest = column
        for _ in range(2):  # once more, since one pass leaves what rounding put back
            span = basis[:, : len(independent)]
            rest = rest - span @ (span.T @ rest)
        length = np.linalg.norm(rest)
        if length > _DEPENDENT * np.linalg.norm(column):
            basis[:, len(independent)] = rest / length
            independent.append(k)
    return Design(
        matrix=matrix[:, independent],
        names=tuple(names[k] for k in independent),
        dropped=tuple(name for k, name in enumerate(names) if k not in independent),
    )


def fit(
    matrix: Float[np.ndarray, "n C"],
    y: Float[np.ndarray, " n"],
    clusters: Shaped[np.ndarray, " n"],
    level: float = LEVEL,
) -> Fit:
    """Least squares of y [n] on a matrix [n,C], with errors between clusters [n].

    The 95 % limits cover .92 to .98 at ten documents of unequal length where `df` is `FEWEST_DF` or
    more; `Fit.too_few` flags the others.

    Raises:
        InputError: fewer than two clusters, no more observations than columns, or columns that are
            not linearly independent.

    Example:
        >>> matrix = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
        >>> line = fit(matrix, np.array([1.0, 3.1, 4.9, 7.0]), np.array(["a", "a", "b", "b"]))
        >>> line.value.round(2).tolist()  # intercept and slope
        [1.03, 1.98]
    """
    _, group = np.unique(clusters, return_inverse=True)
    if group.max() < 1:
        raise InputError("one document", expected="two or more, for errors between documents")
    if len(y) <= matrix.shape[1]:
        raise InputError(
            f"{len(y)} predictions and {matrix.shape[1]} coefficients", expected="more predictions"
        )
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    basis, triangle = np.linalg.qr(np.asarray(matrix, np.float64)[order])
    spread = np.abs(np.diag(triangle))
    if spread.min() <= _DEPENDENT * spread.max():
        raise InputError("columns that others span", expected="those that `identified` keeps")
    y = np.asarray(y, np.float64)[order]
    coordinates = basis.T @ y
    residual = y - basis @ coordinates
    to_columns = np.linalg.inv(triangle)  # coefficients of Q to those of X
    clusters_of = _clusters(basis, residual, starts)
    sem = np.sqrt(((clusters_of.scores @ to_columns.T) ** 2).sum(0))
    df = _degrees_of_freedom(clusters_of, to_columns, *_components(residual, starts))
    half = stdtrit(df, (1 + level) / 2) * sem
    value = to_columns @ coordinates
    sem = np.where(np.isfinite(df), sem, np.nan)  # half has it of df
    return Fit(value=value, sem=sem, df=df, low=value - half, high=value + half)


class _Clusters(NamedTuple):
    """What the errors need of every document, in the coordinates of Q."""

    scores: Float64[np.ndarray, "G C"]  # Q_g' of the residuals, lengthened to those of errors
    leverage: Float64[np.ndarray, "G C C"]  # S_g
    lengthen: Float64[np.ndarray, "G C C"]  # (I - S_g)^(-1/2)
    own: Float64[np.ndarray, "G C C"]  # projection on what a document alone decides
    sums: Float64[np.ndarray, "G C"]  # of the rows of Q_g


def _clusters(basis, residual, starts) -> _Clusters:
    ends = [*starts[1:], len(basis)]
    rows = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    leverage = np.stack([basis[of].T @ basis[of] for of in rows])
    share, axes = np.linalg.eigh(leverage)
    alone = share > 1 - _DEPENDENT
    length = np.where(alone, 0.0, 1 / np.sqrt(np.where(alone, 1.0, 1 - share)))
    transposed = axes.swapaxes(-1, -2)
    lengthen = (axes * length[:, None]) @ transposed
    scores = np.stack([basis[of].T @ residual[of] for of in rows])
    return _Clusters(
        scores=(lengthen @ scores[..., None])[..., 0],
        leverage=leverage,
        lengthen=lengthen,
        own=(axes * alone[:, None]) @ transposed,
        sums=np.add.reduceat(basis, starts, axis=0),
    )


def _components(residual: np.ndarray, starts: np.ndarray) -> tuple[float, float]:
    """Variance of an observation's own error, and of what its document shares, from residuals."""
    sizes = np.diff([*starts, len(residual)])
    products = np.add.reduceat(residual, starts) ** 2 - np.add.reduceat(residual**2, starts)
    pairs = (sizes * (sizes - 1)).sum()
    shared = max(0.0, float(products.sum() / pairs)) if pairs else 0.0
    return max(float(np.square(residual).mean()) - shared, 0.0), shared


def _degrees_of_freedom(
    clusters: _Clusters, to_columns: np.ndarray, own: float, shared: float
) -> Float64[np.ndarray, " C"]:
    """(tr P)^2 / tr P^2 of every coefficient, NaN where one document decides it alone.

    P [G,G] is the covariance of the documents' terms, whose squares sum to the variance, under
    errors of variance `own` and what documents share, of variance `shared`. It is a diagonal and a
    matrix of rank 2 C, so that nothing is G x G.
    """
    df, sums = np.full(len(to_columns), np.nan), clusters.sums
    count = sums.shape[1]
    core = np.zeros((2 * count, 2 * count))
    core[:count, :count] = shared * sums.T @ sums - own * np.eye(count)
    core[:count, count:] = core[count:, :count] = -shared * np.eye(count)
    for at, row in enumerate(to_columns):
        if np.square(clusters.own @ row).sum() > _DEPENDENT * np.square(row).sum():
            continue
        weight = clusters.lengthen @ row  # [G, C]
        fitted = (clusters.leverage @ weight[..., None])[..., 0]
        level = (sums * weight).sum(1)
        diagonal = own * (weight * fitted).sum(1) + shared * level**2
        factor = np.hstack([fitted, level[:, None] * sums])  # P = diag + factor core factor'
        inner = core @ (factor.T @ factor)
        trace = diagonal.sum() + np.trace(inner)
        crossed = diagonal @ np.einsum("gc,cd,gd->g", factor, core, factor)
        square = np.square(diagonal).sum() + 2 * crossed + np.trace(inner @ inner)
        df[at] = np.clip(trace**2 / square, 1.0, len(sums) - 1) if square > 0 else len(sums) - 1
    return df
