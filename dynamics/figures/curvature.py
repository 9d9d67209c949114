"""Panels of the Hessian of the loss. Nats per squared weight."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curves import Curve
from dynamics.figures import style


def trace(found: Sequence[Curve], look: style.Look):
    """Hessian trace of every model."""
    figure, ax = style.axes("Hessian trace (nats / weight²)")
    style.lines(ax, found, look)
    positive = all(np.nanmin(np.r_[curve.value, curve.low]) > 0 for curve in found)
    style.log_y(ax) if positive else style.signed_log_y(ax, np.concatenate([curve.value for curve in found]))
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


def _finished(figure, ax, found: Sequence[Curve]):
    style.step_axis(ax, np.concatenate([curve.steps for curve in found]).tolist())
    style.legend(figure, ax, columns=4)
    return figure
