"""Panels of the divergence of seeds and of the distance to simple predictors. Nats per token
throughout."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis import curves
from dynamics.analysis.curves import Divergence
from dynamics.figures import style


def seed_kl(found: Sequence[Divergence], look: style.Look):
    """Seed-pair KL of every model, with the 95 % interval over seeds as a band."""
    figure, ax = style.axes("KL between seeds (nats)")
    style.lines(ax, [curves.seed_kl(one) for one in found], look, band=True)
    ax.set_ylim(bottom=0)
    return _finished(figure, ax, found)


def per_seed(found: Sequence[Divergence], look: style.Look, name: str, ylabel: str):
    """A number of single seeds (entropy, kl_uniform, kl_unigram), mean over seeds with standard
    errors.

    A divergence is drawn from zero, where it has its meaning; an entropy is not.
    """
    figure, ax = style.axes(ylabel)
    style.lines(ax, [curves.over_seeds(one, name) for one in found], look)
    if name.startswith("kl"):
        ax.set_ylim(bottom=0)
    return _finished(figure, ax, found)


def cross_entropy(found: Sequence[Divergence], ngrams: dict[int, float], look: style.Look):
    """Loss of every model on held-out text; `ngrams` maps order to the loss of Kneser-Ney on the
    same text."""
    figure, ax = style.axes("cross-entropy (nats per token)")
    for order, value in ngrams.items():
        style.reference(ax, value, f"Kneser–Ney n = {order}", at="left")
    style.lines(ax, [curves.over_seeds(one, "surprisal") for one in found], look)
    return _finished(figure, ax, found)


def token_spread(found: Divergence, look: style.Look):
    """Quantiles over tokens of the pair-mean KL of one model: a mean hides whether few tokens or
    all carry it."""
    figure, ax = style.axes("KL of single tokens (nats)")
    low, lower, median, upper, high = np.maximum(found.token_quantiles.T, 1e-6)
    color = look[found.model]["color"]
    ax.fill_between(
        found.steps, low, high, color=color, alpha=0.15, linewidth=0, label="5–95 % of tokens"
    )
    ax.fill_between(found.steps, lower, upper, color=color, alpha=0.3, linewidth=0, label="25–75 %")
    ax.plot(
        found.steps, median, **look[found.model], markersize=5, linewidth=1.6, label="median token"
    )
    style.log_y(ax)
    return _finished(figure, ax, [found])


def _finished(figure, ax, found: Sequence[Divergence]):
    style.step_axis(ax, np.concatenate([one.steps for one in found]).tolist())
    style.legend(figure, ax)
    return figure
