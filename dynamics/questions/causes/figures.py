"""Figures of the causes of divergence. Nats per token, or per cent of the whole.

Their captions are in `section`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import readout, style
from dynamics.questions.causes.findings import CausesOfDivergence

_DASHES = ("-", "--", ":")


def shares(models: Sequence[CausesOfDivergence], look: style.Look):
    """What each cause makes of the divergence: the initialisation solid, the order dashed."""
    figure, ax = style.axes("share of KL (%)")
    for causes in models:
        for (name, share), dashes in zip(causes.shares.items(), _DASHES, strict=True):
            form = {**look[causes.model], "markersize": 4.5, "linewidth": 1.6, "linestyle": dashes}
            # The legend names models; the caption says what the dashes are.
            label = causes.model if dashes == "-" else "_"
            (line,) = ax.plot(causes.steps, share, **form, label=label)
            unsure = np.full(len(share), np.nan)
            readout.set_series(line, f"{causes.model}, {name}", unsure, unsure)
    style.reference(ax, 0, "")
    return style.over_steps(figure, ax, _steps(models))


def curves(named: Mapping[str, Curve]):
    """One model's curves, each with its band, told apart by colour and marker."""
    figure, ax = style.axes("KL (nats)")
    for (name, curve), color, marker in zip(
        named.items(), style.CATEGORIES, style.MARKERS, strict=False
    ):
        form = {"color": color, "marker": marker, "markersize": 4.5, "linewidth": 1.6}
        (line,) = ax.plot(curve.steps, curve.value, **form, label=name)
        readout.set_series(line, name, curve.low, curve.high)
        ax.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
    values = np.concatenate([curve.value for curve in named.values()])
    if np.isfinite(values).any():
        # A band of few runs may be many times as long as its curve is high.
        top = style.ceiling(list(named.values()))
        ax.set_ylim(min(0.0, 1.4 * float(np.nanmin(values))) - 0.05 * top, top)
    style.reference(ax, 0, "")
    return style.over_steps(figure, ax, all_steps(list(named.values())), columns=2)


def _steps(models: Sequence[CausesOfDivergence]) -> np.ndarray:
    return all_steps([causes.loss for causes in models])
