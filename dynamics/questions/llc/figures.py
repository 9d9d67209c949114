"""Figures of the local learning coefficient, and of whether its chains were still near the model.

Axes: K steps, C chains, T draws. Losses in nats per token.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import style
from dynamics.questions.llc.excess import Excess
from dynamics.questions.llc.findings import Estimates

MOST_POINTS = 300  # of one line: a curve of more points than pixels only makes the page heavy


def estimates(models: Sequence[Estimates], look: style.Look):
    """The LLC with its standard error: filled markers where the chains stayed local, hollow else.

    A curve that the loss explains is dotted and its label says so.
    """
    figure, ax = style.axes("local learning coefficient")
    for model in models:
        curve, local = model.llc, model.local
        color, marker = look[model.model]["color"], look[model.model]["marker"]
        dashes = ":" if model.is_loss_again else "-"
        ax.plot(curve.steps, curve.value, dashes, color=color, linewidth=1, alpha=0.5)
        style.bars(ax, curve, color)
        shape = {"color": color, "marker": marker, "linestyle": "none", "markersize": 6}
        label = f"{model.model}{': the loss again' if model.is_loss_again else ''}"
        ax.plot(curve.steps[local], curve.value[local], label=label, **shape)
        ax.plot(curve.steps[~local], curve.value[~local], fillstyle="none", **shape)
    ax.plot([], [], "o", color=style.QUIET, fillstyle="none", label="hollow: not local")
    return style.over_steps(figure, ax, all_steps([model.llc for model in models]))


def localization_share(models: Sequence[Estimates], look: style.Look):
    """How far the pull to the checkpoint, and not the loss, shapes what the chains sample."""
    figure, ax = style.axes("localization share γ E|w − w*|² / d")
    curves = [model.localization_share for model in models]
    style.lines(ax, curves, look)
    ax.axhline(1, color=style.QUIET, linewidth=1.2, linestyle=":", label="the pull alone")
    ax.set_ylim(0, max(1.12, 1.05 * float(np.nanmax([curve.value.max() for curve in curves]))))
    return style.over_steps(figure, ax, all_steps(curves))


def pull_exponents(curves: Sequence[Curve], look: style.Look):
    """d ln LLC / d ln gamma of every model's first seed, against what the pull alone would give."""
    figure, ax = style.axes("d ln LLC / d ln γ")
    style.lines(ax, curves, look)
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    style.reference(ax, -0.5, "half is the pull's")
    low = float(np.nanmin([np.nanmin(curve.value) for curve in curves]))
    ax.set_ylim(min(-1.12, 1.08 * low), None)
    return style.over_steps(figure, ax, all_steps(curves))


def beside_reference(shown: Excess, look: style.Look):
    """The LLC and its quadratic reference above, the excess below; hollow where not local."""
    figure = style.sheet((4.4, 3.9))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    style.dress(above, "local learning coefficient", "")
    style.dress(below, "excess", "training step")
    style.hollow_elsewhere(above, shown.llc, shown.local, look, label="the chains")
    dashed = {"color": style.INK, "marker": "none", "linestyle": "--", "linewidth": 1.4}
    style.lines(above, [shown.reference], look, label="the quadratic reference", **dashed)
    style.hollow_elsewhere(below, shown.value, shown.local, look)
    for ax in (above, below):
        ax.axhline(0, color=style.QUIET, linewidth=0.8)
    style.step_axis(below, shown.llc.steps.tolist())
    style.legend(figure, above)
    return figure


def chain_loss(model: Estimates, look: style.Look):
    """Mean loss of the chains beside the checkpoint's own and that of the trivial predictor."""
    figure, ax = style.axes("loss (nats per token)")
    style.reference(ax, model.trivial_loss, "trivial predictor")
    chains, checkpoint = model.chain_loss, model.init_loss
    style.lines(ax, [chains], look, label="mean of the chains")
    dashed = {"color": style.INK, "marker": "none", "linestyle": "--", "linewidth": 1.4}
    style.lines(ax, [checkpoint], look, label="the checkpoint", **dashed)
    return style.over_steps(figure, ax, all_steps([chains, checkpoint]))


def running(model: Estimates, look: style.Look):
    """Running estimate of every chain of the last step, their mean dashed."""
    figure, ax = style.axes("running estimate of the LLC", "draw after the burn-in")
    color, chains = look[model.model]["color"], model.last.running
    draws = np.arange(1, chains.shape[1] + 1)
    drawn = np.unique(np.linspace(0, len(draws) - 1, MOST_POINTS).round().astype(int))
    for number, chain in enumerate(chains):
        label = "one chain" if number == 0 else None
        ax.plot(draws[drawn], chain[drawn], color=color, linewidth=1.2, alpha=0.8, label=label)
    mean = {"color": style.INK, "linestyle": "--", "linewidth": 1.4}
    ax.axhline(chains[:, -1].mean(), label="mean of all chains", **mean)
    style.legend(figure, ax)
    return figure
