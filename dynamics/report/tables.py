"""Tables in two forms: shortened for reading, and whole as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.report import words
from dynamics.report.section import Table

MOST_ROWS = 150  # shown in a page; all are in the CSV


@dataclass(frozen=True, kw_only=True)
class Column:
    """The head of a column: its name, and whether its cells are numbers."""

    name: str
    numeric: bool


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A table as a page shows it: every cell as text, and how many rows were left out."""

    columns: list[Column]
    rows: list[list[str]]
    left_out: int


def shown(table: Table, most_rows: int = MOST_ROWS) -> Shown:
    """The first `most_rows` rows, numbers to three digits."""
    rows = table.rows
    columns = [
        Column(name=name, numeric=_is_numeric(cells)) for name, cells in table.columns.items()
    ]
    return Shown(
        columns=columns,
        rows=[[_short(cell) for cell in row] for row in rows[:most_rows]],
        left_out=max(0, len(rows) - most_rows),
    )


def csv_text(table: Table) -> str:
    """The table as CSV, every digit kept. A cell without a number is empty.

    Example:
        >>> csv_text(Table(columns={"model": ["a, b", "c"], "KL (nats)": [0.1, float("nan")]}))
        'model,KL (nats)\\n"a, b",0.1\\nc,\\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_whole(cell) for cell in row] for row in table.rows)
    return buffer.getvalue()


def plain(cell: object) -> object:
    """A cell as a Python object, NumPy's scalars as numbers."""
    return cell.item() if isinstance(cell, np.generic) else cell


def _is_numeric(cells: Sequence[object]) -> bool:
    values = [plain(cell) for cell in cells]
    return any(isinstance(v, (int, float)) for v in values) and not any(
        isinstance(v, str) for v in values
    )


def _short(cell: object) -> str:
    cell = plain(cell)
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return words.number(cell) if isinstance(cell, float) else str(cell)


def _whole(cell: object) -> object:
    cell = plain(cell)
    missing = cell is None or (isinstance(cell, float) and np.isnan(cell))
    return "" if missing else cell
