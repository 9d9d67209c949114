"""A grade is "sure" only where an error is known and small enough, and the overview says so."""

import re

import numpy as np
import pytest
from toy_site import contents

from dynamics.analysis.curve import Curve
from dynamics.analysis.significance import SURE
from dynamics.report import grades
from dynamics.report.pages import Pages


@pytest.mark.parametrize(
    ("value", "sem", "grade"),
    [
        (4.0, 1.0, "sure"),
        (-4.0, 1.0, "sure"),
        (2.0, 1.0, "unsure"),
        ([4.0, 2.0], 1.0, "unsure"),
        (np.nan, 1.0, "open"),
        (4.0, np.nan, "open"),
        (4.0, 0.0, "open"),
        ([4.0, 4.0], [1.0, 0.0], "open"),
        ([], [], "open"),
        ([], 1.0, "open"),
    ],
)
def test_a_value_is_judged_by_its_own_error(value, sem, grade):
    assert grades.judge(value, sem) == grade


@pytest.mark.parametrize(
    ("low", "high", "grade"),
    [
        (0.1, 0.3, "sure"),
        (-0.3, -0.1, "sure"),
        (-0.1, 0.1, "unsure"),
        (0.0, 0.1, "unsure"),
        (np.nan, 0.1, "open"),
        (0.1, np.inf, "open"),
    ],
)
def test_an_interval_is_judged_by_what_it_excludes(low, high, grade):
    assert grades.excludes(low, high) == grade


def curve(value, sem) -> Curve:
    return Curve.with_sem("toy", np.arange(len(value)), value, sem, "± error")


@pytest.mark.parametrize(
    ("value", "sem", "grade"),
    [
        ([1.0, 2.0, 9.0], [0.1, 0.1, 0.1], "sure"),
        ([1.0, 1.1, 1.2], [0.1, 0.1, 0.1], "unsure"),
        ([1.0, 9.0], [np.nan, np.nan], "open"),
        ([1.0, 9.0], [0.0, 0.0], "open"),
        ([1.0, np.nan], [0.1, 0.1], "open"),
        ([1.0], [0.1], "open"),
        ([], [], "open"),
    ],
)
def test_a_curve_surely_moves_where_its_ends_lie_apart(value, sem, grade):
    assert grades.course(curve(value, sem)) == grade


def test_intervals_that_overlap_leave_a_course_unsure():
    assert grades.course_of_intervals(curve([1.0, 2.0], [0.4, 0.4])) == "sure"
    assert grades.course_of_intervals(curve([1.0, 2.0], [0.6, 0.6])) == "unsure"
    assert grades.course_of_intervals(curve([1.0, 2.0], [np.nan, 0.1])) == "open"
    assert grades.course_of_intervals(curve([], [])) == "open"


def test_several_things_are_as_sure_as_the_weakest():
    assert grades.weakest(["sure", "sure"]) == "sure"
    assert grades.weakest(["sure", "open", "unsure"]) == "open"
    assert grades.weakest([]) == "open"


def test_the_key_of_the_overview_says_what_the_threshold_is():
    page = Pages(contents(), "report.html", "report").overview()
    key = re.findall(r'<p class="key">(.*?)</p>', page, re.S)[0]
    text = " ".join(re.sub(r"<[^>]*>", "", key).replace("\u00a0", " ").split())
    for grade, meaning in grades.MEANING.items():
        assert f"{grade} {' '.join(meaning.split())}" in text
    assert f"more than {SURE:g} standard errors" in text
