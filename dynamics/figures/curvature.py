"""Panels of the Hessian of the loss. Nats per squared weight."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curves import Curve
from dynamics.analysis.hessians import NAMES, Hessians
from dynamics.figures import style


def trace(found: Sequence[Curve], look: style.Look):
    """Hessian trace of every model."""
    figure, ax = style.axes("Hessian trace (nats / weight²)")
    style.lines(ax, found, look)
    positive = all(np.nanmin(np.r_[curve.value, curve.low]) > 0 for curve in found)
    style.log_y(ax) if positive else style.signed_log_y(
        ax, np.concatenate([curve.value for curve in found])
    )
    return _finished(figure, ax, found)


def extremes(largest: Sequence[Curve], smallest: Sequence[Curve], look: style.Look):
    """The two ends of the spectrum: largest solid, smallest dashed."""
    figure, ax = style.axes("Hessian eigenvalue (nats / weight²)")
    style.lines(ax, largest, look)
    style.lines(ax, smallest, look, linestyle="--", label=None)
    ax.plot([], [], color=style.QUIET, linestyle="-", label="largest")
    ax.plot([], [], color=style.QUIET, linestyle="--", label="smallest")
    style.signed_log_y(ax, np.concatenate([curve.value for curve in (*largest, *smallest)]))
    return _finished(figure, ax, largest)


def sharpness(found: Sequence[Hessians], look: style.Look):
    """Learning rate times the largest eigenvalue over 2, against gradient descent's bound of 1."""
    figure, ax = style.axes("η λ / 2")
    for one in found:
        moving = one.sharpness > 0  # the first step of a warm-up has no rate
        steps, values = one.steps[moving], one.sharpness[moving]
        ax.plot(steps, values, label=one.model, markersize=5, linewidth=1.6, **look[one.model])
    style.reference(ax, 1.0, "gradient descent's bound", at="left")
    style.log_y(ax)
    style.step_axis(ax, np.concatenate([one.steps for one in found]).tolist())
    style.legend(figure, ax)
    return figure


def parts(found: Hessians):
    """Trace of each part (rows) at each checkpoint (columns), on a scale that is logarithmic on
    both sides of zero."""
    from matplotlib.colors import SymLogNorm

    rows = len(found.parts)
    figure = style.sheet((4.4, 1.2 + 0.24 * rows))
    ax = figure.add_subplot()
    style.dress(ax, "", "training step")
    ax.grid(False)
    largest = float(np.abs(found.part_trace).max()) or 1.0
    decade = 10.0 ** np.floor(np.log10(largest))
    norm = SymLogNorm(linthresh=decade / 100, linscale=0.5, vmin=-largest, vmax=largest, base=10)
    image = ax.imshow(
        found.part_trace.T, aspect="auto", cmap="PuOr_r", norm=norm, interpolation="nearest"
    )
    ticks = np.unique(
        np.linspace(0, len(found.steps) - 1, min(7, len(found.steps))).round().astype(int)
    )
    ax.set_xticks(ticks, [style.step_label(int(found.steps[k])) for k in ticks])
    ax.set_yticks(range(rows), found.parts)
    bar = figure.colorbar(image, ax=ax, pad=0.02)
    marks = decade * np.array([0.01, 0.1, 1])
    bar.set_ticks(
        [*-marks[::-1], 0, *marks], labels=[style.plain(m) for m in (*-marks[::-1], 0, *marks)]
    )
    bar.ax.minorticks_off()
    bar.set_label("trace (nats / weight²)", fontsize=9, color=style.INK)
    bar.ax.tick_params(labelsize=8.5, labelcolor=style.INK, color=style.QUIET)
    bar.outline.set_visible(False)
    return figure


def beside_llc(found: Hessians, look: style.Look):
    """The LLC above, and below it each Hessian statistic on a panel of its own (paper Fig. B.4)."""
    named = {name: curve for name, curve in found.curves.items() if name in NAMES}
    figure = style.sheet((4.4, 1.0 + 1.15 * (1 + len(named))))
    panels = figure.subplots(1 + len(named), 1, sharex=True, squeeze=False)[:, 0]
    assert found.llc is not None
    for ax, (title, curve) in zip(
        panels, [("LLC", found.llc), *((NAMES[n], c) for n, c in named.items())], strict=True
    ):
        style.dress(ax, "", "")
        ax.set_title(title, fontsize=9.5, color=style.INK, loc="left", pad=3)
        style.lines(ax, [curve], look)
        if (curve.value <= 0).any():
            ax.axhline(0, color=style.QUIET, linewidth=0.8)
    style.step_axis(panels[-1], found.steps.tolist())
    panels[-1].set_xlabel("training step", fontsize=10, color=style.INK)
    return figure


def _finished(figure, ax, found: Sequence[Curve]):
    style.step_axis(ax, np.concatenate([curve.steps for curve in found]).tolist())
    style.legend(figure, ax, columns=4)
    return figure
