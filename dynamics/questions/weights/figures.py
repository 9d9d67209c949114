"""Figures of the spread of weights over training. Units are those of the weights.

Their captions are in `section`.
"""

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.weights.findings import Spread

_ORDER = (
    "embed",
    "unembed",
    "unembed_centred",
    "attention_qkv",
    "attention_out",
    "mlp_up",
    "mlp_down",
)


def density(spread: Spread, matrix: str):
    """Heat map of the logarithm of one matrix's density, a column for each checkpoint."""
    figure, ax = style.axes("weight")
    values = spread.density[matrix]  # [K,N]
    logs = np.log10(np.where(values > 0, values, np.nan))
    columns = np.arange(len(spread.steps) + 1) - 0.5
    width = spread.center[1] - spread.center[0]
    bins = np.append(spread.center - width / 2, spread.center[-1] + width / 2)
    # Rasterised: a page of some thousand rectangles is slow to draw and to load.
    mesh = ax.pcolormesh(columns, bins, logs.T, cmap="viridis", rasterized=True, shading="flat")
    occupied = np.abs(spread.center[np.flatnonzero((values > 0).any(0))]).max() + width
    ax.set_ylim(-occupied, occupied)
    ax.grid(False)
    style.step_columns(ax, spread.steps, most=7)
    style.colour_bar(figure, ax, mesh, "log₁₀ density (per unit of weight)")
    return figure


def moment(curves: dict[str, Curve], ylabel: str, level: float):
    """A moment of every matrix over steps, with a line at the `level` that it has at the start."""
    figure, ax = style.axes(ylabel)
    looks = zip(ordered(curves), style.CATEGORIES * 2, style.MARKERS * 2, strict=False)
    for name, color, marker in looks:
        curve = curves[name]
        form = {"color": color, "marker": marker, "markersize": 4.5, "linewidth": 1.4}
        ax.plot(curve.steps, curve.value, label=name, **form)
        if curve.has_errors:
            style.bars(ax, curve, color)
    ax.axhline(level, color=style.QUIET, linewidth=0.8)
    return style.over_steps(figure, ax, next(iter(curves.values())).steps)


def ordered(matrices) -> list[str]:
    """Names of matrices in the order in which a token meets them."""
    places = {name: k for k, name in enumerate(_ORDER)}
    return sorted(matrices, key=lambda name: (places.get(name, len(_ORDER)), name))
