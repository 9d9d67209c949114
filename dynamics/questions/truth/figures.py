"""Figures of divergence from a known truth. Nats per token throughout.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import all_steps
from dynamics.figures import style
from dynamics.questions.truth.findings import KnownTruth


def to_truth(models: Sequence[KnownTruth], look: style.Look):
    """KL from the truth to every model (solid) and between its seeds (dashed), with bands."""
    figure, ax = style.axes("KL (nats)")
    style.lines(ax, [m.to_truth for m in models], look, band=True)
    for truth in models:
        curve = truth.between
        dashed = {**look[truth.model], "markersize": 3.5, "linewidth": 1.3, "linestyle": "--"}
        ax.plot(curve.steps, curve.value, **dashed, label=f"{truth.model}, between seeds")
        if curve.has_errors:
            shade = {"color": look[truth.model]["color"], "alpha": 0.12, "linewidth": 0}
            ax.fill_between(curve.steps, curve.low, curve.high, **shade)
    values = np.concatenate([[*m.to_truth.value, *m.between.value] for m in models])
    positive = values[values > 0]
    if positive.size:
        ax.set_ylim(positive.min() / 2.5, positive.max() * 1.6)
        style.log_y(ax)
    style.reference(ax, models[0].truth_unigram, "truth to unigram", at="left")
    return _over_steps(figure, ax, models)


def loss(models: Sequence[KnownTruth], look: style.Look):
    """Cross-entropy of every model above the entropy of the process, which none can pass."""
    figure, ax = style.axes("cross-entropy (nats per token)")
    style.lines(ax, [m.loss for m in models], look, band=True)
    entropy = models[0].entropy[0]
    style.reference(ax, entropy, "entropy of the process", at="left")
    style.reference(ax, entropy + models[0].truth_unigram, "unigram", dashes="--", at="right")
    return _over_steps(figure, ax, models)


def own_share(models: Sequence[KnownTruth], look: style.Look):
    """What each seed has alone of the mean divergence from the truth; the rest all share."""
    figure, ax = style.axes("seeds' own share of KL to the truth (%)")
    style.lines(ax, [truth.own_share for truth in models], look)
    ax.set_ylim(bottom=0)
    return _over_steps(figure, ax, models)


def _over_steps(figure, ax, models: Sequence[KnownTruth]):
    return style.over_steps(figure, ax, all_steps([m.to_truth for m in models]), columns=2)
