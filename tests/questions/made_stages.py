"""Made-up curves that pause once: the LLC at a peak, the curvature at a shoulder."""

import numpy as np
from made_llc import one_record
from test_curvature import hessian

from dynamics.questions.curvature import record as curvature_record
from dynamics.questions.llc import record as llc_record

STEPS = [0, *np.unique(np.geomspace(1, 40_000, 60).astype(int)).tolist()]


def llc(step: int, seed: int, value: float | None = None) -> llc_record.Record:
    x = np.log1p(step)
    peak = 20 * (np.clip(x, 6, 8) - np.clip(x, 9, 20) + 3 + seed)
    return one_record(
        peak if value is None else value,
        sem=0.2,
        shared_sem=0.0,
        verdict="local" if x > 7 else "left the basin",
    )


def curvature(step: int) -> curvature_record.Record:
    x = np.log1p(step)
    shoulder = 100 * (np.clip(x, 6, 8) + np.clip(x, 9, 20))
    return hessian(
        shoulder / 5
    )  # whose trace is five times its argument, and largest eigenvalue too
