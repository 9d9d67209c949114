"""Figures of the spread of weights over training. Units are those of the weights.

Axes: K steps, R bins of a density, T tokens of a sentence. Their captions are in `section`.
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
        label = "log₁₀ density (per unit of weight)"
        style.colour_bar(figure, panels.tolist(), mesh, label)
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
    if not any(np.nan_to_num(curve.value).any() for curve in curves.values()):
        ax.set_ylim(-0.05, 1)
    return style.over_steps(figure, ax, next(iter(curves.values())).steps, columns=2)


def weights_at_ends(pictures: dict[int, np.ndarray], rows: str, columns: str, label: str):
    """An image of a matrix at the first and the last step, on one scale about 0.

    Below each column stands the root mean square of its weights.
    """
    # The extreme weight of half a million would leave the others grey.
    limit = max(float(np.nanquantile(np.abs(p), 0.995)) for p in pictures.values()) or 1.0
    form = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    profiles = {step: column_rms(picture) for step, picture in pictures.items()}
    return _at_ends(pictures, profiles, (rows, columns, label, "root mean\nsquare"), form)


def attention_at_ends(pictures: dict[int, np.ndarray]):
    """The attention pattern at the first and the last step; below, what each source receives."""
    roots = {step: np.sqrt(picture) for step, picture in pictures.items()}
    profiles = {step: received(picture) for step, picture in pictures.items()}
    names = ("target token", "source token", "√(share of attention)", "mean\nshare")
    # The root shows a share of .01, which a linear scale would leave black.
    return _at_ends(roots, profiles, names, {"cmap": "magma", "vmin": 0, "vmax": 1})


def column_rms(picture: np.ndarray) -> np.ndarray:
    """[columns] root mean square."""
    return np.sqrt(np.mean(picture**2, axis=0))


def received(attention: np.ndarray) -> np.ndarray:
    """[sources] of a pattern [T,T]: the mean over the targets that may see the source."""
    seen = np.maximum((attention > 0).sum(0), 1)
    return attention.sum(0) / seen


def _at_ends(
    pictures: dict[int, np.ndarray],
    profiles: dict[int, np.ndarray],
    names: tuple[str, str, str, str],
    form: dict,
):
    """Images side by side, each over a profile of its columns.

    `names` are those of rows, columns, colours and profile.
    """
    rows, columns, label, profile_name = names
    figure = style.sheet((7.2, 4.0))
    panels = figure.subplots(
        2,
        len(pictures),
        squeeze=False,
        sharex=True,
        sharey="row",
        gridspec_kw={"height_ratios": [3, 1]},
    )
    image = None
    for k, (step, picture) in enumerate(pictures.items()):
        ax, below = panels[:, k]
        style.dress(ax, rows if k == 0 else "", "")
        ax.set_title(f"step {step}", fontsize=10, color=style.INK)
        ax.grid(False)
        image = ax.imshow(picture, aspect="auto", interpolation="nearest", **form)
        style.dress(below, profile_name if k == 0 else "", columns)
        line = {"color": style.CATEGORIES[k], "linewidth": 1.0, "label": f"step {step}"}
        below.plot(np.arange(picture.shape[1]), profiles[step], **line)
    if image is not None:
        style.colour_bar(figure, panels[0].tolist(), image, label)
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
        ax.text(
            0.5, 0.5, "no finite weight", ha="center", color=style.QUIET, transform=ax.transAxes
        )
        ax.set_xlim(columns[0], columns[-1])
        style.step_columns(ax, steps, most=most)
        return None
    # Rasterised: a page of some thousand rectangles is slow to draw and to load.
    form = {"cmap": "viridis", "vmin": limits[0], "vmax": limits[1], "rasterized": True}
    mesh = ax.pcolormesh(columns, distribution.edges, logs.T, shading="flat", **form)
    ax.set_ylim(*_occupied(distribution))
    style.step_columns(ax, steps, most=most)
    return mesh
