"""The committed results of one folder, read once, and what questions find in them, found once.

Units along one curve must go together: they are of one configuration, and over the same axes.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from dynamics.errors import InputError
from dynamics.results import Store, Unit, json_attribute, name_of

Pairs = Sequence[tuple[Unit, xr.Dataset]]
Findings = TypeVar("Findings")
_OWN_AXES = {"id"}  # along which every unit has places of its own: the tokens that it shows


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
        self._errors: dict[str | Callable, InputError] = {}

    def of(self, *names: str) -> list[tuple[Unit, xr.Dataset]]:
        """Units of a measure and their data sets, in order.

        Further names are those that the measure had in older results; where a unit has several
        names, the first counts. Raises InputError for a result that is unreadable, or that does not
        go with the others of its curve.
        """
        by_name = [self._read(name) for name in names]
        # What the whole suite shares was once stored as of a model that there is none of.
        if any(not unit.model for unit, _ in by_name[0]):
            del by_name[1:]
        units = {
            dataclasses.replace(unit, measure=names[0]): (unit, data)
            for pairs in reversed(by_name)
            for unit, data in pairs
        }
        pairs = [units[unit] for unit in sorted(units)]
        _check_curves(pairs)
        return pairs

    def findings(self, find: Callable[["Committed"], Findings]) -> Findings:
        """`find(self)`, computed at the first call alone. Raises InputError as `find` does."""
        if find not in self._findings:
            self._findings[find] = self._once(find, lambda: find(self))
        return self._findings[find]

    def _once(self, key: str | Callable, compute: Callable[[], Any]) -> Any:
        """`compute()`, or the error that it raised before."""
        if key in self._errors:
            raise self._errors[key]
        try:
            return compute()
        except InputError as error:
            self._errors[key] = error
            raise

    def _read(self, measure: str) -> list[tuple[Unit, xr.Dataset]]:
        if measure not in self._units:
            self._units[measure] = self._once(measure, lambda: list(self._stored(measure)))
        return self._units[measure]

    def _stored(self, measure: str) -> Iterable[tuple[Unit, xr.Dataset]]:
        if isinstance(self._source, Store):
            return self._source.committed(measure)
        return self._source.get(measure, ())


def _check_curves(pairs: Pairs):
    """Raises InputError where a unit does not go with the first of its model and seeds."""
    firsts: dict[tuple, tuple[Unit, xr.Dataset]] = {}
    for unit, data in pairs:
        if unit.step is None:
            continue
        first = firsts.setdefault((unit.measure, unit.model, unit.seeds), (unit, data))[1]
        _check_alike(first, data)
        _check_axes(firsts.setdefault((unit.model, unit.seeds), (unit, data))[1], data)


def _check_alike(first: xr.Dataset, data: xr.Dataset):
    """Raises InputError unless both have one configuration, and arrays of the same names."""
    check_configs(first, data)
    arrays, others = ({str(n) for n, v in d.variables.items() if v.ndim} for d in (first, data))
    if absent := arrays - others:
        raise _apart(data, first, f"without {', '.join(map(repr, sorted(absent)))}")
    if extra := others - arrays:
        raise _apart(data, first, f"with {', '.join(map(repr, sorted(extra)))}")


def check_configs(first: xr.Dataset, data: xr.Dataset):
    """Raises InputError unless both have one configuration."""
    config, other = (json_attribute(d.attrs, "config", name_of(d)) for d in (first, data))
    changed = [name for name in sorted({*config, *other}) if config.get(name) != other.get(name)]
    if changed:
        listing = ", ".join(
            f"{name}: {other.get(name)!r} and {config.get(name)!r}" for name in changed
        )
        raise _apart(data, first, f"of another configuration ({listing})")


def _check_axes(first: xr.Dataset, data: xr.Dataset):
    """Raises InputError unless the axes that both have are the same."""
    for axis in sorted((set(first.sizes) & set(data.sizes)) - _OWN_AXES, key=str):
        same = first.sizes[axis] == data.sizes[axis] and (
            axis not in first.indexes
            or axis not in data.indexes
            or np.array_equal(first[axis].values, data[axis].values)
        )
        if not same:
            raise _apart(data, first, f"over another axis {str(axis)!r}")


def _apart(data: xr.Dataset, first: xr.Dataset, fault: str) -> InputError:
    return InputError(
        f"{name_of(data)} {fault}",
        expected=f"what {name_of(first)} has, along one curve",
        mend="Delete what is out of place and run again.",
    )


def by_model(pairs: Iterable[tuple[Unit, xr.Dataset]]) -> dict[str, Pairs]:
    """model -> its units by step, then seeds; models by size."""
    groups: dict[str, list] = {}
    for unit, data in pairs:
        groups.setdefault(unit.model, []).append((unit, data))
    return {
        model: sorted(groups[model], key=lambda pair: (_place(pair[0]), pair[0].seeds))
        for model in sorted(groups, key=natural)
    }


def _place(unit: Unit) -> tuple[bool, int]:
    """Sort key by step; a unit of a whole run comes before those of its steps."""
    return unit.step is not None, unit.step or 0


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
