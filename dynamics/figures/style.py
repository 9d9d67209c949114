"""One look for every panel: size, type, colours that a page can re-theme, axes over training
steps."""

import itertools
from collections.abc import Sequence

import numpy as np

from dynamics.figures import literal, readout

SIZE = (4.4, 3.1)  # inches
_LONG_LABEL = 32  # characters that fit beside a panel of this size
_ENTRY, _LETTER = 0.4, 0.068  # inches that a legend's entry and each letter of its label take
INK, GRID, QUIET = "#1b1f24", "#d9dde3", "#6b7480"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
# From small models to large, in hues that the common colour-vision deficiencies tell apart.
LIGHT_RAMP = ("#1f4fa8", "#a3307d", "#d2640f")
DARK_RAMP = ("#7fb0ff", "#f08cc4", "#ffb14d")
# Okabe & Ito (2008), without yellow and black: seen on light and dark ground alike.
CATEGORIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6fd1")


def ramp(count: int, anchors: Sequence[str] = LIGHT_RAMP) -> list[str]:
    """`count` colours along the anchors, as lower-case hex; two are the first and last anchor."""
    corners = np.array([[int(a[i : i + 2], 16) for i in (1, 3, 5)] for a in anchors], np.float64)
    places = np.linspace(0, 1, count) if count > 1 else np.zeros(1)
    at = np.linspace(0, 1, len(corners))
    mixed = (
        np.stack([np.interp(places, at, corners[:, c]) for c in range(3)], axis=-1)
        .round()
        .astype(int)
    )
    return ["#" + "".join(f"{value:02x}" for value in row) for row in mixed]


class Look(dict):
    """model -> its colour and marker, the same in every panel.

    `tokens_per_step` is what every model read at a step of its training; None where that is not
    known, or not the same.
    """

    def __init__(self, models: Sequence[str], tokens_per_step: int | None = None):
        """`models` by size, from small to large."""
        self.tokens_per_step = tokens_per_step
        looks = zip(models, ramp(len(models)), itertools.cycle(MARKERS), strict=False)
        super().__init__(
            {model: {"color": color, "marker": marker} for model, color, marker in looks}
        )


def axes(ylabel: str, xlabel: str = "training step", size: tuple[float, float] = SIZE):
    """An empty panel: (Figure, Axes), no frame but the two axes, a faint grid, transparent."""
    figure = sheet(size)
    ax = figure.add_subplot()
    dress(ax, ylabel, xlabel)
    return figure, ax


