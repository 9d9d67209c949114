"""What a stored data set must hold, checked before a record is made of it.

A folder of results may come from anywhere. A variable that is absent, of another type or over other
axes, and a number out of its range, end in one sentence that names the file and the variable.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import xarray as xr

from dynamics.errors import InputError
from dynamics.results import Unit, json_attribute, name_of

_MEND = "Delete the file and run again."
_KINDS = {"number": "iuf", "whole number": "iu", "text": "U"}


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable of a data set; without axes, an attribute too.

    Attributes:
        axes: names of its dimensions, in order.
        kind: of its values.
        optional: whether older files lack it.
        least: the smallest value; None where there is none. NaN is not above it.
        most: the largest value; None where there is none.
        into: the axis that it counts places of: values are below its length; "" for none.
        labels: values that it must hold, each once; empty where any will do.
    """

    axes: tuple[str, ...]
    kind: Literal["number", "whole number", "text"]
    optional: bool = False
    least: float | None = None
    most: float | None = None
    into: str = ""
    labels: Collection[str] = ()

    def __str__(self) -> str:
        axes = f" over {', '.join(self.axes)}" if self.axes else ""
        return f"{self.kind}s{axes}" if self.axes else f"one {self.kind}"


def numbers(axes: str = "", *, optional: bool = False, least: float | None = None) -> Variable:
    """Numbers of any type over axes that are separated by blanks.

    Example:
        >>> print(numbers("seed document"))
        numbers over seed, document
    """
    return Variable(axes=tuple(axes.split()), kind="number", optional=optional, least=least)


def whole(
    axes: str = "",
    *,
    optional: bool = False,
    least: float | None = 0,
    most: float | None = None,
    into: str = "",
) -> Variable:
    """Whole numbers over axes that are separated by blanks."""
    return Variable(
        axes=tuple(axes.split()),
        kind="whole number",
        optional=optional,
        least=least,
        most=most,
        into=into,
    )


def texts(axes: str = "", *, optional: bool = False, labels: Collection[str] = ()) -> Variable:
    """Texts over axes that are separated by blanks."""
    return Variable(axes=tuple(axes.split()), kind="text", optional=optional, labels=labels)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The variables and attributes of a measure's data set.

    Attributes:
        variables: name -> what it must be.
        attributes: name -> what it must be.
        single_seed: whether each unit is of one seed at one step.
        of_checkpoints: whether each unit has a step.
        may_be_empty: axes that may have no place at all.
        together: names of which a data set has all or none.

    Example:
        >>> schema = Schema(variables={"kl": numbers("seed other document")})
        >>> schema.check(xr.Dataset({"kl": ("document", [0.5])}, attrs={"unit": "step8"}))
        Traceback (most recent call last):
        ...
        dynamics.errors.InputError: got step8 with 'kl' over document; expected numbers over \
