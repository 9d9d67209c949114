"""Panels of masked language models, asked one mask at a time. Nats per hidden token throughout."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis import curves
from dynamics.analysis.curves import Divergence
from dynamics.figures import style


def seed_kl(found: Sequence[Divergence], look: style.Look):
    """Seed-pair KL of every model, with the 95 % interval over seeds as a band that the panel may
    cut off."""
    figure, ax = style.axes("KL between seeds (nats)")
    drawn = [curves.seed_kl(one) for one in found]
    style.lines(ax, drawn, look, band=True)
    ax.set_ylim(0, style.ceiling(drawn))
    return _finished(figure, ax, found)


def loss(found: Sequence[Divergence], look: style.Look):
    """What a hidden token costs every model, mean over seeds with standard errors."""
    return _per_seed(found, look, "surprisal", "loss at the mask (nats)")


def unigram(found: Sequence[Divergence], look: style.Look):
    """How far the predictions are from how frequent tokens are, mean over seeds with standard
    errors."""
    figure = _per_seed(found, look, "kl_unigram", "KL to unigram (nats)")
    figure.axes[0].set_ylim(bottom=0)
    return figure


def _per_seed(found: Sequence[Divergence], look: style.Look, name: str, ylabel: str):
    figure, ax = style.axes(ylabel)
    style.lines(ax, [curves.over_seeds(one, name) for one in found], look)
    return _finished(figure, ax, found)


def _finished(figure, ax, found: Sequence[Divergence]):
    style.step_axis(ax, np.concatenate([one.steps for one in found]).tolist())
    style.legend(figure, ax)
    return figure
