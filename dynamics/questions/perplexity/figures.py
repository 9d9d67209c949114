"""Figures of perplexity: over training, and by the length of the prefix.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import style
from dynamics.questions.perplexity.findings import ByPrefix, Perplexity


def over_training(
    curves: Sequence[Curve],
    look: style.Look,
    ylabel: str,
    references: Sequence[float] = (),
    named: str = "uniform over the vocabulary",
):
    """A perplexity of every model, against that of a model that knows nothing."""
    figure, ax = style.axes(ylabel)
    style.lines(ax, curves, look)
    for value in references:
        style.reference(ax, value, named)
    style.log_y(ax)
    return style.over_steps(figure, ax, all_steps(curves))


def share(curves: Sequence[Curve], look: style.Look, ylabel: str, references: Sequence = ()):
    """A share of every model, from zero; references are (value, text)."""
    figure, ax = style.axes(ylabel)
    style.lines(ax, curves, look)
    for value, text in references:
        style.reference(ax, value, text, at="left")
    ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, all_steps(curves))


def by_prefix(model: Perplexity, shown: ByPrefix):
    """What the model wrote and what the text has there, by how much of the text it had read."""
    figure, ax = style.axes("perplexity", "tokens of the prefix")
    curves = {"what the text has": shown.text, "what the model wrote": shown.completion}
    for (label, curve), color in zip(curves.items(), style.CATEGORIES, strict=False):
        ax.plot(curve.steps, curve.value, color=color, linewidth=1.6, label=label)
        if curve.has_errors:
            ends = np.isfinite(curve.low) & np.isfinite(curve.high)
            band = curve.where(ends)
            ax.fill_between(band.steps, band.low, band.high, color=color, alpha=0.2, linewidth=0)
    style.reference(ax, 1, "always certain", at="left")
    style.log_y(ax)
    style.legend(figure, ax, columns=2)
    return figure
