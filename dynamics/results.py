"""Results on disk: one file per work unit, written whole or not at all, skipped when it exists.

A work unit is a measure of checkpoints, of a run, or of a suite (`Unit`). Its file is one netCDF
data set, put in place by one rename, so that a reader sees it whole or not at all, and any
scheduler can run any subset, twice, killed at any point. Every file carries the configuration it
was computed with; a folder written with another configuration is refused. After the data set, where
HDF5 reads nothing, comes the sha256 of all bytes before it: a damaged file is refused.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import io
import json
import platform
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

import dynamics
from dynamics import files
from dynamics.errors import InputError
from dynamics.suite import Cell

_SEAL = b"sha256 of all before"
_SEAL_SIZE = len(_SEAL) + 32
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "matfree")
# Attributes by which HDF5 ties variables to their dimensions; those of netCDF begin with "_N".
_INTERNAL = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST"}
# Where the files of a measure lie, under its folder: of the suite, of runs, of checkpoints.
_PATTERNS = ("suite.nc", "*/seed*/run.nc", "*/seed*/step*.nc")
_LONGEST_NAME = 255  # bytes that file systems allow in the name of a folder


@functools.total_ordering
@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work that is committed whole. It has one of three forms:

    - of checkpoints: one or more seeds of a model at a step, MEASURE/MODEL/SEEDS/stepN.nc;
    - of a run: one or more seeds of a model, MEASURE/MODEL/SEEDS/run.nc;
    - of the suite: what belongs to no model, such as its text, MEASURE/suite.nc.

    Units are ordered by measure, model, seeds and step; a wider unit comes before its parts. Any
    other combination of fields raises InputError.

    Example:
        >>> print(Unit(measure="llc", model="nano-32", seeds=(0,), step=8))
        llc nano-32 seed 0 step 8
        >>> Unit.of_run("audit", "nano-32", (0,)).path.as_posix()
        'audit/nano-32/seed0/run.nc'
        >>> Unit.of_suite("ngram").path.as_posix()
        'ngram/suite.nc'
    """

    measure: str
    model: str = ""  # "" for a unit of the suite
    seeds: tuple[int, ...] = ()  # () for a unit of the suite
    step: int | None = None  # None for a unit of a run or of the suite

    def __post_init__(self):
        if bool(self.model) != bool(self.seeds) or (self.step is not None and not self.model):
            raise InputError(
                f"a unit of model {self.model!r}, seeds {self.seeds} and step {self.step}",
                expected="a model with seeds and a step, a model with seeds, or none of them",
            )

    @classmethod
    def of_run(cls, measure: str, model: str, seeds: Sequence[int]) -> "Unit":
        """A unit of whole runs: `seeds` of a model at no step in particular."""
        return cls(measure=measure, model=model, seeds=tuple(seeds))

    @classmethod
    def of_suite(cls, measure: str) -> "Unit":
        """A unit of the whole suite or its text, which belongs to no model, seed or step."""
        return cls(measure=measure)

    @property
    def path(self) -> Path:
        """Where its file lies under the store's root."""
        if not self.model:
            return Path(self.measure) / "suite.nc"
        folder = Path(self.measure) / _folder_name(self.model) / f"seed{self._seed_list()}"
        return folder / ("run.nc" if self.step is None else f"step{self.step}.nc")

    def cells(self) -> list[Cell]:
        """The checkpoints that a unit of checkpoints measures; [] for the other two forms."""
        if self.step is None:
            return []
        return [Cell(self.model, seed, self.step) for seed in self.seeds]

    def __str__(self) -> str:
        run = f" {self.model} seed {self._seed_list()}" if self.model else ""
        return self.measure + run + ("" if self.step is None else f" step {self.step}")

    def __lt__(self, other: "Unit") -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple:
        return self.measure, self.model, self.seeds, self.step is not None, self.step or 0

    def _seed_list(self) -> str:
        return "-".join(map(str, self.seeds))


def shard(units: Sequence[Unit], part: str) -> list[Unit]:
    """Every n-th unit from the i-th, for a part "i/n" with 0 <= i < n.

    Raises InputError for a part of any other form.

    Example:
        >>> units = [Unit(measure="llc", model="m", seeds=(0,), step=step) for step in range(5)]
        >>> [unit.step for unit in shard(units, "1/2")]
        [1, 3]
    """
    index, _, count = part.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f"--shard={part}", expected="i/n with 0 <= i < n, e.g. 0/4")
    return list(units)[int(index) :: int(count)]


