"""Least squares with errors clustered by document, of columns whose coefficients can be told apart.

Errors are clustered (Liang & Zeger 1986) with the correction G / (G - 1) * (n - 1) / (n - C) and
Student's t on G - 1: observations of one document may depend on each other in any way.

Axes: n observations, C columns, G documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.errors import InputError

LEVEL = 0.95
_DEPENDENT = 1e-8  # relative length of what earlier columns leave of one that they span


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """Coefficients, their clustered standard errors and confidence limits, [C] each."""

    value: np.ndarray
    sem: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Design:
    """Columns whose coefficients can be told apart.

    Attributes:
        matrix: [n,C].
        names: [C].
        dropped: names of columns that earlier ones span, empty ones among them.
    """

    matrix: np.ndarray
    names: tuple[str, ...]
    dropped: tuple[str, ...]


def identified(matrix: np.ndarray, names: Sequence[str]) -> Design:
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


def fit(matrix: np.ndarray, y: np.ndarray, clusters: np.ndarray, level: float = LEVEL) -> Fit:
    """Least squares of y [n] on a matrix [n,C], with errors between clusters [n].

    Raises InputError on fewer than two clusters, or no more observations than columns.
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
