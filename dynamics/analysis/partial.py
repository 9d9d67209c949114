"""What two curves over training have in common beyond a third.

Axes: K checkpoints, C curves that are held fixed.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from dynamics.analysis.agreement import rank_correlation
from dynamics.errors import InputError


class Partial(NamedTuple):
    """A correlation given other curves. NaN where they leave nothing of a curve.

    Attributes:
        value: Pearson's correlation of what is left of both curves.
        raw: that of the curves themselves.
        changes: Spearman's correlation of the changes, between neighbouring checkpoints, of what is
            left.
        chance: probability of a correlation of changes as large or larger in curves as smooth that
            have nothing in common (`agreement.RankCorrelation`).
        count: K.
    """

    value: float
    raw: float
    changes: float
    chance: float
    count: int


def partial_correlation(
    first: Float[npt.ArrayLike, " K"],
    second: Float[npt.ArrayLike, " K"],
    controls: Float[npt.ArrayLike, "C K"],
) -> Partial:
    """Correlation of two curves once a straight line in each of `controls` is taken off both.

    Curves of one run all bend where the run does, so that the value alone proves nothing; `chance`
    asks it of changes.

    Raises:
        InputError: curves of other lengths, values that are not finite, or fewer than C + 4
            checkpoints.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> loss, own, other = rng.standard_normal((3, 60)).cumsum(1)
        >>> apart = partial_correlation(loss + 0.1 * own, loss + 0.1 * other, [loss])
        >>> bool(apart.raw > 0.9), bool(abs(apart.value) < 0.9)
        (True, True)
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    controls = np.atleast_2d(np.asarray(controls, np.float64))
    count = len(first)
    fits = first.ndim == 1 and first.shape == second.shape and controls.shape[1] == count
    if not fits or count < len(controls) + 4:
        raise InputError(
            f"curves of {first.shape}, {second.shape} and {controls.shape}",
            expected="[K], [K] and [C,K] with K of C + 4 or more",
        )
    if not np.isfinite(np.concatenate([first, second, controls.ravel()])).all():
        raise InputError("values that are not finite", expected="finite curves")
    left = [_left_of(curve, controls) for curve in (first, second)]
    raw = _correlation(first, second)
    varies = [
        np.ptp(rest) > 1e-9 * np.ptp(curve)
        for rest, curve in zip(left, (first, second), strict=True)
    ]
    if not all(varies):
        return Partial(np.nan, raw, np.nan, np.nan, count)
    of_changes = rank_correlation(*left)
    return Partial(_correlation(*left), raw, of_changes.changes, of_changes.chance, count)


def _left_of(curve: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """A curve [K] less its least-squares line in the curves of `controls` [C,K]."""
    centred = controls - controls.mean(1, keepdims=True)
    design = np.vstack([np.ones(len(curve)), centred]).T
    return curve - design @ np.linalg.lstsq(design, curve, rcond=None)[0]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if not (np.ptp(first) and np.ptp(second)):
        return np.nan
    return float(np.corrcoef(first, second)[0, 1])
