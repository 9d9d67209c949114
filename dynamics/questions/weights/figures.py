"""Figures of the spread of weights over training. Units are those of the weights.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.weights.findings import Distribution
from dynamics.questions.weights.record_pictures import Record

_COLUMNS = 3  # of small multiples
_GROUPS = 256  # of token ids, for the mean logits
DECADES = 5  # of the density, below the highest, that colours tell apart


def density(distribution: Distribution, steps: np.ndarray):
    """Heat map of the logarithm of one density, a column for each checkpoint."""
    figure, ax = style.axes("weight")
    logs = log_density(distribution)
    mesh = _heat_map(ax, distribution, logs, steps, _limits([logs]))
    if mesh is not None:
        style.colour_bar(figure, ax, mesh, "log₁₀ density (per unit of weight)")
    return figure


def unembeddings(
    models: Sequence[tuple[str, np.ndarray, Sequence[Distribution]]],
):
    """A row for each model (its name, its steps, densities): the raw matrix, the centred beside."""
    figure = style.sheet((7.2, 0.7 + 2.3 * len(models)))
    columns = max(len(distributions) for _, _, distributions in models)
    panels = figure.subplots(len(models), columns, squeeze=False)
    for row, (model, steps, distributions) in zip(panels, models, strict=True):
        logs = [log_density(d) for d in distributions]
        for ax, d, values in zip(row, distributions, logs, strict=False):
            style.dress(ax, "weight" if ax is row[0] else "", "")
            ax.set_title(f"{model}: {d.name}", fontsize=10, color=style.INK)
            mesh = _heat_map(ax, d, values, steps, _limits(logs))
            if mesh is not None and ax is row[len(distributions) - 1]:
                style.colour_bar(figure, ax, mesh, "log₁₀ density")
        low, high = np.array([ax.get_ylim() for ax in row[: len(distributions)]]).T
        for ax in row[: len(distributions)]:
            ax.set_ylim(low.min(), high.max())
        for ax in row[len(distributions) :]:
            ax.set_visible(False)
    for ax in panels[-1]:
        ax.set_xlabel("training step", fontsize=10, color=style.INK)
    return figure


def layers(distributions: Sequence[Distribution], steps: np.ndarray):
    """Small multiples: a density for each layer, on one scale."""
    columns = min(_COLUMNS, len(distributions))
    rows = -(-len(distributions) // columns)
    figure = style.sheet((1.2 + 2.4 * columns, 0.6 + 1.9 * rows))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    logs = [log_density(d) for d in distributions]
    limits, mesh = _limits(logs), None
    ends = np.array([_occupied(d) for d in distributions])
    for k, (ax, d, values) in enumerate(zip(panels, distributions, logs, strict=False)):
        style.dress(ax, "weight" if k % columns == 0 else "", "")
        ax.set_title(f"layer {d.layer}", fontsize=9.5, color=style.INK)
        mesh = _heat_map(ax, d, values, steps, limits, most=4) or mesh
        ax.set_ylim(ends[:, 0].min(), ends[:, 1].max())
        if k >= len(distributions) - columns:
            ax.set_xlabel("training step", fontsize=9.5, color=style.INK)
            ax.tick_params(labelbottom=True)
    for ax in panels[len(distributions) :]:
        ax.set_visible(False)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=panels.tolist(), pad=0.02)
        bar.set_label("log₁₀ density (per unit of weight)", fontsize=9.5, color=style.INK)
        bar.ax.tick_params(labelsize=9, labelcolor=style.INK, color=style.QUIET)
        bar.outline.set_visible(False)
        if bar.solids is not None:
            bar.solids.set_rasterized(True)
    return figure


def numbers(curves: dict[str, Curve], ylabel: str, level: float | None = None, name: str = ""):
    """A number of every kind of tensor over steps, with a named line to read it against."""
    figure, ax = style.axes(ylabel)
    looks = zip(curves, style.CATEGORIES * 4, style.MARKERS * 4, strict=False)
    for kind, color, marker in looks:
        curve = curves[kind]
        form = {"color": color, "marker": marker, "markersize": 4.5, "linewidth": 1.4}
        ax.plot(curve.steps, curve.value, label=kind, **form)
        if curve.has_errors:
            style.bars(ax, curve, color)
    if level is not None:
        style.reference(ax, level, name)
    return style.over_steps(figure, ax, next(iter(curves.values())).steps, columns=2)


def weights_at_ends(pictures: dict[int, np.ndarray], rows: str, columns: str, label: str):
    """An image of a matrix at the first and the last step, on one scale about 0."""
    figure = style.sheet((7.2, 2.9))
    panels = figure.subplots(1, len(pictures), squeeze=False)[0]
    # The extreme weight of half a million would leave the others grey.
    limit = max(float(np.nanquantile(np.abs(p), 0.995)) for p in pictures.values()) or 1.0
    image = None
    for ax, (step, picture) in zip(panels, pictures.items(), strict=True):
        style.dress(ax, rows if ax is panels[0] else "", columns)
        ax.set_title(f"step {step}", fontsize=10, color=style.INK)
        ax.grid(False)
        image = ax.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        image.set_interpolation("nearest")
    if image is not None:
        style.colour_bar(figure, panels[-1], image, label)
    return figure


def attention_at_ends(pictures: dict[int, np.ndarray]):
    """The attention pattern at the first and the last step, as shares on a logarithmic scale."""
    figure = style.sheet((7.2, 3.3))
    panels = figure.subplots(1, len(pictures), squeeze=False)[0]
    image = None
    for ax, (step, picture) in zip(panels, pictures.items(), strict=True):
        style.dress(ax, "target token" if ax is panels[0] else "", "source token")
        ax.set_title(f"step {step}", fontsize=10, color=style.INK)
        ax.grid(False)
        # The square root shows a share of .01, which a linear scale would leave black.
        image = ax.imshow(np.sqrt(picture), cmap="magma", vmin=0, vmax=1)
    if image is not None:
        style.colour_bar(figure, panels[-1], image, "√(share of attention)")
    return figure


def mean_logits(pictures: dict[int, Record]):
    """The mean logit of the tokens of each group of ids, at the first and the last step."""
    figure, ax = style.axes("mean logit", "token id")
    looks = zip(pictures.items(), style.CATEGORIES, strict=False)
    for (step, picture), color in looks:
        ids, mean, low, high = logits_by_id(picture)
        ax.plot(ids, mean, color=color, linewidth=1.3, label=f"step {step}")
        ax.fill_between(ids, low, high, color=color, alpha=0.22, linewidth=0)
    style.legend(figure, ax)
    return figure


def logits_by_id(picture: Record) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The middle id of each group of consecutive ids, and the mean, least and largest logit."""
    assert picture.mean_logit is not None
    groups = np.array_split(np.arange(len(picture.mean_logit)), _GROUPS)
    groups = [group for group in groups if len(group)]
    values = [picture.mean_logit[group] for group in groups]
    mean, low, high = (np.array([f(v) for v in values]) for f in (np.mean, np.min, np.max))
    return np.array([group.mean() for group in groups]), mean, low, high


