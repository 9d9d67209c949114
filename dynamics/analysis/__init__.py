"""From measured values to statements: means, intervals and comparisons.

Statistics alone, on NumPy arrays: no module here names a measure or imports JAX. `segmented` and
`smooth` serve `phases` and `stages`; `jackknife` serves every interval.
"""

from dynamics.analysis import (
    agreement,
    bifurcation,
    change_points,
    coincidence,
    crossed,
    curve,
    decades,
    explained,
    fall_and_rise,
    jackknife,
    leave_one_out,
    loss_share,
    means,
    moves,
    pairs,
    phases,
    regression,
    selection,
    significance,
    slopes,
    stages,
    stopping,
    uncertainty,
)
from dynamics.analysis.curve import Curve

__all__ = [
    "Curve",
    "agreement",
    "bifurcation",
    "change_points",
    "coincidence",
    "crossed",
    "curve",
    "decades",
    "explained",
    "fall_and_rise",
    "jackknife",
    "leave_one_out",
    "loss_share",
    "means",
    "moves",
    "pairs",
    "phases",
    "regression",
    "selection",
    "significance",
    "slopes",
    "stages",
    "stopping",
    "uncertainty",
]
