"""Figures of the divergence of seeds beside the surprisal of n-grams. Nats, or per cent.

Their captions are in `section`.
"""

from collections.abc import Mapping, Sequence

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import over_training, readout, style
from dynamics.questions.predictability.findings import Predictability


def explained(models: Sequence[Predictability], look: style.Look):
    """What n-grams explain of the divergence of single predictions, with bands."""
    curves = [model.explained for model in models]
    return over_training.panel(
        curves, look, "variance of KL explained (%)", band=True, from_zero=True
    )


def by_order(named: Mapping[int, Curve], ylabel: str):
    """One model's curves by the n of an n-gram, with bars."""
    figure, ax = style.axes(ylabel)
    for (n, curve), color, marker in zip(
        named.items(), style.CATEGORIES, style.MARKERS, strict=False
    ):
        form = {"color": color, "marker": marker, "markersize": 4.5, "linewidth": 1.6}
        (line,) = ax.plot(curve.steps, curve.value, **form, label=f"n = {n}")
        readout.set_series(line, f"n = {n}", curve.low, curve.high)
        if curve.has_errors:
            style.bars(ax, curve, color)
    ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, all_steps(list(named.values())), columns=5)
