"""Panels of minimal pairs: which of two sentences is better, by models of different seeds."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis import minimal_pairs
from dynamics.analysis.minimal_pairs import Judgements
from dynamics.figures import style


def seed_kl(found: Sequence[Judgements], look: style.Look):
    """KL of the two-sentence distributions between seeds, with the 95 % interval over seeds as a
    band."""
    figure, ax = style.axes("KL between seeds (nats per pair)")
    drawn = [minimal_pairs.seed_kl(one) for one in found]
    style.lines(ax, drawn, look, band=True)
    ax.set_ylim(0, style.ceiling(drawn))
    return _finished(figure, ax, found)


def accuracy(found: Sequence[Judgements], look: style.Look):
    """Share of pairs judged right, with standard errors over tasks, against a guess."""
    figure, ax = style.axes("accuracy")
    style.lines(ax, [minimal_pairs.accuracy(one) for one in found], look)
    style.reference(ax, 0.5, "a guess", at="left")
    return _finished(figure, ax, found)


def phenomena(found: Judgements):
    """KL between seeds of each phenomenon (rows, the most divergent above) at each checkpoint
    (columns)."""
    pooled = minimal_pairs.phenomena(found)
    rows = len(pooled.names)
    figure = style.sheet((4.4, 1.0 + 0.2 * rows))
    ax = figure.add_subplot()
    style.dress(ax, "", "training step")
    ax.grid(False)
    top = float(pooled.kl.max()) or 1.0
    image = ax.imshow(
        pooled.kl.T, aspect="auto", cmap="viridis", vmin=0, vmax=top, interpolation="nearest"
    )
    ticks = np.unique(
        np.linspace(0, len(found.steps) - 1, min(6, len(found.steps))).round().astype(int)
    )
    ax.set_xticks(ticks, [style.step_label(int(found.steps[k])) for k in ticks])
    ax.set_yticks(range(rows), pooled.names, fontsize=8 if rows < 30 else 5)
    bar = figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label("KL (nats per pair)", fontsize=9, color=style.INK)
    bar.ax.tick_params(labelsize=8.5, labelcolor=style.INK, color=style.QUIET)
    bar.outline.set_visible(False)
    return figure


def _finished(figure, ax, found: Sequence[Judgements]):
    style.step_axis(ax, np.concatenate([one.steps for one in found]).tolist())
    style.legend(figure, ax)
    return figure
