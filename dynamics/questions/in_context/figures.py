"""Figures of in-context learning: what a longer context is worth, over training.

Their captions are in `section`.
"""

from collections.abc import Sequence

from dynamics.analysis.curve import all_steps
from dynamics.figures import style
from dynamics.questions.in_context.findings import ContextBenefit


def score(models: Sequence[ContextBenefit], look: style.Look):
    """The in-context score of every model with standard errors over seeds, against no help."""
    figure, ax = style.axes("difference of surprisal\n(nats)")
    curves = [benefit.score for benefit in models]
    style.lines(ax, curves, look)
    style.reference(ax, 0, "")
    return style.over_steps(figure, ax, all_steps(curves))


def surprisals(benefit: ContextBenefit):
    """One model's surprisal of the token given the short context and given the long one."""
    figure, ax = style.axes("surprisal (nats)")
    curves = {benefit.short: benefit.given_short, benefit.long: benefit.given_long}
    for (length, curve), color, marker in zip(
        curves.items(), style.CATEGORIES, style.MARKERS, strict=False
    ):
        label = f"given {length} tokens before it"
        ax.plot(curve.steps, curve.value, color=color, marker=marker, markersize=5, label=label)
        if curve.has_errors:
            style.bars(ax, curve, color)
    return style.over_steps(figure, ax, all_steps(list(curves.values())), columns=1)