def log_density(distribution: Distribution) -> np.ndarray:
    """[K,R] log₁₀, NaN where there are no weights."""
    values = distribution.density
    return np.log10(np.where(values > 0, values, np.nan))


def _limits(logs: Sequence[np.ndarray]) -> tuple[float, float] | None:
    """Of colours; None where there is no finite weight at all."""
    values = np.concatenate([log.ravel() for log in logs])
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    high = float(values.max())
    return max(float(values.min()), high - DECADES) - 1e-9, high + 1e-9


def _occupied(distribution: Distribution) -> tuple[float, float]:
    """The ends of the bins that hold weights at any step."""
    rows = np.flatnonzero((distribution.density > 0).any(0))
    if not rows.size:
        return float(distribution.edges[0]), float(distribution.edges[-1])
    return float(distribution.edges[rows[0]]), float(distribution.edges[rows[-1] + 1])


def _heat_map(
    ax,
    distribution: Distribution,
    logs: np.ndarray,
    steps: np.ndarray,
    limits: tuple[float, float] | None,
    most: int = 6,
):
    """Columns of a density on a panel; None, with words in its place, without a finite weight."""
    ax.grid(False)
    columns = np.arange(len(steps) + 1) - 0.5
    if limits is None:
        ax.text(0.5, 0.5, "no finite weight", ha="center", color=style.QUIET, transform=ax.transAxes)
        ax.set_xlim(columns[0], columns[-1])
        style.step_columns(ax, steps, most=most)
        return None
    # Rasterised: a page of some thousand rectangles is slow to draw and to load.
    form = {"cmap": "viridis", "vmin": limits[0], "vmax": limits[1], "rasterized": True}
    mesh = ax.pcolormesh(columns, distribution.edges, logs.T, shading="flat", **form)
    ax.set_ylim(*_occupied(distribution))
    style.step_columns(ax, steps, most=most)
    return mesh
