"""What the pointer reads off a figure: where its curves and cells lie, and the numbers they stand
for.

Places are in the user units of the figure's SVG, points from the upper left corner. Everything is
plain data, for a script in the page to read; the script knows no figure.
"""

import contextlib
import functools

import numpy as np

from dynamics.figures import readout
from dynamics.report.svg import POINTS_PER_INCH

MOST_POINTS = 400  # of one curve: beyond that neighbours are closer than a pixel
MOST_CELLS = 6000  # of one heat map: beyond that the numbers outweigh the page


def readings(figure, colours: dict[str, str]) -> dict:
    """What can be read off a figure that has been drawn at 72 dots to the inch.

    `colours` maps drawn colours to those of the page. Returns {"width", "height", "panels"}, and
    for each panel its "box" [left, top, right, bottom], the "group" of panels that share its x
    axis, its "title", what its x axis is called, and its "curves", "marks" and "cells".
    """
    width, height = (float(v) * POINTS_PER_INCH for v in figure.get_size_inches())
    panels = [_panel(figure, ax, height, colours) for ax in figure.axes if _is_panel(ax)]
    shown = [p for p in panels if p["curves"] or p["marks"] or p["cells"]]
    return {"width": _short(width), "height": _short(height), "panels": shown}


def _is_panel(ax) -> bool:
    return ax.get_visible() and ax.get_label() != "<colorbar>"


def _panel(figure, ax, height: float, colours: dict[str, str]) -> dict:
    together = [other for other in figure.axes if other in ax.get_shared_x_axes().get_siblings(ax)]
    extent = ax.get_window_extent()
    named = functools.partial(_x_name, _tick_names(ax))
    lines = [line for line in ax.lines if line.get_transform() == ax.transData]
    noted = [line for line in ax.lines if readout.note(line)]
    curves = [_curve(line, height, colours, named) for line in lines if line not in noted]
    return {
        "box": [_short(v) for v in (extent.x0, height - extent.y1, extent.x1, height - extent.y0)],
        "group": figure.axes.index(together[0]),
        "title": " ".join((ax.get_title("left") or ax.get_title() or ax.get_ylabel()).split()),
        "x": next((label for a in reversed(together) if (label := a.get_xlabel())), ""),
        "curves": [curve for curve in curves if curve],
        "marks": [_mark(line, height, colours, named) for line in noted],
        "cells": _cells(ax, height),
    }


def _curve(line, height: float, colours: dict[str, str], named) -> dict | None:
    """A line that has a name: [[px, py, x, y, low, high], ...] of its points in the panel."""
    series = readout.series(line)
    points = np.array([line.get_xdata(False), line.get_ydata(False)], np.float64).T
    finite = np.flatnonzero(np.isfinite(points).all(1))
    if series is None or not len(finite):
        return None
    thinned = np.linspace(0, len(finite) - 1, min(len(finite), MOST_POINTS)).round().astype(int)
    at = finite[thinned]
    values = np.column_stack([points[:, 1], series.low, series.high])[at]
    places = line.get_transform().transform(points[at])
    return {
        "name": series.name,
        "colour": _colour(line.get_color(), colours),
        "measured": line.get_marker() not in ("", " ", "None", None),
        "points": [
            [_short(px), _short(height - py), named(x), *map(_number, numbers)]
            for (px, py), x, numbers in zip(places, points[at, 0], values, strict=True)
        ],
    }


def _mark(line, height: float, colours: dict[str, str], named) -> dict:
    points = np.array([line.get_xdata(False), line.get_ydata(False)], np.float64).T
    px, py = line.get_transform().transform(points)[0]
    return {
        "at": [_short(px), _short(height - py)],
        "x": named(points[0, 0]),
        "text": readout.note(line),
        "colour": _colour(line.get_color(), colours),
    }


def _cells(ax, height: float) -> dict | None:
    """A heat map whose cells stand in rows and columns."""
    heat_map = _heat_map(ax)
    if heat_map is None or heat_map[0].size > MOST_CELLS:
        return None
    values, x, y = heat_map
    across = ax.transData.transform(np.column_stack([x, np.full(len(x), y[0])]))[:, 0]
    down = ax.transData.transform(np.column_stack([np.full(len(y), x[0]), y]))[:, 1]
    return {
        "x": [_short(v) for v in across],
        "y": [_short(height - v) for v in down],
        "columns": readout.columns(ax) or _names(_tick_names(ax), x),
        "rows": _names(_tick_names(ax, "y"), y),
        "values": [[_number(v, 4) for v in row] for row in values],
    }


def _heat_map(ax) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Values [R,C] of the first imshow or pcolormesh, with the edges [C+1] and [R+1] of cells."""
    from matplotlib.collections import QuadMesh

    mesh = next((artist for artist in ax.collections if isinstance(artist, QuadMesh)), None)
    if ax.images:
        values = _filled(ax.images[0].get_array())
        left, right, bottom, top = ax.images[0].get_extent()
        x = np.linspace(left, right, values.shape[1] + 1)
        ends = (bottom, top) if ax.images[0].origin == "lower" else (top, bottom)
        return (values, x, np.linspace(*ends, values.shape[0] + 1)) if values.ndim == 2 else None
    if mesh is None:
        return None
    corners = np.asarray(mesh.get_coordinates())
    x, y = corners[0, :, 0], corners[:, 0, 1]
    return _filled(mesh.get_array()).reshape(len(y) - 1, len(x) - 1), x, y


def _filled(values) -> np.ndarray:
    return np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)


def _names(ticks: dict[float, str], edges: np.ndarray) -> list[str]:
    """What the cells between two edges are called: their tick's label, else their middle."""
    middles = (edges[1:] + edges[:-1]) / 2
    return [ticks.get(round(float(m), 9), f"{m:.4g}") for m in middles]


def _tick_names(ax, which: str = "x") -> dict[float, str]:
    """Where ticks were named by hand: place -> name."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    labels = [label.get_text() for label in axis.get_ticklabels()]
    places = [round(float(v), 9) for v in axis.get_ticklocs()]
    return dict(zip(places, labels, strict=False))


def _x_name(ticks: dict[float, str], x: float) -> float | str | None:
    """A place on the x axis: its number, or its name where that is no number ("1k" is one)."""
    name = ticks.get(round(float(x), 9), "")
    with contextlib.suppress(ValueError):
        float(name.rstrip("k").replace("−", "-"))
        return _number(x)
    return name or _number(x)


def _colour(drawn, colours: dict[str, str]) -> str:
    from matplotlib.colors import to_hex

    return colours.get(to_hex(drawn), to_hex(drawn))


def _short(place: float) -> float:
    return round(float(place), 2)


def _number(value: float, digits: int = 7) -> float | None:
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None
