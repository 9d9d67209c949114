"""Figures of minimal pairs: which of two sentences is better, by models of different seeds.

Their captions are in `section`.
"""

from collections.abc import Sequence

from dynamics.analysis.curve import all_steps
from dynamics.figures import style
from dynamics.questions.minimal_pairs.findings import Judgements


def accuracy(models: Sequence[Judgements], look: style.Look):
    """Share of pairs judged right, with standard errors over tasks, against a guess."""
    figure, ax = style.axes("accuracy")
    curves = [judgements.accuracy for judgements in models]
    style.lines(ax, curves, look)
    style.reference(ax, 0.5, "a guess", at="left")
    return style.over_steps(figure, ax, all_steps(curves))


def phenomena(judgements: Judgements):
    """KL between seeds of each phenomenon (rows, most divergent above) at each step (columns)."""
    pooled = judgements.phenomena
    rows = len(pooled.names)
    figure, ax = style.axes("", size=(4.4, 1.0 + 0.2 * rows))
    ax.grid(False)
    top = float(pooled.kl.max()) or 1.0
    colours = {"cmap": "viridis", "vmin": 0, "vmax": top}
    image = ax.imshow(pooled.kl.T, aspect="auto", interpolation="nearest", **colours)
    style.step_columns(ax, judgements.steps)
    ax.set_yticks(range(rows), pooled.names, fontsize=8 if rows < 30 else 5)
    style.colour_bar(figure, ax, image, "KL (nats per pair)")
    return figure
