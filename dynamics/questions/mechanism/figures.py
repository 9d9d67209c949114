"""Figures of heads, units and precision over training.

Axes: K checkpoints, J heads, L layers.

Their captions are in `section`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import style
from dynamics.questions.mechanism.findings import DeadUnits, HeadScores

_LEAST = 0.01  # nats below which an increase in loss is drawn as good as none


def highest(scores: Sequence[HeadScores], look: style.Look, ylabel: str):
    """The highest score of any head, against that of uniform attention."""
    figure, ax = style.axes(ylabel)
    curves = [score.highest for score in scores]
    style.lines(ax, curves, look)
    for value in sorted({score.uniform for score in scores}):
        style.reference(ax, value, "")
    ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, all_steps(curves))


def by_head(score: HeadScores, steps: np.ndarray, label: str):
    """Score of each head (rows) at each checkpoint (columns)."""
    return _heat_map(score.by_head, score.names, steps, label, "layer.head")


def dead_by_layer(units: DeadUnits, steps: np.ndarray):
    """Share of dead units of each layer (rows) at each checkpoint (columns)."""
    names = [f"layer {layer}" for layer in range(units.by_layer.shape[1])]
    return _heat_map(units.by_layer, names, steps, "dead units (share)", "")


def _heat_map(values: np.ndarray, names: Sequence[str], steps: np.ndarray, label: str, ylabel: str):
    """values [K, rows], from 0."""
    rows = len(names)
    figure, ax = style.axes(ylabel, size=(4.4, 1.3 + 0.2 * rows))
    ax.grid(False)
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    image = ax.imshow(
        values.T, aspect="auto", cmap="viridis", vmin=0, vmax=top, interpolation="nearest"
    )
    style.step_columns(ax, steps)
    ax.set_yticks(range(rows), names)
    style.colour_bar(figure, ax, image, label)
    return figure


def units(models: Sequence[DeadUnits], look: style.Look):
    """Dead units solid, rarely active ones dashed."""
    figure, ax = style.axes("share of MLP units")
    dead, rare = [m.dead for m in models], [m.rare for m in models]
    style.lines(ax, dead, look, quantity="never active")
    style.lines(ax, rare, look, linestyle="--", label=None, quantity="rarely active")
    ax.plot([], [], "-", color=style.QUIET, label="never active")
    ax.plot([], [], "--", color=style.QUIET, label="rarely active")
    ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, all_steps(dead), columns=4)


def increase(curves: Mapping[str, Curve]):
    """What each rule costs, logarithmic above _LEAST; a line for each rule."""
    figure, ax = style.axes("increase in loss (nats)")
    for (label, curve), color, marker in zip(
        curves.items(), style.CATEGORIES, style.MARKERS, strict=False
    ):
        line = {"color": color, "marker": marker, "markersize": 5, "linewidth": 1.6}
        ax.plot(curve.steps, curve.value, label=label, **line)
        if curve.has_errors:
            style.bars(ax, curve, color)
    sizes = [np.abs(curve.value) for curve in curves.values()]
    style.signed_log_y(ax, np.maximum(np.concatenate(sizes), _LEAST))
    fits = style.legend_columns(figure, list(curves), 4) == 4
    return style.over_steps(figure, ax, all_steps(list(curves.values())), columns=4 if fits else 2)
