"""What could be known of a planted boundary: a likelihood ratio that knows everything but it.

Axes: K checkpoints, L checkpoints of the boundary's stretch.

The oracle knows the curve with the boundary, the curve without it, and the noise. The curve without
it is the nearest ramp: the straight line over the stretch from the middle of the ramp before to the
middle of the ramp after that is nearest in the metric of the noise. The logarithm of the likelihood
ratio is then normal with mean ± d²/2 and variance d², d being the distance of the two curves, and
the oracle sees the boundary where it exceeds what it exceeds in one of a hundred curves without it.
"""

import numpy as np
import scipy.linalg
import scipy.stats

from benchmarks.stages.planted import Place, Planted

FALSE_ALARMS = 0.01


def sees(planted: Planted, place: Place) -> bool:
    """Whether the oracle tells the curve, with this noise, from the one without the boundary."""
    inside = (planted.steps >= place.stretch[0] - 1e-6) & (planted.steps <= place.stretch[1] + 1e-6)
    if inside.sum() < 3:
        return False
    factor = np.linalg.cholesky(_covariance(planted))

    def whitened(columns):
        return scipy.linalg.solve_triangular(factor, columns, lower=True)

    x = np.log1p(planted.steps)
    # Outside the stretch both curves are the same; inside, what a straight line leaves.
    line = whitened(np.stack([inside, inside * x], 1).astype(float))
    boundary = whitened(np.where(inside, planted.truth - planted.truth[inside].mean(), 0.0))
    difference = boundary - line @ np.linalg.lstsq(line, boundary, rcond=None)[0]
    distance = float(np.linalg.norm(difference))
    error = whitened(planted.value - planted.truth)
    log_ratio = difference @ error + distance**2 / 2
    threshold = -(distance**2) / 2 + distance * scipy.stats.norm.isf(FALSE_ALARMS)
    return bool(log_ratio > threshold)


def _covariance(planted: Planted) -> np.ndarray:
    """[K, K] of the noise: each checkpoint's own, correlated between neighbours, and the shared."""
    order = np.arange(len(planted.own))
    lags = np.abs(order[:, None] - order)
    own = planted.own[:, None] * planted.correlation**lags * planted.own
    return own + np.outer(planted.shared, planted.shared)
