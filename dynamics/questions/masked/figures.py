"""Figures of masked models, asked one mask at a time. Nats per hidden token throughout.

Their captions are in `section`.
"""

from collections.abc import Sequence

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import style
from dynamics.questions.seed_divergence import Divergence


def seed_kl(models: Sequence[Divergence], look: style.Look):
    """Seed-pair KL of every model, with the 95 % interval over seeds as a band that may be cut."""
    figure, ax = style.axes("KL between seeds (nats)")
    curves = [divergence.seed_kl for divergence in models]
    style.lines(ax, curves, look, band=True)
    ax.set_ylim(0, style.ceiling(curves))
    return style.over_steps(figure, ax, all_steps(curves))


def loss(models: Sequence[Divergence], look: style.Look):
    """Surprisal of the hidden token, mean over seeds with standard errors."""
    return _over_seeds([divergence.surprisal for divergence in models], look, "surprisal (nats)")


def unigram(models: Sequence[Divergence], look: style.Look):
    """How far the predictions are from how frequent tokens are, mean over seeds."""
    curves = [divergence.kl_unigram for divergence in models]
    figure = _over_seeds(curves, look, "KL to unigram (nats)")
    figure.axes[0].set_ylim(bottom=0)
    return figure


def _over_seeds(curves: Sequence[Curve], look: style.Look, ylabel: str):
    figure, ax = style.axes(ylabel)
    style.lines(ax, curves, look)
    return style.over_steps(figure, ax, all_steps(curves))
