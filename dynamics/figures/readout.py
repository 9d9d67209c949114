"""What a reader can ask of a drawn figure beyond its ink: names, error bars, columns, changes.

matplotlib's artists have no room for these. They are kept beside them, for as long as the artists
live; a page that shows the figure looks them up by artist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """What a drawn line stands for.

    Attributes:
        name: what it is called where it is read.
        low, high: ends of the error bar at each of its points; NaN where there is none.
    """

    name: str
    low: np.ndarray
    high: np.ndarray


_SERIES: WeakKeyDictionary[Any, Series] = WeakKeyDictionary()
_COLUMNS: WeakKeyDictionary[Any, list[str]] = WeakKeyDictionary()
_NOTES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def set_series(line, name: str, low: np.ndarray, high: np.ndarray):
    """Says what a line is called, and how sure each of its points is."""
    _SERIES[line] = Series(name=name, low=np.asarray(low), high=np.asarray(high))


def series(line) -> Series | None:
    """What a line stands for: as it was said, else by its label. None for a line that has none."""
    label = str(line.get_label())
    unsure = np.full(len(line.get_xdata()), np.nan)
    named = None if label.startswith("_") else Series(name=label, low=unsure, high=unsure)
    return _SERIES.get(line, named)


def set_columns(ax, names: Sequence[str]):
    """Names every column of a heat map, where its axis has room for a few alone."""
    _COLUMNS[ax] = list(names)


def columns(ax) -> list[str]:
    """Names of a heat map's columns; [] where nothing was said."""
    return _COLUMNS.get(ax, [])


def set_note(line, text: str):
    """Says what a mark in a figure means."""
    _NOTES[line] = text


def note(line) -> str:
    """What a mark means; "" for a line that is none."""
    return _NOTES.get(line, "")
