"""Panels of divergence per byte."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.byte_divergence import ByteDivergence
from dynamics.figures import style


def next_byte(found: Sequence[ByteDivergence], look: style.Look):
    """KL of the next byte; the dark band is over documents, the light one over documents and
    seeds."""
    figure, ax = style.axes("KL of the next byte (nats)")
    top = 0.0
    for one in found:
        color = look[one.model]["color"]
        if one.by_both.has_errors:
            ax.fill_between(
                one.steps, one.by_both.low, one.by_both.high, color=color, alpha=0.14, linewidth=0
            )
        if one.by_documents.has_errors:
            low, high = one.by_documents.low, one.by_documents.high
            ax.fill_between(one.steps, low, high, color=color, alpha=0.3, linewidth=0)
            if len(one.steps) == 1:
                style.bars(ax, one.by_documents, color)
        ax.plot(
            one.steps,
            one.by_documents.value,
            **look[one.model],
            markersize=5,
            linewidth=1.6,
            label=one.model,
        )
        top = max(top, float(np.nanmax([*one.by_documents.value, *one.by_documents.high])))
    # Over few seeds the light band can reach far beyond all else, and would flatten the curves.
    ax.set_ylim(0, 1.5 * top or 1.0)
    return _finished(figure, ax, found)


def gap(found: Sequence[ByteDivergence], look: style.Look):
    """Gap in surprisal between two models on the same text, bits per byte."""
    figure, ax = style.axes("gap in surprisal (bits per byte)")
    style.lines(ax, [one.gap_bits for one in found], look, band=True)
    if any(len(one.steps) == 1 for one in found):
        style.lines(ax, [one.gap_bits for one in found], look, label="_again")
    ax.set_ylim(bottom=0)
    return _finished(figure, ax, found)


def surprisal(found: Sequence[ByteDivergence], look: style.Look):
    """Surprisal of the text by the tokenizer's own encoding (solid) and counting every encoding
    (dashed)."""
    figure, ax = style.axes("surprisal (bits per byte)")
    style.lines(ax, [one.surprisal_bits for one in found], look)
    for one in found:
        dashed = {**look[one.model], "linestyle": "--", "markersize": 3, "linewidth": 1.2}
        ax.plot(one.steps, one.every_bits.value, **dashed, label=f"{one.model}, every encoding")
    return _finished(figure, ax, found)


def _finished(figure, ax, found: Sequence[ByteDivergence]):
    style.step_axis(ax, np.concatenate([one.steps for one in found]).tolist())
    style.legend(figure, ax, columns=2)
    return figure
