"""The curves of a model above one another, each with its slope and its boundaries."""

import numpy as np

from dynamics.figures import readout, style
from dynamics.questions.icl_regression.findings import Picture, Quantity

CURVE, OURS, PUBLISHED = style.LIGHT_RAMP[0], style.CATEGORIES[1], style.CATEGORIES[2]
LEVEL, SLOPE = 1.15, 0.75  # inches of a row of values, and of one of slopes


def stack(picture: Picture):
    """Every quantity over ln(step + 1), values above and slopes below; boundaries of its own.

    Lines and shades are the boundaries by the project's rule with their intervals, triangles at the
    foot those by the paper's. Markers are hollow where chains were not local.
    """
    rows = len(picture.quantities)
    figure = style.sheet((style.SIZE[0], rows * (LEVEL + SLOPE) + 0.6))
    ratios = (LEVEL, SLOPE) * rows
    axes = figure.subplots(2 * rows, 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for above, below, one in zip(axes[::2], axes[1::2], picture.quantities, strict=True):
        _level(above, one)
        _slope(below, one)
        for ax in (above, below):
            _boundaries(ax, one)
        _published(above, one)
    steps = np.unique(np.concatenate([one.curve.steps for one in picture.quantities]))
    style.step_axis(axes[-1], steps.tolist())
    axes[-1].set_xlabel("training step", fontsize=10, color=style.INK)
    figure.align_ylabels(axes)
    _legend(figure)
    return figure


def _level(ax, one: Quantity):
    style.dress(ax, one.label.replace("Hessian ", "Hessian\n"), "")
    curve = one.curve
    band = {"color": CURVE, "alpha": 0.2, "linewidth": 0}
    ax.fill_between(curve.steps, curve.low, curve.high, **band)
    (line,) = ax.plot(curve.steps, curve.value, color=CURVE, linewidth=1.5)
    readout.set_series(line, one.label, curve.low, curve.high)
    points = {"color": CURVE, "linestyle": "none", "marker": "o", "markersize": 3.2}
    ax.plot(curve.steps[one.trusted], curve.value[one.trusted], **points)
    ax.plot(curve.steps[~one.trusted], curve.value[~one.trusted], fillstyle="none", **points)
    ax.tick_params(labelbottom=False)


def _slope(ax, one: Quantity):
    style.dress(ax, "per\ne-fold", "")
    if one.ours is None:
        ax.set_yticks([])
        place = {"transform": ax.transAxes, "ha": "center", "va": "center"}
        ax.text(0.5, 0.5, "too few checkpoints", fontsize=9, color=style.QUIET, **place)
        return
    low, high = one.slope - 2 * one.slope_sd, one.slope + 2 * one.slope_sd
    ax.fill_between(one.curve.steps, low, high, color=style.QUIET, alpha=0.2, linewidth=0)
    (line,) = ax.plot(one.curve.steps, one.slope, color=style.QUIET, linewidth=1.3)
    readout.set_series(line, f"slope of {one.label}", low, high)
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    room = 0.3 * float(np.ptp(one.slope)) or 1.0  # bands, widest where no point is, may outgrow it
    ax.set_ylim(one.slope.min() - room, one.slope.max() + room)


def _boundaries(ax, one: Quantity):
    for boundary in one.ours.boundaries if one.ours else ():
        ax.axvspan(boundary.low, boundary.high, color=OURS, alpha=0.15, linewidth=0)
        dashes = (0, (4, 2)) if boundary.kind == "edge" else "-"
        ax.axvline(boundary.step, color=OURS, linewidth=1.3, linestyle=dashes)


def _published(ax, one: Quantity):
    places = [boundary.step for boundary in one.published.boundaries] if one.published else []
    if not places:
        return
    foot = {"transform": ax.get_xaxis_transform(), "clip_on": False, "zorder": 3}
    ax.plot(places, [0.0] * len(places), "^", color=PUBLISHED, markersize=5, **foot)


def _legend(figure):
    from matplotlib.lines import Line2D

    kinds = [
        Line2D([], [], color=OURS, linewidth=1.3, label="boundary"),
        Line2D([], [], color=PUBLISHED, marker="^", linestyle="none", label="by the paper's rule"),
        Line2D([], [], color=CURVE, marker="o", fillstyle="none", linestyle="none",
               label="not local"),
    ]  # fmt: skip
    figure.legend(
        handles=kinds, loc="outside upper left", ncols=3, frameon=False, fontsize=9,
        labelcolor=style.INK, handlelength=1.4, columnspacing=1.0, borderpad=0.1,
    )  # fmt: skip
