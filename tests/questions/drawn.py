"""What can be read off a panel's figure, held against the table behind it and the page's JSON.

Axes: R rows and C columns of a table.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from dynamics.report import hover, numbers, svg
from dynamics.report.section import Panel, Section, Table

DIGITS = 2e-6  # relative: readings have seven digits
CELL_DIGITS = 1e-3  # those of heat maps four


def readings(panel: Panel) -> Iterator[tuple[dict, bool]]:
    """Each part of the panel's figure as a reader's pointer has it, and whether y names rows."""
    figure = panel.draw()
    svg.tree(figure)  # draws it, as the page does
    parts = hover.readings(figure, {})["panels"]
    shown = [ax for ax in figure.axes if _box(figure, ax) in [part["box"] for part in parts]]
    for part in parts:
        (ax,) = [ax for ax in shown if _box(figure, ax) == part["box"]]
        labels = [label.get_text() for label in ax.get_yticklabels()]
        yield part, any(re.search(r"[^\W\d_e]", label) for label in labels if "$" not in label)


def _box(figure, ax) -> list[float]:
    extent, height = ax.get_window_extent(), figure.get_size_inches()[1] * svg.POINTS_PER_INCH
    corners = extent.x0, height - extent.y1, extent.x1, height - extent.y0
    return [round(float(v), 2) for v in corners]


def absent_from_table(panel: Panel) -> list[str]:
    """Points with the ends of their bars, and cells, that no row of the panel's table holds."""
    table, absent = _numeric(panel.table), []
    for part, names_rows in readings(panel):
        for curve in part["curves"]:
            for _, _, *point in curve["points"]:
                if names_rows:
                    del point[1]
                values = [v for v in point if isinstance(v, int | float)]
                if not _in_one_row(table, values):
                    absent.append(f"{panel.name}, {curve['name']}: {values}")
        if part["cells"]:
            cells = np.array(part["cells"]["values"], np.float64)
            absent += [
                f"{panel.name}, a cell: {value}"
                for value in cells[np.isfinite(cells)]
                if not np.isclose(table, value, rtol=CELL_DIGITS, atol=1e-12).any()
            ]
    return absent


def absent_from_numbers(section: Section) -> list[str]:
    """Curves of the section's figures with a point that is not among its numbers."""
    page = np.array(sorted(set(_numbers(numbers.plain(section.numbers)))))
    absent = []
    for panel in section.panels:
        for part, names_rows in readings(panel):
            for curve in part["curves"]:
                place = 2 if names_rows else 3
                values = [point[place] for point in curve["points"]]
                values = np.array([v for v in values if isinstance(v, int | float)], np.float64)
                close = np.isclose(page[:, None], values, rtol=DIGITS, atol=1e-12).any(0)
                if not close.all():
                    absent.append(f"{panel.name}, {curve['name']}: {values[~close][:3]}")
    return absent


def _numeric(table: Table) -> np.ndarray:
    """[R,C] of the table's cells, NaN for what is no number."""
    rows = [
        [float(cell) if isinstance(cell, int | float | np.number) else np.nan for cell in row]
        for row in table.rows
    ]
    return np.array(rows, np.float64)


def _in_one_row(table: np.ndarray, values: list[float]) -> bool:
    """Whether a row [C] of table [R,C] holds all of the values."""
    near = [np.isclose(table, value, rtol=DIGITS, atol=1e-12).any(1) for value in values]
    return bool(np.all(near, axis=0).any())


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)
