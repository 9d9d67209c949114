"""Panels of divergence from a known truth. Nats per token throughout."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.known_truth import KnownTruth
from dynamics.figures import style


def to_truth(found: Sequence[KnownTruth], look: style.Look):
    """KL from the truth to every model (solid) and between its seeds (dashed), with 95 % intervals
    over seeds."""
    figure, ax = style.axes("KL (nats)")
    style.lines(ax, [one.to_truth for one in found], look, band=True)
    for one in found:
        color, curve = look[one.model]["color"], one.between
        dashed = {**look[one.model], "markersize": 3.5, "linewidth": 1.3, "linestyle": "--"}
        ax.plot(curve.steps, curve.value, **dashed, label=f"{one.model}, between seeds")
        if curve.has_errors:
            ax.fill_between(
                curve.steps, curve.low, curve.high, color=color, alpha=0.12, linewidth=0
            )
    values = np.concatenate([[*one.to_truth.value, *one.between.value] for one in found])
    ax.set_ylim(values[values > 0].min() / 2.5, values.max() * 1.6)
    style.log_y(ax)
    style.reference(ax, found[0].truth_unigram, "truth to unigram", at="left")
    return _finished(figure, ax, found)


def loss(found: Sequence[KnownTruth], look: style.Look):
    """Cross-entropy of every model, above the entropy of the process, which none can pass."""
    figure, ax = style.axes("cross-entropy (nats per token)")
    style.lines(ax, [one.loss for one in found], look, band=True)
    entropy = found[0].entropy[0]
    style.reference(ax, entropy, "entropy of the process", at="left")
    style.reference(ax, entropy + found[0].truth_unigram, "unigram", dashes="--", at="right")
    return _finished(figure, ax, found)


def own_share(found: Sequence[KnownTruth], look: style.Look):
    """How much of the mean divergence from the truth each seed has alone; the rest is common to
    all."""
    figure, ax = style.axes("seeds' own share of KL to the truth (%)")
    for one in found:
        share = 100 * one.variance / (one.common + one.variance)
        ax.plot(one.steps, share, **look[one.model], markersize=5, linewidth=1.6, label=one.model)
    ax.set_ylim(bottom=0)
    return _finished(figure, ax, found)


def unigram(found: Sequence[KnownTruth], look: style.Look):
    """KL from the tokens' frequencies to every model: lowest where it has learned little else."""
    figure, ax = style.axes("KL(unigram ‖ model) (nats)")
    style.lines(ax, [one.from_unigram for one in found], look, band=True)
    ax.set_ylim(bottom=0)
    return _finished(figure, ax, found)


def _finished(figure, ax, found: Sequence[KnownTruth]):
    style.step_axis(ax, np.concatenate([one.steps for one in found]).tolist())
    style.legend(figure, ax, columns=2)
    return figure
