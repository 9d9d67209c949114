"""When a difference is called sure: how many of its standard errors it is long.

One threshold for every sentence, figure and table. An error that is unknown or zero makes nothing
sure: it says how little was measured, not how well.
"""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64

SURE = 3.0  # standard errors that a sure difference exceeds


def in_errors(
    difference: Float[npt.ArrayLike, "..."], sem: Float[npt.ArrayLike, "..."]
) -> Float64[np.ndarray, "..."]:
    """Size of a difference in standard errors; NaN where the error is zero, negative or unknown.

    Args:
        difference: one number or an array, in any unit.
        sem: its standard error in the same unit; broadcasts against `difference`.

    Returns:
        float64 of the broadcast shape.

    Example:
        >>> in_errors([4.0, 1.0, 1.0], [1.0, 0.5, 0.0]).tolist()
        [4.0, 2.0, nan]
    """
    difference, sem = np.broadcast_arrays(
        np.asarray(difference, np.float64), np.asarray(sem, np.float64)
    )
    measured = np.isfinite(sem) & (sem > 0)
    return np.where(measured, np.abs(difference) / np.where(measured, sem, 1.0), np.nan)


def is_sure(difference: Float[npt.ArrayLike, "..."], sem: Float[npt.ArrayLike, "..."]) -> bool:
    """Whether every one of the differences exceeds `SURE` standard errors; False for none at all.

    Example:
        >>> is_sure(4.0, 1.0), is_sure([4.0, 1.0], 1.0), is_sure([], []), is_sure(4.0, 0.0)
        (True, False, False, False)
    """
    sizes = in_errors(difference, sem)
    return bool(sizes.size and (sizes > SURE).all() and np.isfinite(sizes).all())