def sheet(size: tuple[float, float]):
    """An empty transparent Figure of `size` inches, for a picture of several panels.

    Its texts are drawn as they are: no name is read as a formula.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)
    return literal.figure_class()(figsize=size, layout=layout, facecolor="none")


def dress(ax, ylabel: str, xlabel: str):
    """Gives one panel the look of all. A long label of the y axis has its unit on a second line."""
    ax.set_facecolor("none")
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(QUIET)
    ax.tick_params(which="both", labelsize=9.5, labelcolor=INK, color=QUIET)
    ax.grid(color=GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.margins(y=0.08)
    ax.ticklabel_format(axis="y", useOffset=False, scilimits=(-4, 6))
    ax.set_xlabel(xlabel, fontsize=10, color=INK)
    long = len(ylabel) > _LONG_LABEL and "\n" not in ylabel
    ax.set_ylabel(ylabel.replace(" (", "\n(") if long else ylabel, fontsize=10, color=INK)


def step_axis(ax, steps: Sequence[int], most: int = 7):
    """Logarithmic steps that still show step 0, with at most so many of them named."""
    from matplotlib.ticker import NullLocator

    steps = sorted(set(steps))
    ax.set_xscale("symlog", linthresh=1, linscale=0.6, base=2)
    ax.set_xlim(
        -0.25 if steps[0] == 0 else max(steps[0] * 0.8, 0.5), steps[-1] * 1.15 if steps[-1] else 1
    )
    ticks = step_ticks(steps, most)
    ax.set_xticks(ticks, [step_label(step) for step in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def step_ticks(steps: Sequence[int], most: int = 7) -> list[int]:
    """At most `most` of the steps, 0 and both ends among them, near evenly apart on a log axis.

    Where two would run into each other, an end stays, else the later.
    """
    steps = sorted(set(steps))
    positive = [step for step in steps if step > 0]
    room = most - (len(positive) < len(steps))
    if len(positive) > room:
        marks = np.geomspace(positive[0], positive[-1], room)
        positive = sorted({min(positive, key=lambda s, m=m: abs(np.log(s / m))) for m in marks})
    apart = np.log(positive[-1] / positive[0]) / (1.5 * most) if positive else 0.0
    spaced = positive[-1:] if len(positive) > 1 else []
    for step in reversed(positive[1:-1]):
        if min(np.log(spaced[0] / step), np.log(step / positive[0])) >= apart:
            spaced.insert(0, step)
    return [step for step in steps if step == 0] + positive[:1] + spaced


def over_steps(figure, ax, steps: Sequence[int] | np.ndarray, columns: int = 3):
    """Finishes a panel over training: its axis of steps and its legend. Returns the figure."""
    step_axis(ax, np.asarray(steps).tolist())
    legend(figure, ax, columns)
    return figure


def step_columns(ax, steps: Sequence[int] | np.ndarray, most: int = 6):
    """Names the columns of a heat map, one for each step, `most` of them at most."""
    places = np.unique(np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int))
    ax.set_xticks(places, [step_label(int(steps[k])) for k in places])
    readout.set_columns(ax, [f"step {int(step)}" for step in steps])


def colour_bar(figure, ax, image, label: str):
    """The bar beside a heat map that says what its colours mean. Returns the bar."""
    bar = figure.colorbar(image, ax=ax, pad=0.02)
    if bar.solids is not None:
        bar.solids.set_rasterized(True)
    bar.set_label(label, fontsize=9.5, color=INK)
    bar.ax.tick_params(labelsize=9, labelcolor=INK, color=QUIET)
    bar.outline.set_visible(False)
    return bar


def step_label(step: int) -> str:
    return f"{step // 1000}k" if step >= 1000 and step % 1000 == 0 else str(step)


def short_step(step: float) -> str:
    """A step to two or three digits.

    Example:
        >>> [short_step(step) for step in (740.2, 1124, 31_699, 1.25e6)]
        ['740', '1.1k', '32k', '1.2M']
    """
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if step >= 0.9995 * size:
            return f"{step / size:.{int(step < 9.95 * size)}f}".removesuffix(".0") + unit
    return f"{step:.0f}"


def lines(ax, curves, look: Look, band: bool = False, quantity: str = "", **kwargs):
    """One line per curve in its model's colour and marker; errors as a band or as bars, where there
    are any.

    `quantity` tells lines of one model apart where their values are read: "nano-32, largest".
    """
    for curve in curves:
        style = {
            **look[curve.model],
            "markersize": 5,
            "linewidth": 1.6,
            "label": _label(curve.model),
            **kwargs,
        }
        (line,) = ax.plot(curve.steps, curve.value, **style)
        name = f"{curve.model}, {quantity}" if quantity else curve.model
        readout.set_series(line, name, curve.low, curve.high)
        if curve.has_errors and band:
            ax.fill_between(
                curve.steps, curve.low, curve.high, color=style["color"], alpha=0.2, linewidth=0
            )
        elif curve.has_errors:
            bars(ax, curve, style["color"])


def hollow_elsewhere(ax, curve, filled, look: Look, **kwargs):
    """A curve as `lines` draws it, but for markers that are hollow where `filled` [K] is False."""
    lines(ax, [curve], look, marker="none", **kwargs)
    markers = {**look[curve.model], "linestyle": "none", "markersize": 5}
    ax.plot(curve.steps[filled], curve.value[filled], **markers)
    ax.plot(curve.steps[~filled], curve.value[~filled], fillstyle="none", **markers)


def _label(model: str) -> str:
    """What a legend shows: matplotlib hides labels that begin with an underscore."""
    return f"\u2060{model}" if model.startswith("_") else model


def ceiling(curves) -> float:
    """Where a panel from zero ends that bands may outgrow: with three seeds one may reach a
    thousand times as far."""
    return 1.4 * float(np.nanmax(np.concatenate([curve.value for curve in curves]))) or 1.0


def bars(ax, curve, color: str):
    """Error bars alone. Limits, not lengths: an interval may lie anywhere about its estimate."""
    ax.vlines(curve.steps, curve.low, curve.high, color=color, linewidth=1.3)


def legend(figure, ax, columns: int = 3):
    """Above the panel, where it hides no datum. None for a single thing."""
    handles, labels = ax.get_legend_handles_labels()
    if len(handles) > 1:
        ncols = legend_columns(figure, labels, columns)
        options = {"loc": "outside upper left", "ncols": ncols, "frameon": False, "fontsize": 9}
        spacing = {
            "handlelength": 1.6,
            "columnspacing": 1.1,
            "borderpad": 0.1,
            "handletextpad": 0.5,
        }
        figure.legend(handles, labels, labelcolor=INK, **options, **spacing)


def legend_columns(figure, labels: Sequence[str], most: int) -> int:
    """Columns of a legend that its figure is wide enough for, `most` at most."""
    letters = [max(map(len, literal.drawable(label).split("\n"))) for label in labels]
    for columns in range(min(most, len(labels)), 1, -1):
        widths = [_ENTRY + _LETTER * max(part) for part in np.array_split(letters, columns)]
        if sum(widths) <= figure.get_figwidth():
            return columns
    return 1


def log_y(ax):
    """A logarithmic y axis labelled in plain numbers, with 2 and 5 where there are few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = ax.dataLim.intervaly
    if 0 < low < np.inf and high < 1.001 * low:  # of one value: an axis of no height
        ax.set_ylim(low / 2, 2 * high)
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    few = np.log10(high / low) < 2.2
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(plain))
    ax.yaxis.set_minor_formatter(NullFormatter())


