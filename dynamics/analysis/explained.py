"""The share of a number's variance that others explain, with an interval over documents.

R^2 of least squares with an intercept. Observations of one document may depend on each other in any
way, so that the interval rests on documents: a delete-one-document jackknife, which needs the
products of every document alone. Its scale is Fisher's, atanh of the multiple correlation R.

Axes: N observations, C columns, G documents, "..." any leading axes, such as steps.
"""

import itertools

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64, Shaped
from scipy.special import stdtrit

from dynamics.errors import InputError

_SINGULAR = 1e-10  # relative size of a singular value that counts as none


def explained_share(
    values: Float[npt.ArrayLike, "... N"],
    columns: Float[npt.ArrayLike, "C N"],
    documents: Shaped[npt.ArrayLike, " N"],
    level: float = 0.95,
) -> tuple[Float64[np.ndarray, "..."], Float64[np.ndarray, "..."], Float64[np.ndarray, "..."]]:
    """R^2 of `values` on `columns` and an intercept: (share, low, high), [...] each.

    NaN where values do not vary. Columns that others span change nothing. The least R^2 that C
    columns of pure chance give is about C / N, which is not taken off; near it the interval, whose
    lower end is not below 0, does not say whether anything is explained.

    Args:
        values: [..., N], finite.
        columns: [C, N], finite.
        documents: [N] labels.
        level: of the interval over other documents: of Student's t on G - 1 degrees of freedom.

    Raises:
        InputError: fewer than three documents; shapes that do not fit; numbers that are not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> cause, noise = rng.normal(size=(2, 3000))
        >>> share, low, high = explained_share(cause + noise, [cause], np.arange(3000) // 100)
        >>> bool(low < 0.5 < high), round(float(share), 1)
        (True, 0.5)
    """
    values, columns = np.asarray(values, np.float64), np.asarray(columns, np.float64)
    names, owner = np.unique(documents, return_inverse=True)
    if columns.ndim != 2 or not columns.shape[1] == values.shape[-1] == len(owner):
        raise InputError(
            f"values {values.shape}, columns {columns.shape} and documents {owner.shape}",
            expected="values [..., N], columns [C, N] and documents [N]",
        )
    if len(names) < 3:
        raise InputError(
            f"{len(names)} documents", expected="3 or more", mend="Evaluate more documents"
        )
    if not (np.isfinite(values).all() and np.isfinite(columns).all()):
        raise InputError("numbers that are not finite", expected="finite values and columns")
    # About their means, so that products of what is left lose no digits.
    design = np.vstack([np.ones(len(owner)), columns - columns.mean(1, keepdims=True)])
    flat = values.reshape(-1, values.shape[-1])
    flat = flat - flat.mean(1, keepdims=True)
    inner, cross, square = _products(design, flat, owner, len(names))
    share = _r_squared(inner.sum(0), cross.sum(0), square.sum(0))
    without = np.array(
        [
            _r_squared(inner.sum(0) - inner[g], cross.sum(0) - cross[g], square.sum(0) - square[g])
            for g in range(len(names))
        ]
    )
    sem = _jackknife_sem(np.arctanh(np.sqrt(np.minimum(without, 1 - 1e-12))))
    half = stdtrit(len(names) - 1, (1 + level) / 2) * sem
    place = np.arctanh(np.sqrt(np.minimum(share, 1 - 1e-12)))
    low, high = np.tanh(np.maximum(place - half, 0)) ** 2, np.tanh(place + half) ** 2
    shape = values.shape[:-1]
    return share.reshape(shape), low.reshape(shape), high.reshape(shape)


def _products(design: np.ndarray, flat: np.ndarray, owner: np.ndarray, count: int):
    """Of every document: design products [G,C,C], with values [G,C,M], and squares [G,M]."""
    starts = np.searchsorted(np.sort(owner), np.arange(count + 1))
    by_document = np.argsort(owner, kind="stable")
    places = [by_document[begin:end] for begin, end in itertools.pairwise(starts)]
    return (
        np.array([design[:, at] @ design[:, at].T for at in places]),
        np.array([design[:, at] @ flat[:, at].T for at in places]),
        np.array([np.square(flat[:, at]).sum(1) for at in places]),
    )


def _r_squared(inner: np.ndarray, cross: np.ndarray, square: np.ndarray) -> np.ndarray:
    """R^2 [M] from products [C,C], [C,M] and squares [M]; the first column is the intercept."""
    total = square - cross[0] ** 2 / inner[0, 0]
    fitted = np.einsum("cm,cm->m", cross, np.linalg.pinv(inner, _SINGULAR, hermitian=True) @ cross)
    explained = fitted - cross[0] ** 2 / inner[0, 0]
    varies = total > _SINGULAR * square
    return np.where(varies, np.clip(explained / np.where(varies, total, 1.0), 0, 1), np.nan)


def _jackknife_sem(without: np.ndarray) -> np.ndarray:
    """Standard error [M] from delete-one values [G,M]."""
    count = len(without)
    return np.sqrt((count - 1) / count * np.square(without - without.mean(0)).sum(0))
