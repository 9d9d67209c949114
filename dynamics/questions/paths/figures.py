"""Figures of the paths of single weights. Units are those of the weights.

Axes: K checkpoints, Q quantiles, B batch sizes, L tolerances. Their captions are in `section`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import readout, style
from dynamics.questions.paths.findings import Movement, Run
from dynamics.questions.paths.record import KINDS, PROCESSES, Record

NAMES = {
    "cumulative": "cumulative (sum of positions)",
    "variance": "variance over weights",
    "from_first": "from the first checkpoint",
    "lagged": "lagged, over all pairs",
}
# Exponents in time of processes that start from one point; None where there is no power law.
EXPONENTS: Mapping[str, Mapping[str, float]] = {
    "cumulative": {"constant": 2, "Brownian": 3, "ballistic": 4},
    "variance": {"constant": 0, "Brownian": 1, "ballistic": 2},
    "from_first": {"Brownian": 1, "ballistic": 2},
    "lagged": {"Brownian": 1, "ballistic": 2},
}
_DASHES = {"constant": ":", "Brownian": "--", "ballistic": "-."}
_PROCESS_COLOURS: Mapping[str, str] = dict(zip(PROCESSES, style.CATEGORIES[2:5], strict=True))
_WIDE = (6.8, 5.2)  # inches of a picture of several panels


def fan(data: Record, tensor: int, color: str):
    """Single weights over the quantiles of all that were followed."""
    figure, ax = style.axes("weight")
    levels, quantiles = data.spread.quantile, data.spread.fan[tensor]  # [Q], [K,Q]
    for low in range(len(levels) // 2):
        pair = quantiles[:, low], quantiles[:, -1 - low]
        ax.fill_between(data.steps, *pair, color=color, alpha=0.13, linewidth=0)
    ax.plot(data.steps, data.spread.shown[tensor], color=style.INK, linewidth=0.6, alpha=0.55)
    middle = quantiles[:, len(levels) // 2]
    (line,) = ax.plot(data.steps, middle, color=color, linewidth=1.8)
    nothing = np.full(len(middle), np.nan)
    readout.set_series(line, "median", nothing, nothing)
    return style.over_steps(figure, ax, data.steps)


def displacement(data: Record, tensor: int, color: str):
    """The four statistics, each beside the expected curves of three processes."""
    figure, panels = _four()
    for k, (kind, ax) in enumerate(zip(KINDS, panels, strict=True)):
        steps, movement = data.movement.steps[k], data.movement
        for c, process in enumerate(PROCESSES):
            expected = _positive(movement.expected[tensor, c, k])
            form = {"color": _PROCESS_COLOURS[process], "linestyle": _DASHES[process]}
            if np.isfinite(expected).any():
                ax.plot(steps, expected, linewidth=1.3, label=process, **form)
        value = _positive(movement.value[tensor, k])
        curve = Curve.with_sem("", steps, value, movement.sem[tensor, k], "")
        (line,) = ax.plot(
            steps, value, color=color, marker="o", markersize=3.5, linewidth=1.5, label="measured"
        )
        low, high = curve.value - movement.sem[tensor, k], curve.value + movement.sem[tensor, k]
        readout.set_series(line, f"measured, {kind}", low, high)
        _log_scales(ax, steps, [value, *map(_positive, movement.expected[tensor, :, k])])
        _titled(ax, NAMES[kind], "lag (steps)" if kind == "lagged" else "training step")
    panels[0].set_ylabel("weight²", fontsize=10, color=style.INK)
    panels[2].set_ylabel("weight²", fontsize=10, color=style.INK)
    _one_legend(figure, panels)
    return figure


def exponents(data: Record, tensor: int, color: str):
    """Local exponents of the four statistics, with their intervals."""
    figure, panels = _four()
    movement = data.movement
    for k, (kind, ax) in enumerate(zip(KINDS, panels, strict=True)):
        steps, value = movement.steps[k], movement.exponent[tensor, k]
        low, high = movement.exponent_low[tensor, k], movement.exponent_high[tensor, k]
        for process, exponent in EXPONENTS[kind].items():
            form = {"color": _PROCESS_COLOURS[process], "linestyle": _DASHES[process]}
            ax.axhline(exponent, linewidth=1.3, label=process, **form)
        (line,) = ax.plot(
            steps, value, color=color, marker="o", markersize=3.5, linewidth=1.5, label="measured"
        )
        readout.set_series(line, f"measured, {kind}", low, high)
        ax.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
        _log_scales(ax, steps, None)
        _titled(ax, NAMES[kind], "lag (steps)" if kind == "lagged" else "training step")
    panels[0].set_ylabel("exponent", fontsize=10, color=style.INK)
    panels[2].set_ylabel("exponent", fontsize=10, color=style.INK)
    _one_legend(figure, panels)
    return figure


def covariance_rank(data: Record, tensor: int):
    """The paper's rank for every batch size and tolerance above, its change below."""
    figure = style.sheet((6.8, 4.4))
    sizes = data.rank.batch
    axes = figure.subplots(2, len(sizes), sharex=True, sharey="row", squeeze=False)
    colours = style.ramp(len(data.rank.tolerance))
    for b, size in enumerate(sizes):
        for row, values in enumerate((data.rank.absolute[tensor, b], rank_change(data, tensor, b))):
            ax = axes[row, b]
            style.dress(ax, "", "training step" if row else "")
            for level, color, value in zip(data.rank.tolerance, colours, values, strict=True):
                form = {"marker": ".", "markersize": 3, "linewidth": 1.1}
                ax.plot(data.steps, value, label=f"{level:g}", color=color, **form)
            style.step_axis(ax, data.steps.tolist(), most=4)
        axes[0, b].set_title(f"batch of {int(size)}", fontsize=9.5, color=style.INK, loc="left")
    axes[0, 0].set_ylabel("rank", fontsize=10, color=style.INK)
    axes[1, 0].set_ylabel("change (per e-fold)", fontsize=10, color=style.INK)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    _legend(figure, handles, labels, title="eigenvalues above", columns=5)
    return figure


