"""A grid of sampler settings as one picture (paper Fig. A.4), with the unstable region of the
Hessian bound.

Axes: K checkpoints (rows), G values of gamma (columns); within a panel E step sizes across and B
values of n beta up.
"""

import numpy as np

from dynamics.analysis.calibration import Calibration, Recommendation
from dynamics.figures import style

SHORT = {
    "unstable": "unstable",
    "diverged": "diverged",
    "left the basin": "left",
    "escaped": "escaped",
    "not converged": "unsettled",
    "biased": "biased",
}
_BOUND = 4.0


def grid(found: Calibration, chosen: Recommendation):
    """Estimates as colour and number where healthy, else the failure in grey; the bound dashed, the
    choice framed.

    Colour compares within a row: one checkpoint, one scale.
    """
    rows, columns = len(found.steps), len(found.axes["localization"])
    figure = style.sheet((1.2 + 0.62 * columns * len(found.axes["step_size"]), 0.9 + 1.75 * rows))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for k, row in enumerate(panels):
        limits = _limits(found.llc[k][found.failure[k] == ""])
        for g, ax in enumerate(row):
            image = _panel(ax, found, k, g, limits)
            _bound(ax, found, k, g)
            if chosen.index[2] == g:
                _frame(ax, chosen.index)
            if k == 0:
                ax.set_title(f"γ = {found.axes['localization'][g]:g}", fontsize=10, color=style.INK)
        row[0].set_ylabel(
            f"step {style.step_label(int(found.steps[k]))}\nn β", fontsize=10, color=style.INK
        )
        bar = figure.colorbar(image, ax=list(row), pad=0.01, fraction=0.03)
        bar.set_label("LLC estimate", fontsize=9, color=style.INK)
        bar.ax.tick_params(labelsize=8.5, labelcolor=style.INK, color=style.QUIET)
        bar.outline.set_visible(False)
    for ax in panels[-1]:
        ax.set_xlabel("step size ε", fontsize=10, color=style.INK)
    return figure


def _limits(healthy: np.ndarray) -> tuple[float, float]:
    return (float(healthy.min()), float(healthy.max())) if healthy.size else (0.0, 1.0)


def _panel(ax, found: Calibration, k: int, g: int, limits):
    values, failure = found.llc[k, :, :, g].T, found.failure[k, :, :, g].T  # [B,E]
    image = ax.imshow(
        np.where(failure == "", values, np.nan),
        origin="lower",
        aspect="auto",
        cmap="cividis",
        vmin=limits[0],
        vmax=limits[1] if limits[1] > limits[0] else limits[0] + 1,
    )
    ax.set_facecolor("none")
    for (b, e), name in np.ndenumerate(failure):
        value, sem = values[b, e], found.sem[k, e, b, g]
        bright = name == "" and value > limits[0] + 0.6 * (limits[1] - limits[0])
        color = style.QUIET if name else (style.INK if bright else "#ffffff")
        text = f"{_short(value)}\n±{_short(sem)}" if np.isfinite(value) else "–"
        text = f"{SHORT[name]}\n{_short(value) if np.isfinite(value) else ''}" if name else text
        ax.annotate(text, (e, b), ha="center", va="center", fontsize=7.5, color=color)
    ax.set_xticks(
        range(len(found.axes["step_size"])), [_power(value) for value in found.axes["step_size"]]
    )
    ax.set_yticks(range(len(found.axes["nbeta"])), [_short(value) for value in found.axes["nbeta"]])
    ax.tick_params(labelsize=8.5, labelcolor=style.INK, color=style.QUIET)
    for spine in ax.spines.values():
        spine.set_color(style.GRID)
    return image


def _short(value) -> str:
    value = float(value)
    text = f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}"
    return text.replace("-", "−")


def _power(value: float) -> str:
    """2.5e-05 as 2.5e−5, where that is shorter than the plain number."""
    number, _, exponent = f"{value:.2g}".partition("e")
    return f"{number}e{int(exponent)}".replace("-", "−") if exponent else number


def _bound(ax, found: Calibration, k: int, g: int):
    """epsilon (n beta h + gamma) = 4, across cells whose places are those of log epsilon and log n
    beta."""
    step_sizes, nbetas = found.axes["step_size"], found.axes["nbeta"]
    if len(step_sizes) < 2:
        return
    rows = np.linspace(-0.5, len(nbetas) - 0.5, 100)
    log_nbeta = _extrapolated(rows, np.log(nbetas))
    a = np.exp(log_nbeta) * found.top_eigenvalue[k] + found.axes["localization"][g]
    log_limit = np.log(np.where(a > 0, _BOUND / np.maximum(a, 1e-300), np.inf))
    places = _place(log_limit, np.log(step_sizes))
    ax.plot(
        places, rows, color="#d55e00", linewidth=1.6, linestyle="--", scalex=False, scaley=False
    )
    ax.fill_betweenx(
        rows, places, len(step_sizes) + 5, color="#d55e00", alpha=0.12, linewidth=0, zorder=0
    )
    ax.set_xlim(-0.5, len(step_sizes) - 0.5)
    ax.set_ylim(-0.5, len(nbetas) - 0.5)


def _extrapolated(places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """values at fractional places 0..n-1, straight on beyond the ends."""
    if len(values) == 1:
        return np.full_like(places, values[0])
    index = np.clip(np.floor(places).astype(int), 0, len(values) - 2)
    return values[index] + (places - index) * (values[index + 1] - values[index])


def _place(wanted: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The inverse of `_extrapolated`, for ascending values."""
    wanted = np.clip(wanted, values[0] - 50, values[-1] + 50)
    index = np.clip(np.searchsorted(values, wanted) - 1, 0, len(values) - 2)
    return index + (wanted - values[index]) / (values[index + 1] - values[index])


def _frame(ax, index):
    from matplotlib.patches import Rectangle

    e, b, _ = index
    ax.add_patch(
        Rectangle(
            (e - 0.47, b - 0.47),
            0.94,
            0.94,
            fill=False,
            edgecolor="#d55e00",
            linewidth=2.4,
            zorder=5,
        )
    )
