"""Figures of the Hessian of the loss.

Axes: K checkpoints, M parts. Units are nats per squared weight.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import style
from dynamics.questions.curvature.findings import (
    BesideLlc,
    Curvature,
    FirstSeed,
    PartTraces,
    Spectrum,
)

UNIT = "(nats / weight²)"


def trace(models: Sequence[Curvature], look: style.Look):
    """Hessian trace of every model."""
    figure, ax = style.axes("Hessian trace (nats / weight²)")
    curves = [model.trace for model in models]
    style.lines(ax, curves, look)
    if all(np.nanmin(np.r_[curve.value, curve.low]) > 0 for curve in curves):
        style.log_y(ax)
    else:
        style.signed_log_y(ax, _values(curves))
    return style.over_steps(figure, ax, all_steps(curves))


def ends(models: Sequence[Curvature], look: style.Look):
    """The two ends of the spectrum: largest solid, smallest dashed."""
    figure, ax = style.axes("Hessian eigenvalue (nats / weight²)")
    largest, smallest = [m.largest for m in models], [m.smallest for m in models]
    style.lines(ax, largest, look)
    style.lines(ax, smallest, look, linestyle="--", label=None)
    ax.plot([], [], "-", color=style.QUIET, label="largest")
    ax.plot([], [], "--", color=style.QUIET, label="smallest")
    style.signed_log_y(ax, _values([*largest, *smallest]))
    return style.over_steps(figure, ax, all_steps(largest), columns=4)


def spectrum(seed: FirstSeed, shown: Spectrum, look: style.Look):
    """The density of eigenvalues on a logarithmic axis: nearly all of them lie at zero."""
    figure, ax = style.axes("density (per unit of eigenvalue)", f"Hessian eigenvalue {UNIT}")
    curve = Curve.with_sem(seed.model, shown.points, shown.density, shown.sem, "")
    style.lines(ax, [curve], look, band=True, marker="none")
    floor = max(float(shown.density.max()) * 1e-9, float(shown.density[shown.density > 0].min()))
    ax.set_ylim(floor, 3 * float(shown.density.max()))
    ax.set_yscale("log", nonpositive="clip")  # after its limits: a band may reach below zero
    return figure


def _values(curves: Sequence[Curve]) -> np.ndarray:
    return np.concatenate([curve.value for curve in curves])


def sharpness(seeds: Sequence[FirstSeed], look: style.Look):
    """Learning rate times the largest eigenvalue over 2, against gradient descent's bound of 1."""
    figure, ax = style.axes("sharpness η λ / 2")
    for seed in seeds:
        moving = seed.sharpness > 0  # the first step of a warm-up has no rate
        line = {"markersize": 5, "linewidth": 1.6, **look[seed.model]}
        ax.plot(seed.steps[moving], seed.sharpness[moving], label=seed.model, **line)
    style.reference(ax, 1.0, "gradient descent's bound", at="left")
    style.log_y(ax)
    return style.over_steps(figure, ax, np.unique(np.concatenate([s.steps for s in seeds])))


def parts(seed: FirstSeed, traces: PartTraces):
    """Trace of each part (rows) at each checkpoint (columns).

    Its scale is logarithmic on both sides of zero.
    """
    from matplotlib.colors import SymLogNorm

    rows = len(traces.names)
    figure, ax = style.axes("", size=(4.4, 1.2 + 0.24 * rows))
    ax.grid(False)
    largest = float(np.abs(traces.trace).max()) or 1.0
    decade = 10.0 ** np.floor(np.log10(largest))
    norm = SymLogNorm(linthresh=decade / 100, linscale=0.5, vmin=-largest, vmax=largest, base=10)
    colours = {"cmap": "PuOr_r", "norm": norm, "interpolation": "nearest"}
    image = ax.imshow(traces.trace.T, aspect="auto", **colours)
    style.step_columns(ax, seed.steps)
    ax.set_yticks(range(rows), traces.names)
    bar = style.colour_bar(figure, ax, image, "trace (nats / weight²)")
    marks = decade * np.array([0.01, 0.1, 1])
    ticks = [*-marks[::-1], 0, *marks]
    bar.set_ticks(ticks, labels=[style.plain(mark) for mark in ticks])
    bar.ax.minorticks_off()
    return figure


def beside_llc(seed: FirstSeed, beside: BesideLlc, look: style.Look):
    """The LLC above, hollow where it is not local; below it each statistic on its own panel.

    After Fig. B.4 of "Loss Landscape Degeneracy and Stagewise Development in Transformers".
    """
    curves = {_with_unit(name): curve for name, curve in seed.statistics.items()}
    figure = style.sheet((4.4, 1.0 + 1.15 * (1 + len(curves))))
    panels = figure.subplots(1 + len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for ax, title in zip(panels, ["LLC", *curves], strict=True):
        style.dress(ax, "", "")
        ax.set_title(title, fontsize=9.5, color=style.INK, loc="left", pad=3)
    style.hollow_elsewhere(panels[0], beside.llc, beside.local, look)
    for ax, curve in zip(panels[1:], curves.values(), strict=True):
        style.lines(ax, [curve], look)
    for ax, curve in zip(panels, [beside.llc, *curves.values()], strict=True):
        if (curve.value <= 0).any():
            ax.axhline(0, color=style.QUIET, linewidth=0.8)
    style.step_axis(panels[-1], seed.steps.tolist())
    panels[-1].set_xlabel("training step", fontsize=10, color=style.INK)
    return figure


def _with_unit(statistic: str) -> str:
    return statistic if "rank" in statistic else f"{statistic} (nats / weight²)"
