"""How far a finding can be trusted, from the errors of the numbers that it stands on."""

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.report.section import Grade

SURE = 3.0  # standard errors


def course(curve: Curve) -> Grade:
    """Whether a curve surely moves: its lowest and highest values lie three standard errors apart.

    Example:
        >>> course(Curve.with_sem("toy", [0, 1], [2.0, 1.0], [0.1, 0.2], "± error over 3 seeds"))
        'sure'
    """
    finite = curve.finite()
    if len(finite.steps) < 2 or not finite.has_errors:
        return "open"
    low, high = int(np.argmin(finite.value)), int(np.argmax(finite.value))
    gap = finite.value[high] - finite.value[low]
    return "sure" if gap > SURE * np.hypot(finite.sem[low], finite.sem[high]) else "unsure"
