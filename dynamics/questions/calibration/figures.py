"""A grid of sampler settings as one picture, with the unstable region of the Hessian's bound.

Axes: K checkpoints (rows of panels), G values of gamma (columns of panels); within a panel E step
sizes across and B values of n beta up. After Fig. A.4 of "Loss Landscape Degeneracy and Stagewise
Development in Transformers".

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.figures import style
from dynamics.questions.calibration.findings import Calibration
from dynamics.questions.calibration.grid import Grid
from dynamics.questions.calibration.traces import Trace

SHORT = {
    "unstable": "unstable",
    "diverged": "diverged",
    "left the basin": "left",
    "escaped": "escaped",
    "not converged": "unsettled",
    "biased": "biased",
}
MARK = style.CATEGORIES[1]  # of the bound and the frame
ON_BRIGHT, ON_DARK = "#111111", "#ffffff"  # text on a cell, whose colour no theme changes
MOST_POINTS = 200  # of a line of traces
_PER_ROW = 3
_BOUND = 4.0  # of epsilon (n beta h + gamma), above which chains diverge


def grid(calibration: Calibration):
    """Estimates as colour and number where healthy, else the failure in grey.

    The bound is dashed, the recommended setting framed. Colour compares within a row: one
    checkpoint, one scale.
    """
    settings, recommended = calibration.grid, calibration.recommendation.index
    rows, columns = len(settings.steps), len(settings.localizations)
    width = 1.2 + 0.62 * columns * max(2, len(settings.step_sizes))
    figure = style.sheet((width, 0.9 + 1.75 * rows))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for k, row in enumerate(panels):
        limits = _limits(settings.llc[k][settings.failure[k] == ""])
        for g, ax in enumerate(row):
            image = _panel(ax, settings, k, g, limits)
            _bound(ax, settings, k, g)
            if recommended[2] == g:
                _frame(ax, recommended)
            if k == 0:
                gamma = f"γ = {settings.localizations[g]:g}"
                ax.set_title(gamma, fontsize=10, color=style.INK)
        step = f"step {style.step_label(int(settings.steps[k]))}"
        row[0].set_ylabel(f"{step}\nn β", fontsize=10, color=style.INK)
        style.colour_bar(figure, list(row), image, "LLC")
    for ax in panels[-1]:
        ax.set_xlabel("step size ε", fontsize=10, color=style.INK)
    return figure


def traces(shown: Sequence[Trace], color: str):
    """Running estimates from the first draw: every chain, their mean dashed, the burn-in shaded."""
    columns = min(_PER_ROW, len(shown))
    rows = -(-len(shown) // columns)
    figure = style.sheet((0.6 + 2.5 * columns, 0.4 + 2.5 * rows))
    panels = figure.subplots(rows, columns, squeeze=False)
    for ax, trace in zip(panels.ravel(), shown, strict=False):
        style.dress(ax, "", "draw")
        _running(ax, trace, color)
        ax.set_title(_trace_title(trace), fontsize=9, color=style.INK)
    for ax in panels.ravel()[len(shown) :]:
        ax.set_axis_off()
    for row in panels:
        row[0].set_ylabel("running LLC estimate", fontsize=10, color=style.INK)
    style.legend(figure, panels[0, 0])
    return figure


def _running(ax, trace: Trace, color: str):
    draws = np.arange(1, trace.running.shape[1] + 1)
    drawn = thinned(len(draws))
    burn_in = {"color": style.GRID, "alpha": 0.5, "linewidth": 0, "label": "burn-in"}
    ax.axvspan(0, trace.burn_in, zorder=0, **burn_in)
    for number, chain in enumerate(trace.running):
        label = "one chain" if number == 0 else None
        ax.plot(draws[drawn], chain[drawn], color=color, linewidth=1, alpha=0.7, label=label)
    mean = {"color": style.INK, "linestyle": "--", "linewidth": 1.4, "label": "mean of all chains"}
    ax.plot(draws[drawn], trace.running.mean(0)[drawn], **mean)
    ax.axhline(0, color=style.QUIET, linewidth=0.8)
    ax.set_xlim(0, len(draws))
    if trace.failure in ("unstable", "diverged"):
        style.signed_log_y(ax, trace.running)
        ax.set_ylim(float(np.nanmin(trace.running)), None)


def thinned(count: int) -> np.ndarray:
    """Places of at most MOST_POINTS of `count` draws, the first ones all: there is most to see."""
    first = np.arange(min(count, MOST_POINTS // 2))
    rest = np.linspace(0, count - 1, MOST_POINTS // 2).round().astype(int)
    return np.unique(np.concatenate([first, rest]))


def _trace_title(trace: Trace) -> str:
    setting = f"ε = {_power(trace.step_size)}, n β = {trace.nbeta:g}, γ = {trace.localization:g}"
    return f"{trace.failure or 'healthy'}, step {style.step_label(trace.step)}\n{setting}"


def _limits(healthy: np.ndarray) -> tuple[float, float]:
    """Ends of the colour scale, apart even where all healthy estimates are equal."""
    if not healthy.size:
        return 0.0, 1.0
    low, high = float(healthy.min()), float(healthy.max())
    return low, high if high > low else low + 1


def _panel(ax, settings: Grid, k: int, g: int, limits: tuple[float, float]):
    """Cells of one checkpoint and one gamma."""
    values, failure = settings.llc[k, :, :, g].T, settings.failure[k, :, :, g].T  # [B,E]
    colours = {"cmap": "cividis", "vmin": limits[0], "vmax": limits[1]}
    healthy = np.where(failure == "", values, np.nan)
    image = ax.imshow(healthy, origin="lower", aspect="auto", **colours)
    ax.set_facecolor("none")
    for (b, e), name in np.ndenumerate(failure):
        text = _cell(float(values[b, e]), float(settings.sem[k, e, b, g]), name)
        bright = values[b, e] > limits[0] + 0.6 * (limits[1] - limits[0])
        color = style.QUIET if name else (ON_BRIGHT if bright else ON_DARK)
        ax.annotate(text, (e, b), ha="center", va="center", fontsize=7.5, color=color)
    ax.set_xticks(range(len(settings.step_sizes)), list(map(_power, settings.step_sizes)))
    ax.set_yticks(range(len(settings.nbetas)), list(map(_short, settings.nbetas)))
    ax.tick_params(labelsize=8.5, labelcolor=style.INK, color=style.QUIET)
    for spine in ax.spines.values():
        spine.set_color(style.GRID)
    return image


def _cell(llc: float, sem: float, failure: str) -> str:
    """Two lines: estimate and error, or what failed and the estimate, if there is one."""
    if failure:
        return f"{SHORT[failure]}\n{_short(llc) if np.isfinite(llc) else ''}"
    return f"{_short(llc)}\n±{_short(sem)}" if np.isfinite(llc) else "–"


def _short(value) -> str:
    value = float(value)
    text = f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}"
    return text.replace("-", "−")


def _power(value: float) -> str:
    """2.5e-05 as 2.5e−5, where that is shorter than the plain number."""
    number, _, exponent = f"{value:.2g}".partition("e")
    return f"{number}e{int(exponent)}".replace("-", "−") if exponent else number


def _bound(ax, settings: Grid, k: int, g: int):
    """epsilon (n beta h + gamma) = 4, across cells whose places are those of log epsilon and log
    n beta."""
    step_sizes, nbetas = settings.step_sizes, settings.nbetas
    if len(step_sizes) < 2:
        return
    rows = np.linspace(-0.5, len(nbetas) - 0.5, 100)
    log_nbeta = _extrapolated(rows, np.log(nbetas))
    a = np.exp(log_nbeta) * settings.top_eigenvalue[k] + settings.localizations[g]
    log_limit = np.log(np.where(a > 0, _BOUND / np.maximum(a, 1e-300), np.inf))
    places = _place(log_limit, np.log(step_sizes))
    line = {"color": MARK, "linewidth": 1.6, "linestyle": "--"}
    ax.plot(places, rows, scalex=False, scaley=False, **line)
    beyond = len(step_sizes) + 5
    ax.fill_betweenx(rows, places, beyond, color=MARK, alpha=0.12, linewidth=0, zorder=0)
    ax.set_xlim(-0.5, len(step_sizes) - 0.5)
    ax.set_ylim(-0.5, len(nbetas) - 0.5)


def _extrapolated(places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values at fractional places 0..n-1, straight on beyond the ends."""
    if len(values) == 1:
        return np.full_like(places, values[0])
    index = np.clip(np.floor(places).astype(int), 0, len(values) - 2)
    return values[index] + (places - index) * (values[index + 1] - values[index])


def _place(wanted: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The inverse of `_extrapolated`, for ascending values."""
    wanted = np.clip(wanted, values[0] - 50, values[-1] + 50)
    index = np.clip(np.searchsorted(values, wanted) - 1, 0, len(values) - 2)
    return index + (wanted - values[index]) / (values[index + 1] - values[index])


def _frame(ax, index: tuple[int, int, int]):
    """A frame about the recommended cell."""
    from matplotlib.patches import Rectangle

    e, b, _ = index
    look = {"fill": False, "edgecolor": MARK, "linewidth": 2.4, "zorder": 5}
    ax.add_patch(Rectangle((e - 0.47, b - 0.47), 0.94, 0.94, **look))
