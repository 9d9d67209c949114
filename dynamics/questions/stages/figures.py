"""Figures of stages: the boundaries of all runs, and single curves with theirs.

After Figs. B.1 and B.2 of "Loss Landscape Degeneracy and Stagewise Development in Transformers".

Their captions are in `section`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis import smooth
from dynamics.analysis.curve import Curve
from dynamics.analysis.stages import Boundary, Stages, find_stages
from dynamics.figures import readout, style
from dynamics.questions.stages.findings import RunStages

CURVE, BOUNDARY = style.LIGHT_RAMP[0], style.CATEGORIES[1]
DENSITY = 40  # places per e-fold that a smooth curve is drawn at
# Marker of each kind of boundary.
KINDS = {"peak": "^", "valley": "v", "shoulder": "D", "fall": "X", "edge": "|"}
LETTER, ROW = 0.085, 12  # inches that a letter of a step takes; points between rows of steps


def boundaries(runs: Sequence[RunStages], look: style.Look):
    """Every boundary of every run, in a row for each curve, with its interval as a bar."""
    searched = [(run, run.stages) for run in runs if run.stages is not None]
    size = (6.6, 1.2 + 0.34 * len(searched))
    figure, ax = style.axes("", size=size)
    for row, (run, stages) in enumerate(searched):
        color = look[run.model]["color"]
        for boundary in stages.boundaries:
            ax.hlines(row, boundary.low, boundary.high, color=color, linewidth=5, alpha=0.3)
            place = {"color": color, "markersize": 6}
            (mark,) = ax.plot([boundary.step], [row], KINDS[boundary.kind], **place)
            readout.set_note(mark, _note(run, boundary))
        for dropped in stages.dropped:
            unsure = {"color": color, "linewidth": 1.2, "linestyle": (0, (1, 2)), "alpha": 0.8}
            ax.hlines(row, dropped.low, dropped.high, **unsure)
    for kind, marker in KINDS.items():
        ax.plot([], [], marker, color=style.QUIET, label=kind)
    ax.plot([], [], color=style.QUIET, linestyle=(0, (1, 2)), label="not sure")
    names = [f"{run.label}, {run.model}, seed {run.seed}" for run, _ in searched]
    for tick in ax.set_yticks(range(len(names)), names):
        tick.label1.set_parse_math(False)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    _axis(ax, [stages for _, stages in searched])
    style.legend(figure, ax)
    return figure


def _note(run: RunStages, boundary: Boundary) -> str:
    """What a mark of `boundaries` stands for."""
    step, *ends = map(style.short_step, (boundary.step, boundary.low, boundary.high))
    return f"{run.label}, {run.model}, seed {run.seed}: {boundary.kind} {step} [{', '.join(ends)}]"


def curve_with_stages(
    curve: Curve, stages: Stages, label: str, beside: Mapping[str, Curve] | None = None
):
    """A curve with its stages; then each of `beside`, label -> curve, smoothed by the same rule.

    Above are the curves, below their slopes. Points are the measured values, the line and its band
    the smooth curve ± 2 standard deviations. Vertical lines are the boundaries, their shades the
    intervals; dotted bars at the foot are what was suggested and is not sure. In the slopes' row
    the horizontal band is the tolerance and dots are differences of neighbouring points.
    """
    beside = beside or {}
    width = style.SIZE[0] if not beside else 3.6 * (1 + len(beside))
    figure = style.sheet((width, 4.4))
    rows = {"sharex": True, "squeeze": False, "height_ratios": (1.35, 1)}
    columns = figure.subplots(2, 1 + len(beside), **rows).T
    _column(columns[0], curve, stages.fitted, label, stages.tolerance)
    for pair, (name, other) in zip(columns[1:], beside.items(), strict=True):
        _column(pair, other, _smoothed(other, stages), name, None)
    for above, below in columns:
        _boundaries(above, stages)
        _boundaries(below, stages)
        _axis(below, [stages])
        _labels(above, stages, 0.8 * width / len(columns))
    return figure


def _smoothed(curve: Curve, stages: Stages) -> smooth.Fit:
    """A curve smoothed by the rule that the stages were found by."""
    finite = curve.finite()
    sem = finite.sem if np.isfinite(finite.sem).all() else None
    return find_stages(finite.steps, finite.value, sem, stages.rule).fitted


def _column(pair, curve: Curve, fitted: smooth.Fit, label: str, tolerance: float | None):
    """A curve in the upper panel, its slope in the lower one."""
    above, below = pair
    finite = curve.finite()
    slope_label = f"slope, per e-fold\nof {label}" if len(label) < 16 else "slope per e-fold"
    style.dress(above, label, "")
    style.dress(below, slope_label, "training step")
    above.tick_params(labelbottom=False)
    x = np.linspace(fitted.x[0], fitted.x[-1], int(DENSITY * np.ptp(fitted.x)) + 2)
    steps = np.expm1(x)
    points = {"color": style.QUIET, "markersize": 2.2, "alpha": 0.7}
    if curve.has_errors:
        error = {"color": style.QUIET, "linewidth": 0.8, "alpha": 0.6}
        above.vlines(curve.steps, curve.low, curve.high, **error)
    (measured,) = above.plot(finite.steps, finite.value, "o", **points)
    readout.set_series(measured, label, finite.low, finite.high)
    _banded(above, steps, *smooth.level(fitted, x))
    mean, covariance = smooth.slope(fitted, x)
    _banded(below, steps, mean, np.sqrt(np.diag(covariance)))
    middle = np.expm1((fitted.x[1:] + fitted.x[:-1]) / 2)
    below.plot(middle, np.diff(finite.value) / np.diff(fitted.x), "o", zorder=1, **points)
    # Differences of near points are mostly noise, and bands widest where no point is: neither
    # decides the scale.
    room = 0.25 * max(np.ptp(mean), 2 * (tolerance or 0))
    below.set_ylim(mean.min() - room, mean.max() + room)
    above.ticklabel_format(axis="y", useOffset=False)
    below.axhline(0, color=style.QUIET, linewidth=0.8)
    if tolerance:
        below.axhspan(-tolerance, tolerance, color=style.QUIET, alpha=0.25, linewidth=0)


def _banded(ax, steps, mean, sd):
    """A smooth curve and the band of ± 2 standard deviations."""
    ax.fill_between(steps, mean - 2 * sd, mean + 2 * sd, color=CURVE, alpha=0.18, linewidth=0)
    ax.plot(steps, mean, color=CURVE, linewidth=1.6)


def _boundaries(ax, stages: Stages):
    """Boundaries with their intervals, and what is not sure."""
    for boundary in stages.boundaries:
        ax.axvspan(boundary.low, boundary.high, color=BOUNDARY, alpha=0.16, linewidth=0)
        line = (0, (4, 2)) if boundary.kind == "edge" else "-"
        ax.axvline(boundary.step, color=BOUNDARY, linewidth=1.4, linestyle=line)
    for dropped in stages.dropped:
        unsure = {"color": BOUNDARY, "linewidth": 2.5, "linestyle": (0, (1, 1)), "alpha": 0.8}
        foot = ax.get_xaxis_transform()
        ax.plot([dropped.low, dropped.high], [0.02, 0.02], transform=foot, **unsure)


def _labels(ax, stages: Stages, width: float):
    """Steps above the lines of a panel of so many inches, each in the lowest row with room."""
    text = {"ha": "center", "va": "bottom", "fontsize": 9, "color": BOUNDARY}
    taken: list[float] = []  # where the last label of each row ends, in inches
    for boundary in stages.boundaries:
        label = style.short_step(boundary.step)
        middle, half = width * _share_of_axis(ax, boundary.step), LETTER * (len(label) + 1) / 2
        rows = [row for row, end in enumerate(taken) if end <= middle - half]
        row = rows[0] if rows else len(taken)
        taken[row : row + 1] = [middle + half]
        ax.annotate(
            label,
            (boundary.step, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 1 + ROW * row),
            textcoords="offset points",
            annotation_clip=False,
            **text,
        )


def _share_of_axis(ax, step: float) -> float:
    """How far along the axis of steps a step is, 0 to 1."""
    low, high, at = ax.transScale.transform([(x, 0) for x in (*ax.get_xlim(), step)])[:, 0]
    return float((at - low) / (high - low))


def _axis(ax, searched: Sequence[Stages]):
    """Decades of all steps that were searched, and step 0 where it was."""
    from matplotlib.ticker import NullLocator

    first = min(float(stages.steps_used[0]) for stages in searched)
    last = max(float(stages.steps_used[-1]) for stages in searched)
    style.step_axis(ax, [int(first), int(np.ceil(last))])
    ticks = [0] if first < 1 else []
    ticks += [int(tick) for tick in 10.0 ** np.arange(0, 10) if first <= tick <= last]
    ax.set_xticks(ticks, [style.short_step(tick) for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(right=last * 1.03)