def signed_log_y(ax, values):
    """Logarithmic away from zero on both sides, linear below the smallest value's decade, three
    decades at most."""
    from matplotlib.ticker import FuncFormatter, NullFormatter, SymmetricalLogLocator

    sizes = np.abs(np.asarray(values, np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    smallest = max(sizes.min(), sizes.max() / 1e3) if sizes.size else 1.0
    threshold = 10 ** np.floor(np.log10(smallest))
    ax.set_yscale("symlog", linthresh=threshold, linscale=0.5)
    few = sizes.size and sizes.max() < 20 * threshold
    ax.yaxis.set_major_locator(
        SymmetricalLogLocator(base=10, linthresh=threshold, subs=(1, 2, 5) if few else (1,))
    )
    ax.yaxis.set_major_formatter(FuncFormatter(plain))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.axhline(0, color=QUIET, linewidth=0.8)


def plain(value: float, _=None) -> str:
    """A tick's number; the second argument is matplotlib's, its position."""
    return f"{value:g}".replace("-", "−")


def reference(ax, value: float, text: str, dashes: str = ":", at: str = "right"):
    """A horizontal line to read the curves against, named at one end: the one that the curves leave
    free."""
    ax.axhline(value, color=QUIET, linewidth=1.2, linestyle=dashes)
    end, inward = (1, -2) if at == "right" else (0, 2)
    place = {
        "xy": (end, value),
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
    }
    ax.annotate(text, ha=at, va="bottom", fontsize=9, color=QUIET, xytext=(inward, 2), **place)
