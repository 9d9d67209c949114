"""Figures of what an LLC depends on: one colour for each checkpoint, errors over chains.

Axes: K checkpoints, X values of what is varied, T draws. After Figs. A.1, A.2, A.3 and A.6 of "Loss
Landscape Degeneracy and Stagewise Development in Transformers".

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.significance import SURE
from dynamics.figures import readout, style
from dynamics.questions.llc_sweeps.findings import NoiseCurves, Sweep, Sweeps


def moves(models: Sequence[Sweeps], look: style.Look):
    """How far the estimate moves with each thing that is changed: a marker for each checkpoint."""
    names = list(dict.fromkeys(name for sweeps in models for name in sweeps.moves))
    size = (style.SIZE[0], 1.1 + 0.5 * len(names))
    figure, ax = style.axes("", "move of the LLC (standard errors)", size=size)
    for place, sweeps in enumerate(models):
        offset = 0.5 * ((place + 1) / (len(models) + 1) - 0.5)
        rows = [
            names.index(name) + offset for name, move in sweeps.moves.items() for _ in move.size
        ]
        sizes = np.concatenate([move.size for move in sweeps.moves.values()])
        shape = {**look[sweeps.model], "linestyle": "none", "markersize": 5, "alpha": 0.8}
        ax.plot(sizes, rows, label=sweeps.model, **shape)
    ax.axvline(SURE, color=style.QUIET, linewidth=1.2, linestyle=":", label="surely above")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(left=0)
    style.legend(figure, ax)
    return figure


def data_size(sweeps: Sweeps):
    """The estimate over the size of the data set that batches are drawn from."""
    figure, ax = style.axes("local learning coefficient", "windows of the data set")
    _sweep(ax, sweeps, sweeps.data_size, "-")
    _doubling(ax, sweeps.data_size.values)
    style.legend(figure, ax)
    return figure


def batch_size(sweeps: Sweeps):
    """The estimate over the batch size, its loss on the step's own batch and on a fresh one."""
    figure, ax = style.axes("local learning coefficient", "windows of a batch")
    _sweep(ax, sweeps, sweeps.own_batch, "-")
    _sweep(ax, sweeps, sweeps.fresh_batch, "--", named=False)
    ax.plot([], [], "-", color=style.QUIET, label="own batch")
    ax.plot([], [], "--", color=style.QUIET, label="fresh batch")
    _doubling(ax, sweeps.own_batch.values)
    style.legend(figure, ax)
    return figure


def noise(curves: NoiseCurves):
    """The curve with common noise at all checkpoints, and with noise of each its own."""
    figure, ax = style.axes("local learning coefficient")
    rows = [
        (curves.common, "o-", style.CATEGORIES[0], "common noise"),
        (curves.own, "s--", style.CATEGORIES[1], "own noise"),
    ]
    for curve, form, color, label in rows:
        ax.plot(curve.steps, curve.value, form, markersize=4.5, color=color, label=label)
        style.bars(ax, curve, color)
    return style.over_steps(figure, ax, curves.common.steps)


def running(sweeps: Sweeps):
    """Running estimates that sample loss and likelihood, in bands of one standard error."""
    figure, ax = style.axes("running estimate of the LLC", "draw after the burn-in")
    loss_based, likelihood_based = "loss-based", "likelihood-based"
    estimates = {loss_based: sweeps.by_loss, likelihood_based: sweeps.by_likelihood}
    dashes = {loss_based: "-", likelihood_based: "--"}
    for kind, estimate in estimates.items():
        rows = zip(sweeps.steps, estimate.llc, estimate.sem, _colors(sweeps), strict=True)
        for step, trace, sem, color in rows:
            drawn = estimate.drawn
            low, high = (trace - sem)[drawn], (trace + sem)[drawn]
            (line,) = ax.plot(drawn + 1, trace[drawn], dashes[kind], color=color, linewidth=1.5)
            readout.set_series(line, f"{_step(step)}, {kind}", low, high)
            ax.fill_between(drawn + 1, low, high, color=color, alpha=0.15, linewidth=0)
    for step, color in zip(sweeps.steps, _colors(sweeps), strict=True):
        ax.plot([], [], color=color, label=_step(step))
    for kind in estimates:
        ax.plot([], [], dashes[kind], color=style.QUIET, label=kind)
    style.legend(figure, ax)
    return figure


def _colors(sweeps: Sweeps) -> list[str]:
    return style.ramp(len(sweeps.steps))


def _step(step: int) -> str:
    return f"step {style.step_label(int(step))}"


def _sweep(ax, sweeps: Sweeps, sweep: Sweep, dashes: str, named: bool = True):
    """A line for each checkpoint; `named` in the legend."""
    rows = zip(sweeps.steps, sweep.llc, sweep.sem, _colors(sweeps), strict=True)
    for step, llc, sem, color in rows:
        label = _step(step) if named else None
        (line,) = ax.plot(sweep.values, llc, f"o{dashes}", markersize=4.5, color=color, label=label)
        name = _step(step) if named else f"{_step(step)}, fresh batch"
        readout.set_series(line, name, llc - sem, llc + sem)
        ax.vlines(sweep.values, llc - sem, llc + sem, color=color, linewidth=1.3)


def _doubling(ax, values: np.ndarray):
    """An axis of sizes that double, each named."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log", base=2)
    ax.set_xticks(values, [str(value) for value in values])
    ax.xaxis.set_minor_locator(NullLocator())
