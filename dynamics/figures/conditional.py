"""Panels of convergence by a property of tokens, and of the regression on such properties."""

from collections.abc import Sequence

from dynamics.analysis.conditional import Condition
from dynamics.analysis.curves import Curve
from dynamics.analysis.regression import Regression
from dynamics.figures import style

FREQUENCY = "ln frequency"


def condition(found: Condition):
    """KL between seeds of every bin above, cross-entropy of the same predictions below, each with
    its errors' band."""
    figure = style.sheet((4.4, 4.6 + 0.17 * (-(-len(found.bins) // 2))))
    upper, lower = figure.subplots(2, 1, sharex=True)
    style.dress(upper, "KL between seeds (nats)", "")
    style.dress(lower, "cross-entropy (nats)", "training step")
    for one, look in zip(found.bins, _looks(found), strict=True):
        _line(upper, one.kl, one.name, look)
        _line(lower, one.cross_entropy, None, look)
    upper.set_ylim(bottom=0)
    lower.set_ylim(bottom=0)
    style.step_axis(lower, found.bins[0].kl.steps.tolist())
    style.legend(figure, upper, columns=2)
    return figure


def frequency_coefficient(found: Regression):
    """How much convergence a factor e of frequency is worth, at every step, with its 95 %
    limits."""
    figure, ax = style.axes("coefficient (nats per ln frequency)")
    value, low, high = found.coefficient(FREQUENCY)
    curve = Curve(model="", steps=found.steps, value=value, low=low, high=high, rests_on="95 %")
    _line(ax, curve, None, {"color": style.CATEGORIES[0], "marker": "o"})
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    style.step_axis(ax, found.steps.tolist())
    return figure


def size_coefficients(found: Regression, look: style.Look):
    """Convergence of every model beyond the smallest one's, at every step, with its 95 % limits."""
    figure, ax = style.axes(f"convergence beyond {found.models[0]} (nats)")
    for model in found.models[1:]:
        value, low, high = found.coefficient(f"model: {model}")
        curve = Curve(
            model=model, steps=found.steps, value=value, low=low, high=high, rests_on="95 %"
        )
        _line(ax, curve, model, look[model])
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    style.step_axis(ax, found.steps.tolist())
    style.legend(figure, ax)
    return figure


def _looks(found: Condition) -> Sequence[dict]:
    count = len(found.bins)
    colors = style.ramp(count) if found.ordered else style.CATEGORIES
    looks = [
        {"color": colors[k % len(colors)], "marker": style.MARKERS[k % len(style.MARKERS)]}
        for k in range(count)
    ]
    return [{**look, "linestyle": "-" if k < len(colors) else "--"} for k, look in enumerate(looks)]


def _line(ax, curve: Curve, label: str | None, look: dict):
    ax.plot(curve.steps, curve.value, label=label, markersize=4, linewidth=1.5, **look)
    if curve.has_errors:
        ax.fill_between(
            curve.steps, curve.low, curve.high, color=look["color"], alpha=0.18, linewidth=0
        )