class Store:
    """A folder of results of one suite.

    Example:
        >>> import tempfile
        >>> store = Store(tempfile.mkdtemp())
        >>> unit = Unit(measure="llc", model="nano-32", seeds=(0,), step=8)
        >>> store.has(unit, {"num_draws": 100})
        False
        >>> data = xr.Dataset({"llc": 3.5})
        >>> store.write(unit, data, {"num_draws": 100}, {"weights": {}})
        >>> store.has(unit, {"num_draws": 100})
        True
        >>> [(str(unit), float(data["llc"])) for unit, data in store.committed("llc")]
        [('llc nano-32 seed 0 step 8', 3.5)]
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def has(self, unit: Unit, config: Mapping) -> bool:
        """Is the unit committed? Raises InputError if it has another configuration."""
        path = self.root / unit.path
        if not path.exists():
            return False
        with _opened(path) as stored:
            committed = json.loads(str(stored.attrs["config"]))
        _check_config(committed, config, path)
        return True

    def write(self, unit: Unit, data: xr.Dataset, config: Mapping, provenance: Mapping):
        """Commits `data` with its configuration and provenance.

        Raises InputError where nothing can be written; the store is then as it was.
        """
        attributes = {
            "config": _json(config),
            "unit": _json(_present_fields(unit)),
            "provenance": _json(provenance),
            "made_by": _json(made_by()),
        }
        # In memory first: where a disk is full, HDF5 itself can end the process.
        body = bytes(data.assign_attrs(attributes).to_netcdf(engine="h5netcdf"))
        files.write_atomically(
            self.root / unit.path,
            body + _SEAL + hashlib.sha256(body).digest(),
            mend="Free some space or choose another --out; what was committed stays.",
        )

    def read(self, unit: Unit) -> xr.Dataset:
        """The committed data set of a unit, in memory. Raises InputError if it is unreadable."""
        return _load(self.root / unit.path)

    def committed(self, measure: str) -> Iterator[tuple[Unit, xr.Dataset]]:
        """Every committed unit of a measure, in order. Raises InputError for a damaged file.

        Older files name a model, a seed and a step even for a unit of the suite or of a run. They
        are read as they are.
        """
        paths = [path for form in _PATTERNS for path in (self.root / measure).glob(form)]
        units = []
        for path in paths:
            data = _load(path)
            fields = json.loads(data.attrs["unit"])
            units.append((Unit(**{**fields, "seeds": tuple(fields.get("seeds", ()))}), data))
        yield from sorted(units, key=lambda pair: pair[0])


def check_writable(root: Path):
    """Raises InputError, before any work is done, if nothing could be written under `root`."""
    files.check_writable(root, name=f"--out={root}")


@functools.cache
def made_by() -> dict:
    """Code version, packages, interpreter and device, which every result records."""
    import jax

    return {
        "dynamics": dynamics.__version__,
        "revision": _revision(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"{jax.local_device_count()} x {jax.devices()[0].device_kind}",
        "backend": jax.default_backend(),
    }


def _revision() -> str:
    """The source tree's git revision, "+" if it has uncommitted changes, "" outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        run = functools.partial(
            subprocess.run, capture_output=True, text=True, timeout=10, check=True
        )
        head = run([*git, "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        return head + (
            "+"
            if run([*git, "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
            else ""
        )
    except (OSError, subprocess.SubprocessError):
        return ""


def _folder_name(model: str) -> str:
    """One folder's name for a model of any name: no path, not out of the store, no file's name.

    A name that is too long for a file system is cut, and ends in a digest of the whole instead.
    """
    quoted = urllib.parse.quote(model, safe="")
    plain = quoted.strip(".") and not quoted.endswith(".nc")
    name = quoted if plain else quoted.replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(model.encode()).hexdigest()[:32]
    return f"{name[: _LONGEST_NAME - 1 - len(digest)]}~{digest}"


def _present_fields(unit: Unit) -> dict:
    fields = dataclasses.asdict(unit).items()
    return {name: value for name, value in fields if value not in ("", (), None)}


def _load(path: Path) -> xr.Dataset:
    """The data set of a file, in memory. Raises InputError unless its bytes are as written."""
    with _opened(path) as stored:
        return _dataset(stored)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The netCDF part of a file. Raises InputError unless its bytes are as written."""
    try:
        content = path.read_bytes()
        body, seal, digest = content[:-_SEAL_SIZE], content[-_SEAL_SIZE:-32], content[-32:]
        if seal != _SEAL or digest != hashlib.sha256(body).digest():
            raise ValueError("its checksum is not that of its bytes")
        with h5py.File(io.BytesIO(body), "r") as stored:
            yield stored
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}, unreadable ({error})",
            expected="a committed result",
            mend="Delete the file and run again.",
        ) from error


def _dataset(stored: h5py.File) -> xr.Dataset:
    """The variables of a netCDF file without groups, decoded.

    The same as `xarray.open_dataset` reads, which looks every dimension up anew for each variable
    and takes five times as long for files as small as these.
    """
    variables = {}
    for name, node in stored.items():
        label = node.attrs.get("NAME", b"")
        if label.startswith(b"This is a netCDF dimension but not a netCDF variable"):
            continue
        text = h5py.check_string_dtype(node.dtype)
        values = np.asarray(node.asstr()[()], str) if text else node[()]
        scales = [str(stored[axis[0]].name) for axis in node.attrs.get("DIMENSION_LIST", ())]
        dimensions = [scale.removeprefix("/") for scale in scales] or [name] * node.ndim
        variables[name] = xr.Variable(dimensions, values, _attributes(node.attrs))
    return xr.decode_cf(xr.Dataset(variables, attrs=_attributes(stored.attrs)))


def _attributes(attributes: h5py.AttributeManager) -> dict[str, Any]:
    """Attributes but those that HDF5 and netCDF keep for themselves, one number as a scalar."""
    names = [name for name in attributes if name not in _INTERNAL and not name.startswith("_N")]
    values = ((name, attributes[name]) for name in names)
    return {
        name: value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value
        for name, value in values
    }


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
