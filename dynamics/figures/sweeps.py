"""What an LLC estimate depends on (paper Figs. A.1, A.2, A.3, A.6): one colour per checkpoint,
errors over chains."""

import numpy as np

from dynamics.analysis.sweeps import Sweep, Sweeps
from dynamics.figures import style


def data_size(found: Sweeps):
    """The estimate over the size of the data set that batches are drawn from (Fig. A.1)."""
    figure, ax = style.axes("local learning coefficient", "windows of the data set")
    _sweep(ax, found, found.data_size, "-")
    _doubling(ax, found.data_size.values)
    style.legend(figure, ax)
    return figure


def batch_size(found: Sweeps):
    """The estimate over the batch size, its loss on the step's own batch and on a fresh one (Fig.
    A.2)."""
    figure, ax = style.axes("local learning coefficient", "windows of a batch")
    for (name, sweep), dashes in zip(found.batch_size.items(), ("-", "--"), strict=True):
        _sweep(ax, found, sweep, dashes, named=dashes == "-")
        ax.plot(
            [],
            [],
            color=style.QUIET,
            linestyle=dashes,
            label="own batch" if name == "same_batch" else "fresh batch",
        )
    _doubling(ax, found.batch_size["same_batch"].values)
    style.legend(figure, ax)
    return figure


def noise(found: Sweeps):
    """The curve with common noise at all checkpoints and with noise of each its own (Fig. A.3)."""
    figure, ax = style.axes("local learning coefficient")
    looks = {
        "common": ("common noise", style.CATEGORIES[0], "o", "-"),
        "own": ("own noise", style.CATEGORIES[1], "s", "--"),
    }
    for name, curve in found.noise.items():
        label, color, marker, dashes = looks[name]
        ax.plot(
            curve.steps,
            curve.value,
            color=color,
            marker=marker,
            markersize=4.5,
            linestyle=dashes,
            label=label,
        )
        style.bars(ax, curve, color)
    style.step_axis(ax, found.noise["common"].steps.tolist())
    style.legend(figure, ax)
    return figure


def running(found: Sweeps):
    """Running estimates that sample the loss and the likelihood of prefixes (Fig. A.6), bands of
    one standard error."""
    figure, ax = style.axes("running estimate", "draw after the burn-in")
    for kind, dashes in (("loss", "-"), ("likelihood", "--")):
        for trace, sem, color in zip(
            found.running[kind], found.running_sem[kind], _colors(found), strict=True
        ):
            draws = np.arange(1, len(trace) + 1)
            kept = np.unique(np.linspace(0, len(draws) - 1, 200).round().astype(int))
            ax.plot(draws[kept], trace[kept], color=color, linestyle=dashes, linewidth=1.5)
            low, high = (trace - sem)[kept], (trace + sem)[kept]
            ax.fill_between(draws[kept], low, high, color=color, alpha=0.15, linewidth=0)
        ax.plot([], [], color=style.QUIET, linestyle=dashes, label=f"{kind}-based")
    for step, color in zip(found.steps, _colors(found), strict=True):
        ax.plot([], [], color=color, label=f"step {style.step_label(int(step))}")
    style.legend(figure, ax)
    return figure


def _colors(found: Sweeps) -> list[str]:
    return style.ramp(len(found.steps))


def _sweep(ax, found: Sweeps, sweep: Sweep, dashes: str, named: bool = True):
    for step, llc, sem, color in zip(
        found.steps, sweep.llc, sweep.sem, _colors(found), strict=True
    ):
        label = f"step {style.step_label(int(step))}" if named else None
        ax.plot(
            sweep.values,
            llc,
            color=color,
            marker="o",
            markersize=4.5,
            linestyle=dashes,
            label=label,
        )
        ax.vlines(sweep.values, llc - sem, llc + sem, color=color, linewidth=1.3)


def _doubling(ax, values: np.ndarray):
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log", base=2)
    ax.set_xticks(values, [str(value) for value in values])
    ax.xaxis.set_minor_locator(NullLocator())