def rank_change(data: Record, tensor: int, batch: int) -> np.ndarray:
    """[L,K] first derivative of the paper's rank by ln(step + 1)."""
    if len(data.steps) < 2:
        return np.full(data.rank.absolute[tensor, batch].shape, np.nan)
    return np.gradient(data.rank.absolute[tensor, batch], np.log1p(data.steps), axis=-1)


def effective_ranks(data: Record, tensor: int) -> Mapping[str, np.ndarray]:
    """Name -> [K] of ranks that no scale changes; of the exact covariance and of the largest
    batch."""
    rank, size = data.rank, int(data.rank.batch[-1])
    relative = f"above {data.rank.tolerance[0]:g} of the largest"
    return {
        "entropy rank, exact": rank.entropy[tensor],
        f"entropy rank, batch of {size}": rank.batch_entropy[tensor, -1],
        f"{relative}, exact": rank.exact_relative[tensor, 0],
        f"{relative}, batch of {size}": rank.relative[tensor, -1, 0],
        "stable rank, exact": rank.stable[tensor],
        f"stable rank, batch of {size}": rank.batch_stable[tensor, -1],
    }


def shape_ranks(data: Record, tensor: int):
    """Ranks that no scale changes: the exact ones solid, those of a batch dashed."""
    figure, ax = style.axes("rank", size=(4.6, 3.6))
    for k, (name, values) in enumerate(effective_ranks(data, tensor).items()):
        colour = style.CATEGORIES[k // 2]
        (line,) = ax.plot(data.steps, values, "--" if k % 2 else "-", color=colour, label=name)
        line.set(marker=style.MARKERS[k // 2], markersize=4, linewidth=1.4)
    style.log_y(ax)
    return style.over_steps(figure, ax, data.steps, columns=1)


def spectrum(data: Record, tensor: int, steps: Sequence[int]):
    """Eigenvalues of the exact covariance by their place, at some checkpoints."""
    figure, ax = style.axes("eigenvalue (weight²)", "place in the spectrum")
    for step, color in zip(steps, style.ramp(len(steps)), strict=True):
        values = data.rank.spectrum[tensor, :, int(np.flatnonzero(data.steps == step)[0])]
        label = f"step {style.step_label(int(step))}"
        form = {"color": color, "marker": ".", "linewidth": 1.3, "label": label}
        ax.plot(data.rank.place, _positive(values), **form)
    _log_x(ax)
    style.log_y(ax)
    style.legend(figure, ax)
    return figure


def moved(models: Sequence[Movement], look: style.Look):
    """How far weights have come, and the local exponent below: 1 diffusion, 2 drift."""
    figure = style.sheet((4.4, 4.6))
    above, below = figure.subplots(2, 1, sharex=True)
    style.dress(above, "displacement / initial SD", "")
    style.dress(below, "local exponent", "training step")
    style.lines(above, [m.moved for m in models], look)
    style.lines(below, [m.exponent for m in models], look, quantity="exponent")
    for exponent, name in ((1, "diffusion"), (2, "drift")):
        style.reference(below, exponent, name, at="right" if exponent == 2 else "left")
    steps = all_steps([m.moved for m in models])
    style.step_axis(above, steps.tolist())
    style.step_axis(below, steps.tolist())
    style.legend(figure, above)
    return figure


def rates(models: Sequence[Movement], look: style.Look, share: float):
    """Movement per step over the highest so far, with the share under which it counts as none."""
    figure, ax = style.axes("rate of movement / highest so far")
    style.lines(ax, [m.rate for m in models], look)
    style.reference(ax, share, "counts as stopped", at="left")
    ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, all_steps([m.rate for m in models]))


def depths(models: Sequence[Movement], look: style.Look):
    """How deep the valley between two modes is, with the threshold of a fork."""
    figure, ax = style.axes("depth of the valley (standard errors)")
    style.lines(ax, [m.depth for m in models], look)
    threshold = models[-1].runs[0].record.fork.threshold
    style.reference(ax, threshold, "two modes above", at="left")
    ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, all_steps([m.depth for m in models]))


def changes(run: Run):
    """Where each series changes, with its interval, on one axis of steps."""
    names = list(run.changes)[::-1]
    figure, ax = style.axes("", size=(4.6, 1.2 + 0.34 * len(names)))
    last = int(run.record.steps[-1])
    for row, name in enumerate(names):
        change, color = run.changes[name], style.CATEGORIES[(len(names) - 1 - row) % 7]
        if not change.exists:
            ax.text(last, row, "not yet ", ha="right", va="center", fontsize=9, color=style.QUIET)
            continue
        marker = "o" if change.kind == "bend" else "s"
        ax.hlines(row, change.low, change.high, color=color, linewidth=2)
        (dot,) = ax.plot([change.step], [row], marker=marker, color=color, linestyle="none")
        readout.set_series(dot, name, np.array([change.low]), np.array([change.high]))
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    return style.over_steps(figure, ax, run.record.steps)


def against_size(models: Sequence[Movement], names: Sequence[str]):
    """The step of each series' change against the number of parameters, first seeds."""
    figure, ax = style.axes("step of the change", "parameters")
    for k, name in enumerate(names):
        having = [m for m in models if name in m.runs[0].changes]
        points = [(m.num_parameters, m.runs[0].changes[name]) for m in having]
        size = np.array([size for size, change in points if change.exists])
        shown = [change for _, change in points if change.exists]
        if not shown:
            continue
        step, low, high = (np.array([getattr(c, f) for c in shown]) for f in _ENDS)
        color = style.CATEGORIES[k % 7]
        ax.vlines(size, low, high, color=color, linewidth=1.3)
        marker = style.MARKERS[k % 7]
        (line,) = ax.plot(size, step, marker=marker, color=color, linestyle="none", label=name)
        readout.set_series(line, name, low, high)
    _log_x(ax, [m.num_parameters for m in models])
    style.log_y(ax)
    style.legend(figure, ax)
    return figure


_ENDS = ("step", "low", "high")


def _four():
    figure = style.sheet(_WIDE)
    panels = figure.subplots(2, 2, squeeze=False).ravel()
    for ax in panels:
        style.dress(ax, "", "")
    return figure, panels


def _titled(ax, title: str, xlabel: str):
    ax.set_title(title, fontsize=9.5, color=style.INK, loc="left", pad=3)
    ax.set_xlabel(xlabel, fontsize=9.5, color=style.INK)


def _log_x(ax, ticks: Sequence[int] = ()):
    """A logarithmic x axis in plain numbers, at some ticks alone where they are named."""
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter(NullFormatter())
    if not ticks:
        ax.xaxis.set_major_formatter(FuncFormatter(style.plain))
        return
    ax.xaxis.set_minor_locator(NullLocator())
    places = style.step_ticks(list(ticks), most=5)
    ax.set_xticks(places, [style.short_step(size) for size in places])
    ax.set_xlim(min(ticks) / 1.3, max(ticks) * 1.3)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)


def _log_scales(ax, steps: np.ndarray, values: Sequence[np.ndarray] | None):
    """Steps on the axis of all pages; values on a logarithmic one where any is positive."""
    finite = steps[np.isfinite(steps)]
    if len(finite):
        style.step_axis(ax, np.unique(finite.round().astype(np.int64)).tolist(), most=5)
    if values is not None and any(np.isfinite(value).any() for value in values):
        style.log_y(ax)


def _one_legend(figure, panels):
    """What the panels have in common, each name once."""
    pairs = [pair for ax in panels for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    by_label = {label: handle for handle, label in reversed(pairs)}
    order = [label for label in ("measured", *PROCESSES) if label in by_label]
    _legend(figure, [by_label[label] for label in order], order, columns=4)


def _legend(figure, handles, labels, columns: int, title: str | None = None):
    form = {"frameon": False, "fontsize": 9, "labelcolor": style.INK, "ncols": columns}
    legend = figure.legend(handles, labels, loc="outside upper left", title=title, **form)
    legend.get_title().set_color(style.INK)
    legend.get_title().set_fontsize(9)
