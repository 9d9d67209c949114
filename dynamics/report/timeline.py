"""What happened when: every track of every question over one axis of training steps.

A thin row for each quantity, a colour for each model. Above a row's curves stand its changes, a
lane for each model: a diamond where the change is, a bar over its interval. Rows share their steps
and nothing else, so that what coincides is seen and what is large is not compared.
"""

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from dynamics.analysis.curve import all_steps
from dynamics.figures import readout, style, tokens_axis
from dynamics.report import words
from dynamics.report.section import Change, Table, Track

WIDE, NARROW = 10.6, 4.4  # inches
_ROW, _LANE, _ENDS = (
    0.5,
    0.13,
    0.75,
)  # inches: of curves, of one model's changes, of axis and legend
_SPAN = 100.0  # beyond this ratio of positive values a row is logarithmic


def merged(tracks: Iterable[Track]) -> list[Track]:
    """One track for each label: of two questions one may have the curves, one their changes.

    Changes without any curve are left out.
    """
    groups: dict[str, list[Track]] = {}
    for track in tracks:
        groups.setdefault(track.label, []).append(track)
    rows = [
        Track(
            label=label,
            curves=[curve for track in group for curve in track.curves],
            changes=[change for track in group for change in track.changes],
        )
        for label, group in groups.items()
    ]
    return [row for row in rows if row.curves]


def figure(tracks: Sequence[Track], look: style.Look, wide: bool = True):
    """The tracks as rows. Wide, their names stand left of the rows; else above them."""
    lanes = [_lanes(track, look) for track in tracks]
    heights = [_ROW + (not wide) * 0.17 + _LANE * len(models) for models in lanes]
    picture = style.sheet((WIDE if wide else NARROW, _ENDS + sum(heights)))
    panels = picture.subplots(
        len(tracks), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for ax, track, models, height in zip(panels, tracks, lanes, heights, strict=True):
        style.dress(ax, "", "training step" if ax is panels[-1] else "")
        _name(ax, track.label, wide)
        _curves(ax, track, look, len(models) * _LANE / height)
        for place, model in enumerate(models):
            changes = [change for change in track.changes if change.model == model]
            _changes(ax, changes, look, 1 - (place + 0.5) * _LANE / height)
    steps = np.unique(np.concatenate([all_steps(track.curves) for track in tracks]))
    style.step_axis(panels[-1], steps.tolist(), most=14 if wide else 7)
    for ax in panels[:-1]:
        ax.tick_params(axis="x", length=0, labelbottom=False)
        ax.spines["bottom"].set_visible(False)
    if wide:
        picture.align_ylabels(panels)
    _legend(picture, panels, 8 if wide else 3)
    return tokens_axis.add(picture, look.tokens_per_step)


def table(tracks: Sequence[Track]) -> Table:
    """The values of all tracks: a row for each quantity, model and step."""
    columns: dict[str, list[object]] = {"quantity": []}
    for track in tracks:
        rows = Table.of_curves(track.curves, "value").columns
        columns["quantity"] += [track.label] * len(rows["step"])
        for name, cells in rows.items():
            columns.setdefault(name, []).extend(cells)
    return Table(columns=columns)


def changes_table(tracks: Sequence[Track]) -> Table:
    """The changes of all tracks in the order of their steps."""
    changes = [(track.label, change) for track in tracks for change in track.changes]
    changes.sort(key=lambda pair: (pair[1].step, pair[0], pair[1].model))
    return Table(
        columns={
            "change": [change.name for _, change in changes],
            "quantity": [label for label, _ in changes],
            "model": [change.model for _, change in changes],
            "step": [change.step for _, change in changes],
            "low": [change.low for _, change in changes],
            "high": [change.high for _, change in changes],
        }
    )


def _lanes(track: Track, look: style.Look) -> list[str]:
    return [model for model in look if any(change.model == model for change in track.changes)]


def _name(ax, label: str, wide: bool):
    if wide:
        ax.set_ylabel(
            textwrap.fill(label, 24), rotation=0, ha="right", va="center", fontsize=9.5, labelpad=4
        )
    else:
        ax.set_title(label, fontsize=9.5, color=style.INK, loc="left", pad=3)


def _curves(ax, track: Track, look: style.Look, above: float):
    """The curves of a row, below the share `above` of its height that changes take."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    style.lines(ax, track.curves, look, band=True, markersize=3, linewidth=1.4)
    values = _extent(track)
    if not len(values):
        return
    if values.min() > 0 and values.max() > _SPAN * values.min():
        ax.set_yscale("log")
    to, back = ax.transScale.transform, ax.transScale.inverted().transform
    low, high = (to((1, v))[1] for v in (values.min(), values.max()))
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    bottom, top = low - margin, high + margin
    top += (top - bottom) * above / (1 - above)
    ax.set_ylim(*(back((1, v))[1] for v in (bottom, top)))
    ax.yaxis.set_major_locator(
        LogLocator(numticks=3) if ax.get_yscale() == "log" else MaxNLocator(2, min_n_ticks=2)
    )
    ax.yaxis.set_major_formatter(FuncFormatter(style.plain))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="y", labelsize=7.5, length=2)
    ax.grid(axis="y", visible=False)


def _extent(track: Track) -> np.ndarray:
    """The finite values of a row, and its error bars as far as they stay near them."""
    values = np.concatenate([curve.value for curve in track.curves])
    values = values[np.isfinite(values)]
    if not len(values):
        return values
    reach = np.ptp(values) or abs(values[0])
    bars = np.concatenate([[curve.low, curve.high] for curve in track.curves], axis=None)
    low, high = values.min(), values.max()
    near = np.clip(bars[np.isfinite(bars)], low - 0.5 * reach, high + 0.5 * reach)
    return np.concatenate([values, near[(near > 0) | (low <= 0)]])


def _changes(ax, changes: Sequence[Change], look: style.Look, height: float):
    """The changes of one model, at this share of a row's height."""
    across = ax.get_xaxis_transform()
    for change in changes:
        color = look[change.model]["color"]
        if np.isfinite(change.low) and np.isfinite(change.high):
            ax.plot(
                [change.low, change.high],
                [height, height],
                transform=across,
                color=color,
                alpha=0.35,
                linewidth=3,
                solid_capstyle="round",
            )
        (mark,) = ax.plot(
            [change.step],
            [height],
            transform=across,
            color=color,
            marker="D",
            markersize=3.6,
            linestyle="none",
            label="_",
        )
        readout.set_note(mark, _note(change))


def _note(change: Change) -> str:
    interval = ""
    if np.isfinite(change.low) and np.isfinite(change.high):
        interval = f" [{words.number(change.low)}, {words.number(change.high)}]"
    return f"{change.model}: {change.name}, step {words.number(change.step)}{interval}"


def _legend(picture, panels, columns: int):
    """One entry for each model, whichever rows have it."""
    entries = {}
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if len(entries) > 1:
        picture.legend(
            list(entries.values()),
            list(entries),
            loc="outside upper left",
            ncols=style.legend_columns(picture, list(entries), columns),
            frameon=False,
            fontsize=9.5,
            labelcolor=style.INK,
            borderpad=0.1,
        )
