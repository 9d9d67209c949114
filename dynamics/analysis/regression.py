"""Least squares with errors clustered by document, of columns whose coefficients can be told apart.

Errors are clustered (Liang & Zeger 1986) with the correction G / (G - 1) * (n - 1) / (n - C) and
Student's t on G - 1: observations of one document may depend on each other in any way.

Axes: n observations, C columns, G documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Shaped

from dynamics.errors import InputError

LEVEL = 0.95
_DEPENDENT = 1e-8  # relative length of what earlier columns leave of one that they span


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """Coefficients, their clustered standard errors and confidence limits, [C] each."""

    value: Float64[np.ndarray, " C"]
    sem: Float64[np.ndarray, " C"]
    low: Float64[np.ndarray, " C"]
    high: Float64[np.ndarray, " C"]


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

    Raises:
        InputError: fewer than two clusters, or no more observations than columns.

    Example:
        >>> matrix = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
        >>> line = fit(matrix, np.array([1.0, 3.1, 4.9, 7.0]), np.array(["a", "a", "b", "b"]))
        >>> line.value.round(2).tolist()  # intercept and slope
        [1.03, 1.98]
    """
    from statsmodels.regression.linear_model import OLS

    _, group = np.unique(clusters, return_inverse=True)
    if group.max() < 1:
        raise InputError("one document", expected="two or more, for errors between documents")
    if len(y) <= matrix.shape[1]:
        raise InputError(
            f"{len(y)} predictions and {matrix.shape[1]} coefficients", expected="more predictions"
        )
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": group}, "use_t": True}
    fitted = OLS(np.asarray(y, np.float64), matrix).fit(method="qr", **clustered)
    low, high = fitted.conf_int(1 - level).T
    return Fit(value=fitted.params, sem=fitted.bse, low=low, high=high)
