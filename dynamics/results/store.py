"""A folder of results: what is committed, and what is not yet."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from dynamics import files
from dynamics.errors import InputError
from dynamics.results import sealed_file
from dynamics.results.origin import made_by
from dynamics.results.unit import PATTERNS, Unit


class Store:
    """A folder of results of one suite.

    Example:
        >>> import tempfile
        >>> store = Store(tempfile.mkdtemp())
        >>> unit = Unit(measure="llc", model="nano-32", seeds=(0,), step=8)
        >>> store.has(unit, {"num_draws": 100})
        False
        >>> data = xr.Dataset({"llc": 3.5})
        >>> store.write(unit, data, {"num_draws": 100}, {"weights": []})
        >>> store.has(unit, {"num_draws": 100})
        True
        >>> [(str(unit), float(data["llc"])) for unit, data in store.committed("llc")]
        [('llc nano-32 seed 0 step 8', 3.5)]
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def has(self, unit: Unit, config: Mapping) -> bool:
        """Is the unit committed? Raises InputError if it has another configuration."""
        attributes = self._attributes(unit)
        if attributes is None:
            return False
        _check_config(attributes["config"], config, self.root / unit.path)
        return True

    def weights(self, unit: Unit) -> list[dict[str, str]] | None:
        """Weight file -> sha256, of each checkpoint that a committed unit measured; None without.

        Raises InputError if the file is unreadable.
        """
        attributes = self._attributes(unit)
        if attributes is None:
            return None
        return [
            origin.get("sha256", {}) for origin in attributes["provenance"].get("weights") or []
        ]

    def write(self, unit: Unit, data: xr.Dataset, config: Mapping, provenance: Mapping):
        """Commits `data` with its configuration and provenance.

        Raises InputError where nothing can be written; the store is then as it was.
        """
        attributes = {
            "config": _json(config),
            "unit": _json(unit.to_json()),
            "provenance": _json(provenance),
            "made_by": _json(made_by()),
        }
        sealed_file.write(
            self.root / unit.path,
            data.assign_attrs(attributes),
            mend="Free some space or choose another --out; what was committed stays.",
        )

    def read(self, unit: Unit) -> xr.Dataset:
        """The committed data set of a unit, in memory.

        Raises InputError if it is unreadable, or that of another unit.
        """
        return self._load(self.root / unit.path)[1]

    def committed(self, measure: str) -> Iterator[tuple[Unit, xr.Dataset]]:
        """Every committed unit of a measure, in order.

        Raises InputError for a file that is damaged, or whose place is another unit's. Older files
        name a model, a seed and a step even for a unit of the suite or of a run. They are read as
        they are.
        """
        paths = sorted(path for form in PATTERNS for path in (self.root / measure).glob(form))
        yield from sorted(map(self._load, paths), key=lambda pair: pair[0])

    def measures(self) -> list[str]:
        """Names of the measures that any file lies under, whether or not anything reads them."""
        if not self.root.is_dir():
            return []
        folders = sorted(folder for folder in self.root.iterdir() if folder.is_dir())
        return [
            folder.name
            for folder in folders
            if any(True for form in PATTERNS for _ in folder.glob(form))
        ]

    def _load(self, path: Path) -> tuple[Unit, xr.Dataset]:
        data = sealed_file.read(path)
        return self._checked(path, data.attrs)["unit"], data

    def _attributes(self, unit: Unit) -> dict[str, Any] | None:
        """What a unit's file says of itself; None without one."""
        path = self.root / unit.path
        if not path.exists():
            return None
        return self._checked(path, sealed_file.read_attributes(path))

    def _checked(self, path: Path, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The unit, config and provenance of a file. Raises InputError for those of another."""
        fields = {
            name: json_attribute(attributes, name, str(path))
            for name in ("unit", "config", "provenance", "made_by")
        }
        _check_provenance(fields["provenance"], path)
        if not isinstance(fields["made_by"].get("packages", {}), dict):
            raise _malformed(path, "the attribute 'made_by', which names no packages")
        try:
            unit = Unit.from_json(fields["unit"])
        except InputError as error:
            raise _malformed(path, f"the attribute 'unit': {error}") from error
        if self.root / unit.path != path:
            raise InputError(
                f"{path}, which holds {unit}",
                expected=f"that unit at {self.root / unit.path}",
                mend="Was the file copied or renamed? Delete it and run again.",
            )
        return {**fields, "unit": unit}


def check_writable(root: Path):
    """Raises InputError, before any work is done, if nothing could be written under `root`."""
    files.check_writable(root, name=f"--out={root}")


def name_of(data: xr.Dataset) -> str:
    """The file that a data set was read from, else the unit that it names."""
    unit = data.attrs.get("unit")
    return str(data.encoding.get("source") or (unit if isinstance(unit, str) else "a data set"))


def json_attribute(attributes: Mapping[str, Any], name: str, place: str) -> dict[str, Any]:
    """An attribute that holds a JSON object; {} without it. `place` is what errors call the file.

    Raises InputError.

    Example:
        >>> json_attribute({"config": '{"windows": 160}'}, "config", "step8.nc")
        {'windows': 160}
    """
    try:
        value = json.loads(attributes.get(name, "{}"))
    except (ValueError, TypeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _malformed(place, f"the attribute {name!r}, which is no JSON object")
    return value


def _malformed(path: str | Path, fault: str) -> InputError:
    return InputError(
        f"{path} with {fault}",
        expected="a file that an experiment wrote",
        mend="Delete the file and run again.",
    )


def _check_provenance(provenance: Mapping[str, Any], path: Path):
    """Raises InputError unless the weights and the text are named as `Store.write` names them."""
    weights, corpus = provenance.get("weights") or [], provenance.get("corpus") or {}
    listed = isinstance(weights, list) and all(isinstance(origin, dict) for origin in weights)
    digests = [origin.get("sha256", {}) for origin in weights] if listed else [None]
    named = all(
        isinstance(of_files, dict) and all(isinstance(digest, str) for digest in of_files.values())
        for of_files in digests
    )
    if not (listed and named and isinstance(corpus, dict)):
        raise _malformed(path, "the attribute 'provenance', which names no weights and text")


def _check_config(stored: Mapping, wanted: Mapping, path: Path):
    wanted = json.loads(_json(wanted))
    changed = [k for k in sorted({*stored, *wanted}) if stored.get(k) != wanted.get(k)]
    if changed:
        listing = ", ".join(
            f"{k}: {stored.get(k)!r} there, {wanted.get(k)!r} here" for k in changed
        )
        raise InputError(
            f"results in {path} of another configuration ({listing})",
            expected="one configuration per folder",
            mend="Choose another --out, or delete that measure's folder.",
        )


def _json(value: Mapping) -> str:
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    return str(value)