seed, other, document. Delete the file and run again.
    """

    variables: Mapping[str, Variable]
    attributes: Mapping[str, Variable] = field(default_factory=dict)
    single_seed: bool = False
    of_checkpoints: bool = True
    may_be_empty: Collection[str] = ()
    together: Collection[Collection[str]] = ()

    def check(self, data: xr.Dataset):
        """Raises InputError unless the data set is of this form."""
        place = name_of(data)
        self._check_unit(data)
        for name, variable in self.variables.items():
            if name in data.variables:
                _check(data, f"{name!r}", data.variables[name], variable)
            elif not variable.optional:
                raise _fault(place, f"no variable {name!r}", str(variable))
        for name, variable in self.attributes.items():
            if name in data.attrs:
                attribute = xr.Variable((), data.attrs[name]) if _scalar(data.attrs[name]) else None
                if attribute is None:
                    raise _fault(place, f"an attribute {name!r} of many values", str(variable))
                _check(data, f"the attribute {name!r}", attribute, variable)
            elif not variable.optional:
                raise _fault(place, f"no attribute {name!r}", str(variable))
        for group in self.together:
            absent = [name for name in group if name not in data.variables]
            if absent and len(absent) < len(group):
                raise _fault(place, f"no variable {absent[0]!r}", f"all of {', '.join(group)}")
        for axis, size in data.sizes.items():
            if not size and axis not in self.may_be_empty:
                raise _fault(place, f"nothing along {str(axis)!r}", "one place or more")
        if data.sizes.get("other") not in (None, data.sizes.get("seed", data.sizes.get("other"))):
            sizes = f"{data.sizes['seed']} seeds beside {data.sizes['other']} others"
            raise _fault(place, sizes, "pairs of the same seeds")

    def _check_unit(self, data: xr.Dataset):
        """Raises InputError for a unit of another form, or data of other seeds than its own."""
        place = name_of(data)
        fields = _unit_fields(data, place)
        if not fields.get("model"):
            return
        unit = Unit.from_json(fields)
        if self.of_checkpoints and unit.step is None:
            raise _fault(place, "a unit without a step", "a unit of checkpoints")
        if self.single_seed and len(unit.seeds) != 1:
            raise _fault(place, f"a unit of {len(unit.seeds)} seeds", "a unit of one seed")
        if "seed" in data.variables and data["seed"].dims == ("seed",):
            seeds = data["seed"].values.tolist()
            if seeds != list(unit.seeds):
                raise _fault(place, f"numbers of the seeds {seeds}", f"{list(unit.seeds)}")


def expect(data: xr.Dataset, sound: bool | np.bool_, fault: str, expected: str):
    """Raises InputError, which names the file, unless `sound`."""
    if not sound:
        raise _fault(name_of(data), fault, expected)


def expect_documents(data: xr.Dataset):
    """Raises InputError where a window is of a document that the data set lacks."""
    if "window_document" in data.variables:
        owners = np.isin(data["window_document"].values, data["document"].values)
        expect(data, owners.all(), "windows of documents that it lacks", "a document for each")


def _check(data: xr.Dataset, name: str, values: xr.Variable, variable: Variable):
    place = name_of(data)
    if values.dims != variable.axes:
        axes = ", ".join(map(str, values.dims)) or "no axis"
        raise _fault(place, f"{name} over {axes}", str(variable))
    array = _plain(values.values)
    if array.dtype.kind not in _KINDS[variable.kind]:
        raise _fault(place, f"{name} of type {array.dtype}", str(variable))
    if variable.labels and sorted(array.tolist()) != sorted(variable.labels):
        raise _fault(place, f"{name} of other labels", f"{', '.join(variable.labels)}, each once")
    most = data.sizes[variable.into] - 1 if variable.into in data.sizes else variable.most
    # Not by its opposite: NaN is neither below a bound nor above it.
    if variable.least is not None and not (array >= variable.least).all():
        raise _fault(place, f"{name} below {variable.least:g} or NaN", str(variable))
    if most is not None and not (array <= most).all():
        raise _fault(place, f"{name} above {most:g} or NaN", str(variable))


def _plain(array: np.ndarray) -> np.ndarray:
    """Text as numpy's own type, as a file's is read; data sets in memory may hold objects."""
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.ravel()):
        return array.astype(str)
    return array


def _scalar(value: object) -> bool:
    return isinstance(value, str) or np.ndim(value) == 0  # pyright: ignore[reportArgumentType]


def _unit_fields(data: xr.Dataset, place: str) -> dict:
    """The unit that the data set names; {} where it names none, as made-up ones may."""
    if "unit" not in data.attrs:
        return {}
    try:
        json.loads(data.attrs["unit"])
    except (ValueError, TypeError, RecursionError):
        return {}
    return json_attribute(data.attrs, "unit", place)


def _fault(place: str, fault: str, expected: str) -> InputError:
    return InputError(f"{place} with {fault}", expected=expected, mend=_MEND)
