"""Boundaries are drawn where they are, over the values that they are of, beside other curves."""

import dataclasses
import itertools

import numpy as np
import pytest

from dynamics.analysis.curve import Curve
from dynamics.analysis.stages import Rule, find_stages
from dynamics.figures import style
from dynamics.questions.stages import figures
from dynamics.questions.stages.findings import RunStages
from dynamics.report import hover

STEPS = np.r_[0, np.unique(np.geomspace(1, 1e5, 80).astype(int))]
X = np.log1p(STEPS)


def curve(value, error=np.nan) -> Curve:
    return Curve(
        model="toy",
        steps=STEPS,
        value=value,
        low=value - error,
        high=value + error,
        rests_on="± error",
    )


@pytest.fixture
def llc() -> Curve:
    return curve(np.clip(X, 6, 8) - np.clip(X, 9, 10.5) + np.clip(X, 10.8, 20), 0.02)


def upright(ax) -> list[float]:
    return [
        line.get_xdata()[0]
        for line in ax.lines
        if len(line.get_xdata()) == 2 and np.ptp(line.get_xdata()) == 0
    ]


def test_every_panel_marks_every_boundary(llc):
    stages = find_stages(llc.steps, llc.value, np.full(len(X), 0.02))
    assert len(stages.boundaries) >= 2
    figure = figures.curve_with_stages(
        llc, stages, "LLC", {"loss": curve(6 - X / 3), "norm": curve(X**2, 0.1)}
    )
    assert len(figure.axes) == 6
    for ax in figure.axes:
        np.testing.assert_allclose(upright(ax), stages.steps)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [style.short_step(step) for step in stages.steps]


def test_the_pointer_reads_every_boundary_of_the_runs(llc):
    stages = find_stages(llc.steps, llc.value, np.full(len(X), 0.02))
    whose = {"model": "toy", "curve": llc, "num_local": None, "stages": stages, "refusal": ""}
    runs = [RunStages(seed=seed, label="LLC", **whose) for seed in (0, 1)]
    figure = figures.boundaries(runs, style.Look(["toy"]))
    figure.canvas.draw()
    (panel,) = hover.readings(figure, {})["panels"]
    assert len(panel["marks"]) == 2 * len(stages.boundaries)
    assert {mark["x"] for mark in panel["marks"]} == {float(f"{s:.7g}") for s in stages.steps}
    for mark, kind in zip(panel["marks"], 2 * [b.kind for b in stages.boundaries], strict=True):
        assert f": {kind} {style.short_step(mark['x'])} [" in mark["text"]


def test_points_are_the_values_and_the_line_the_smooth_curve(llc):
    stages = find_stages(llc.steps, llc.value)
    figure = figures.curve_with_stages(llc, stages, "LLC")
    above, below = figure.axes
    (points,) = [line for line in above.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(points.get_ydata(), llc.value)
    (smooth,) = [line for line in above.lines if len(line.get_xdata()) > len(STEPS)]
    np.testing.assert_allclose(
        np.interp(X, np.log1p(smooth.get_xdata()), smooth.get_ydata()), llc.value, atol=0.1
    )
    (slope,) = [line for line in below.lines if len(line.get_xdata()) > len(STEPS)]
    at_ramp = np.interp(7, np.log1p(slope.get_xdata()), slope.get_ydata())
    assert at_ramp == pytest.approx(1, abs=0.15)
    assert "step" in below.get_xlabel()


def test_curves_with_gaps_and_without_boundaries(llc):
    value = 3 - X / 5
    stages = find_stages(STEPS, value, rule=Rule(start=0))
    assert stages.boundaries == ()
    broken = curve(np.where(np.arange(len(STEPS)) == 40, np.nan, llc.value), 0.1)
    figure = figures.curve_with_stages(curve(value), stages, "loss", {"LLC": broken})
    figure.canvas.draw()
    assert 0 in figure.axes[1].get_xticks()


def test_steps_of_near_boundaries_do_not_collide(llc):
    stages = find_stages(llc.steps, llc.value)
    boundary = stages.boundaries[0]
    near = [
        dataclasses.replace(boundary, step=float(step)) for step in (900, 1000, 1100, 1250, 20_000)
    ]
    crowded = dataclasses.replace(stages, boundaries=tuple(near))
    figure = figures.curve_with_stages(llc, crowded, "LLC")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (740.2, "740"),
        (1000, "1k"),
        (1124, "1.1k"),
        (31_699, "32k"),
        (999_600, "1M"),
        (1.25e6, "1.2M"),
    ],
)
def test_steps_are_written_short(step, text):
    assert style.short_step(step) == text
