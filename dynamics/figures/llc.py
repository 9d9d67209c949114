"""Panels of the local learning coefficient, and of whether its chains were still near the model.
Losses in nats."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curves import Llc
from dynamics.figures import style


def estimate(found: Sequence[Llc], look: style.Look):
    """The estimate with its standard error: a filled marker where the chains stayed local, a hollow
    one elsewhere.

    A curve that the loss explains is dotted and named so.
    """
    figure, ax = style.axes("local learning coefficient")
    for one in found:
        curve, color, marker = one.estimate, *look[one.estimate.model].values()
        again = one.loss_share is not None and one.loss_share.explained
        ax.plot(
            curve.steps,
            curve.value,
            color=color,
            linewidth=1,
            alpha=0.5,
            linestyle=":" if again else "-",
        )
        style.bars(ax, curve, color)
        shape = {"color": color, "marker": marker, "linestyle": "none", "markersize": 6}
        ax.plot(
            curve.steps[one.local],
            curve.value[one.local],
            label=f"{curve.model}{': the loss again' if again else ''}",
            **shape,
        )
        ax.plot(curve.steps[~one.local], curve.value[~one.local], fillstyle="none", **shape)
    ax.plot(
        [],
        [],
        color=style.QUIET,
        marker="o",
        linestyle="none",
        fillstyle="none",
        label="hollow: not local",
    )
    return _finished(figure, ax, found)


def locality(found: Llc, look: style.Look):
    """Mean loss of the chains beside the model's own and that of the trivial predictor."""
    figure, ax = style.axes("loss (nats per token)")
    color, marker = look[found.estimate.model].values()
    style.reference(ax, found.trivial_loss, "trivial predictor")
    chain, init = found.chain_loss, found.init_loss
    ax.plot(
        chain.steps,
        chain.value,
        color=color,
        marker=marker,
        markersize=5,
        linewidth=1.6,
        label="mean of the chains",
    )
    ax.plot(
        init.steps,
        init.value,
        color=style.INK,
        linestyle="--",
        linewidth=1.4,
        label="the model itself",
    )
    for curve, shade in ((chain, color), (init, style.INK)):
        style.bars(ax, curve, shade)
    return _finished(figure, ax, [found])


def running(found: Llc, look: style.Look):
    """Running estimate of every chain at the last step: n beta (mean loss so far - initial loss),
    seed 003 eq. 12."""
    figure, ax = style.axes("running estimate", "draw after the burn-in")
    color = look[found.estimate.model]["color"]
    draws = np.arange(1, found.running.shape[1] + 1)
    # A curve of more points than pixels only makes the page heavy.
    kept = np.unique(np.linspace(0, len(draws) - 1, 300).round().astype(int))
    for number, chain in enumerate(found.running):
        label = "one chain" if number == 0 else None
        ax.plot(draws[kept], chain[kept], color=color, linewidth=1.2, alpha=0.8, label=label)
    ax.axhline(
        found.running[:, -1].mean(),
        color=style.INK,
        linestyle="--",
        linewidth=1.4,
        label="mean of all chains",
    )
    style.legend(figure, ax)
    return figure


def _finished(figure, ax, found: Sequence[Llc]):
    style.step_axis(ax, np.concatenate([one.estimate.steps for one in found]).tolist())
    style.legend(figure, ax)
    return figure
