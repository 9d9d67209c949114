"""Figures of divergence per byte.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import all_steps
from dynamics.figures import style
from dynamics.questions.next_byte.findings import ByteDivergence


def next_byte(models: Sequence[ByteDivergence], look: style.Look):
    """KL of the next byte; the dark band is over documents, the light one over seeds too."""
    figure, ax = style.axes("KL of the next byte (nats)")
    top = 0.0
    for model in models:
        inner, outer, color = model.over_documents, model.over_both, look[model.model]["color"]
        for curve, alpha in ((outer, 0.14), (inner, 0.3)):
            if curve.has_errors:
                shade = {"color": color, "alpha": alpha, "linewidth": 0}
                ax.fill_between(curve.steps, curve.low, curve.high, **shade)
        if inner.has_errors and len(inner.steps) == 1:
            style.bars(ax, inner, color)
        form = {**look[model.model], "markersize": 5, "linewidth": 1.6}
        ax.plot(inner.steps, inner.value, label=model.model, **form)
        top = max(top, float(np.nanmax([*inner.value, *inner.high])))
    # Over few seeds the light band can reach far beyond all else, and would flatten the curves.
    ax.set_ylim(0, 1.5 * top or 1.0)
    return _over_steps(figure, ax, models)


def surprisal(models: Sequence[ByteDivergence], look: style.Look):
    """Surprisal by the tokenizer's own encoding (solid) and counting every encoding (dashed)."""
    figure, ax = style.axes("surprisal (bits per byte)")
    style.lines(ax, [model.surprisal_bits for model in models], look)
    for model in models:
        dashed = {**look[model.model], "linestyle": "--", "markersize": 3, "linewidth": 1.2}
        every = model.every_bits
        ax.plot(every.steps, every.value, label=f"{model.model}, every encoding", **dashed)
    return _over_steps(figure, ax, models)


def _over_steps(figure, ax, models: Sequence[ByteDivergence]):
    steps = all_steps([model.over_documents for model in models])
    return style.over_steps(figure, ax, steps, columns=2)
