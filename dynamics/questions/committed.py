"""The committed results of one folder, read once, and what questions find in them, found once."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import xarray as xr

from dynamics.results import Store, Unit

Pairs = Sequence[tuple[Unit, xr.Dataset]]
Findings = TypeVar("Findings")


class Committed:
    """Results by measure. Nothing is read before it is asked for, and nothing twice.

    Example:
        >>> committed = Committed({})
        >>> committed.of("llc")
        []
    """

    def __init__(self, source: Store | Mapping[str, Pairs]):
        """`source` is a store, or measure -> its units with their data sets."""
        self._source = source
        self._units: dict[str, list[tuple[Unit, xr.Dataset]]] = {}
        self._findings: dict[Callable, Any] = {}

    def of(self, *names: str) -> list[tuple[Unit, xr.Dataset]]:
        """Units of a measure and their data sets, in order: of the first name that has any.

        Further names are those that the measure had in older results.
        """
        return next((units for units in map(self._read, names) if units), [])

    def findings(self, find: Callable[["Committed"], Findings]) -> Findings:
        """`find(self)`, computed at the first call alone."""
        if find not in self._findings:
            self._findings[find] = find(self)
        return self._findings[find]

    def _read(self, measure: str) -> list[tuple[Unit, xr.Dataset]]:
        if measure not in self._units:
            units = (
                self._source.committed(measure)
                if isinstance(self._source, Store)
                else self._source.get(measure, ())
            )
            self._units[measure] = list(units)
        return self._units[measure]


def by_model(pairs: Iterable[tuple[Unit, xr.Dataset]]) -> dict[str, Pairs]:
    """model -> its units by step, then seeds; models by size."""
    groups: dict[str, list] = {}
    for unit, data in pairs:
        groups.setdefault(unit.model, []).append((unit, data))
    return {
        model: sorted(groups[model], key=lambda pair: (pair[0].step, pair[0].seeds))
        for model in sorted(groups, key=natural)
    }


def by_largest_seed_set(pairs: Iterable[tuple[Unit, xr.Dataset]]) -> dict[str, Pairs]:
    """model -> its units by step, of the largest set of seeds measured together; models by size.

    Of two sets of one size the one with more checkpoints is taken.
    """
    largest = {}
    for model, units in by_model(pairs).items():
        sets: dict[tuple[int, ...], list] = {}
        for unit, data in units:
            sets.setdefault(unit.seeds, []).append((unit, data))
        largest[model] = max(sets.values(), key=lambda group: (len(group[0][0].seeds), len(group)))
    return largest


def by_step(pairs: Pairs) -> dict[int, Pairs]:
    """step -> its units by seeds, steps ascending. Units without a step are left out."""
    groups: dict[int, list] = {}
    for unit, data in sorted(pairs, key=lambda pair: pair[0].seeds):
        if unit.step is not None:
            groups.setdefault(unit.step, []).append((unit, data))
    return {step: groups[step] for step in sorted(groups)}


def natural(model: str) -> tuple:
    """Sort key by size: 70m before 1.4b, nano-32 before nano-64."""
    unit = {"k": 1e3, "m": 1e6, "b": 1e9}
    sizes = re.findall(r"(\d+(?:\.\d+)?)([kmb])\b", model.lower())
    sized = [float(number) * unit[suffix] for number, suffix in sizes]
    words = re.findall(r"\d+(?:\.\d+)?|\D+", model)
    parts = [(0, float(word), "") if word[:1].isdigit() else (1, 0.0, word) for word in words]
    return (sized or [0.0], parts)
