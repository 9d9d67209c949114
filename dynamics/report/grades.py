"""How far a finding can be trusted, from the errors of the numbers that it stands on."""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.significance import SURE, in_errors, is_sure
from dynamics.report.section import Grade

# What the overview says of each grade. A plain count is of what is there, and has no error.
MEANING: Final[Mapping[Grade, str]] = {
    "sure": f"by more than {SURE:g} standard errors, by a 95\u00a0% interval, or by a plain count",
    "unsure": "its error or its conditions do not allow the sentence",
    "open": "no error is known",
}


def judge(difference, sem) -> Grade:
    """The grade of a sentence that stands where a difference is not zero.

    Args:
        difference: one number, or several that all have to hold.
        sem: standard errors in the same unit; broadcasts against `difference`.

    Returns:
        "sure" where every difference exceeds `SURE` standard errors, "unsure" where one does not,
        "open" where there is none or where one of them or its error is not finite or the error is
        zero.

    Example:
        >>> judge(4.0, 1.0), judge([4.0, 2.0], 1.0), judge(4.0, 0.0), judge([], [])
        ('sure', 'unsure', 'open', 'open')
    """
    sizes = in_errors(difference, sem)
    if not sizes.size or not np.isfinite(sizes).all():
        return "open"
    return "sure" if is_sure(difference, sem) else "unsure"


def excludes(low: float, high: float, value: float = 0.0) -> Grade:
    """The grade of a sentence that stands where an interval excludes a value.

    Example:
        >>> excludes(0.1, 0.3), excludes(-0.1, 0.3), excludes(float("nan"), 0.3)
        ('sure', 'unsure', 'open')
    """
    if not np.isfinite([low, high]).all():
        return "open"
    return "sure" if low > value or high < value else "unsure"


def course(curve: Curve) -> Grade:
    """Whether a curve with standard errors surely moves from its lowest to its highest value.

    Example:
        >>> course(Curve.with_sem("toy", [0, 1], [2.0, 1.0], [0.1, 0.2], "± error over 3 seeds"))
        'sure'
    """
    finite = curve.finite()
    if len(finite.steps) < 2:
        return "open"
    low, high = int(np.argmin(finite.value)), int(np.argmax(finite.value))
    gap = finite.value[high] - finite.value[low]
    return judge(gap, np.hypot(finite.sem[low], finite.sem[high]))


def course_of_intervals(curve: Curve) -> Grade:
    """The same of a curve whose bars are 95 % intervals: those of the two values lie apart."""
    finite = curve.finite()
    if len(finite.steps) < 2:
        return "open"
    low, high = int(np.argmin(finite.value)), int(np.argmax(finite.value))
    gap = finite.low[high] - finite.high[low]
    if not np.isfinite(gap):
        return "open"
    return "sure" if gap > 0 else "unsure"


def weakest(grades: Iterable[Grade]) -> Grade:
    """The grade of a sentence that says several things; "open" for none.

    Example:
        >>> weakest(["sure", "unsure"]), weakest([])
        ('unsure', 'open')
    """
    order: tuple[Grade, ...] = ("open", "unsure", "sure")
    places = [order.index(grade) for grade in grades]
    return order[min(places, default=0)]
