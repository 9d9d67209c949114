"""Panels of the spread of weights over training. Units are those of the weights."""

import numpy as np

from dynamics.analysis.curves import Curve, Weights
from dynamics.figures import style

_ORDER = (
    "embed",
    "unembed",
    "unembed_centred",
    "attention_qkv",
    "attention_out",
    "mlp_up",
    "mlp_down",
)


def density(found: Weights, matrix: str):
    """Heat map of log10 density, a column per checkpoint, of one matrix."""
    figure, ax = style.axes("weight")
    values = found.density[matrix]  # [K, N]
    logs = np.log10(np.where(values > 0, values, np.nan))
    edges = np.arange(len(found.steps) + 1) - 0.5
    width = found.center[1] - found.center[0]
    bins = np.append(found.center - width / 2, found.center[-1] + width / 2)
    # Rasterised: a page of some thousand rectangles is slow to draw and to load.
    mesh = ax.pcolormesh(edges, bins, logs.T, cmap="viridis", rasterized=True, shading="flat")
    occupied = np.abs(found.center[np.flatnonzero((values > 0).any(0))]).max() + width
    ax.set_ylim(-occupied, occupied)
    ax.grid(False)
    shown = style.step_ticks(found.steps.tolist())
    ax.set_xticks(
        [list(found.steps).index(step) for step in shown],
        [style.step_label(step) for step in shown],
    )
    bar = figure.colorbar(mesh, ax=ax, pad=0.02)
    if bar.solids is not None:
        bar.solids.set_rasterized(True)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9.5, labelcolor=style.INK, color=style.QUIET)
    bar.set_label("log₁₀ density", fontsize=10, color=style.INK)
    return figure


def moment(found: dict[str, Curve], ylabel: str, level: float):
    """A moment of every matrix (matrix -> curve) over steps, with a line at the `level` that means
    nothing happened."""
    figure, ax = style.axes(ylabel)
    names = sorted(
        found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
    )
    for name, color, marker in zip(names, style.CATEGORIES * 2, style.MARKERS * 2, strict=False):
        curve = found[name]
        ax.plot(
            curve.steps,
            curve.value,
            color=color,
            marker=marker,
            markersize=4.5,
            linewidth=1.4,
            label=name,
        )
        if curve.has_errors:
            style.bars(ax, curve, color)
    ax.axhline(level, color=style.QUIET, linewidth=0.8)
    style.step_axis(ax, next(iter(found.values())).steps.tolist())
    style.legend(figure, ax)
    return figure
