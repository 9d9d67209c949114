"""A place between checkpoints is known no better than a share of their gap.

Between checkpoints a curve is what a shape says, and no shape is the curve.
"""

import numpy as np
import scipy.stats


def blurred(
    middle: float, low: float, high: float, x: np.ndarray, level: float, share: float
) -> tuple[float, float]:
    """Limits of a place among checkpoints x [K], with an error that is a share of its gap.

    Example:
        >>> low, high = blurred(0.5, 0.5, 0.5, np.arange(2.0), level=0.68, share=0.05)
        >>> round(low, 2), round(high, 2)
        (0.45, 0.55)
    """
    after = int(np.clip(np.searchsorted(x, middle), 1, len(x) - 1))
    error = share * (x[after] - x[after - 1]) * scipy.stats.norm.isf((1 - level) / 2)
    return (
        float(max(middle - np.hypot(middle - low, error), x[0])),
        float(min(middle + np.hypot(high - middle, error), x[-1])),
    )
