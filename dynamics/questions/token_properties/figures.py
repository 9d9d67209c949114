"""Figures of convergence by a property of tokens, and of the regression on such properties.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import readout, style
from dynamics.questions.token_properties.conditions import Condition
from dynamics.questions.token_properties.contrasts import Contrast
from dynamics.questions.token_properties.equation6 import FREQUENCY, Regression


def condition(by_bin: Condition):
    """KL between seeds of every bin above, cross-entropy of the same predictions below."""
    figure, upper, lower = _two_rows(by_bin, ("KL between seeds (nats)", "cross-entropy (nats)"))
    upper.set_ylim(bottom=0)
    lower.set_ylim(bottom=0)
    return figure


def contrast(by_bin: Contrast):
    """The smaller model less the larger one: KL between seeds above, cross-entropy below."""
    names = "difference of KL (nats)", "of cross-entropy (nats)"
    figure, upper, lower = _two_rows(by_bin, names)
    for ax, of_bins in (
        (upper, [part.kl for part in by_bin.bins]),
        (lower, [part.cross_entropy for part in by_bin.bins]),
    ):
        # The limits of a bin of two documents may be many times as long as its curve is high.
        values = np.concatenate([curve.value for curve in of_bins])
        reach = 1.6 * float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -reach), min(high, reach))
        ax.axhline(0, color=style.QUIET, linewidth=0.9)
    return figure


def _two_rows(by_bin: Condition | Contrast, names: tuple[str, str]):
    """A figure with every bin's KL above and its cross-entropy below."""
    rows = -(-len(by_bin.bins) // 2)
    figure = style.sheet((4.4, 4.6 + 0.17 * rows))
    upper, lower = figure.subplots(2, 1, sharex=True)
    style.dress(upper, names[0], "")
    style.dress(lower, names[1], "training step")
    for part, look in zip(by_bin.bins, _looks(by_bin), strict=True):
        _line(upper, part.kl, part.name, look)
        _line(lower, part.cross_entropy, part.name, look)
    style.step_axis(lower, by_bin.bins[0].kl.steps.tolist())
    style.legend(figure, upper, columns=2)
    return figure, upper, lower


def frequency_coefficient(regression: Regression):
    """How much convergence a factor e of frequency is worth, with its 95 % limits."""
    figure, ax = style.axes("coefficient (nats per ln frequency)")
    look = {"color": style.CATEGORIES[0], "marker": "o"}
    _line(ax, regression.coefficient(FREQUENCY), FREQUENCY, look)
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    return style.over_steps(figure, ax, regression.steps)


def size_coefficients(regression: Regression, look: style.Look):
    """Convergence of every model beyond the smallest one's, with its 95 % limits."""
    figure, ax = style.axes(f"convergence beyond {regression.models[0]} (nats)")
    for model in regression.models[1:]:
        _line(ax, regression.coefficient(f"model: {model}"), model, look[model])
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    return style.over_steps(figure, ax, regression.steps)


def word_coefficients(regression: Regression, group: str, reference: str):
    """Convergence of every kind of word beyond the reference's, with its 95 % limits."""
    figure, ax = style.axes(f"convergence beyond {reference} (nats)")
    names = [name for name in regression.names if name.startswith(f"{group}: ")]
    for k, name in enumerate(names):
        look = {
            "color": style.CATEGORIES[k % len(style.CATEGORIES)],
            "marker": style.MARKERS[k % len(style.MARKERS)],
        }
        _line(ax, regression.coefficient(name), name.removeprefix(f"{group}: "), look)
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    return style.over_steps(figure, ax, regression.steps)


def _looks(by_bin: Condition | Contrast) -> Sequence[dict]:
    """A colour and a marker for each bin: along a ramp where bins are ordered."""
    count = len(by_bin.bins)
    colors = style.ramp(count) if by_bin.ordered else style.CATEGORIES
    return [
        {
            "color": colors[k % len(colors)],
            "marker": style.MARKERS[k % len(style.MARKERS)],
            "linestyle": "-" if k < len(colors) else "--",
        }
        for k in range(count)
    ]


def _line(ax, curve: Curve, label: str, look: dict):
    (line,) = ax.plot(curve.steps, curve.value, label=label, markersize=4, linewidth=1.5, **look)
    readout.set_series(line, label, curve.low, curve.high)
    if curve.has_errors:
        shade = {"color": look["color"], "alpha": 0.18, "linewidth": 0}
        ax.fill_between(curve.steps, curve.low, curve.high, **shade)
