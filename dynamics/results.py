"""Results on disk: one file per work unit, written whole or not at all, skipped when it is there.

A work unit is (measure, model, seeds, step). Its file is one netCDF data set at
OUT/MEASURE/MODEL/SEEDS/step{n}.nc, put in place by one rename, so that a reader sees it whole or
not at all, and any scheduler can run any subset, twice, killed at any point. Every file carries the
configuration it was computed with; a folder written with another one is refused. After the data
set, where HDF5 reads nothing, comes the sha256 of all bytes before: a damaged file is refused.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

import dynamics
from dynamics.errors import InputError

_SEAL = b"sha256 of all before"
_SEALED = len(_SEAL) + 32
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "matfree")


@dataclasses.dataclass(frozen=True, kw_only=True, order=True)
class Unit:
    """One piece of work that is committed whole."""

    measure: str
    model: str
    seeds: tuple[int, ...]
    step: int

    @property
    def path(self) -> Path:
        seeds = "seed" + "-".join(map(str, self.seeds))
        return Path(self.measure) / _folder_name(self.model) / seeds / f"step{self.step}.nc"

    def __str__(self) -> str:
        return f"{self.measure} {self.model} seed {'-'.join(map(str, self.seeds))} step {self.step}"


def shard(units: Sequence[Unit], part: str) -> list[Unit]:
    """Every n-th unit, from the i-th: part "i/n" with 0 <= i < n. Raises InputError on any other
    form."""
    index, _, count = part.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f"--shard={part}", expected="i/n with 0 <= i < n, e.g. 0/4")
    return list(units)[int(index) :: int(count)]


class Store:
    """A folder of results of one suite."""

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def has(self, unit: Unit, config: Mapping) -> bool:
        """Is the unit committed? Raises InputError if it was computed with another
        configuration."""
        path = self.root / unit.path
        if not path.exists():
            return False
        _check_config(json.loads(_load(path).attrs["config"]), config, path)
        return True

    def write(self, unit: Unit, data: xr.Dataset, config: Mapping, provenance: Mapping):
        """Commits `data` with its configuration and provenance. Raises InputError where nothing can
        be written."""
        path = self.root / unit.path
        attributes = {
            "config": _json(config),
            "unit": _json(dataclasses.asdict(unit)),
            "provenance": _json(provenance),
            "made_by": _json(made_by()),
        }
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            data.assign_attrs(attributes).to_netcdf(partial, engine="h5netcdf")
            with open(partial, "r+b") as file:
                file.write(_SEAL + hashlib.file_digest(file, "sha256").digest())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise InputError(
                f"{path}, which cannot be written ({error.strerror or error})",
                expected="a writable folder with room",
                mend="Free some space or choose another --out; what was committed stays.",
            ) from error

    def read(self, unit: Unit) -> xr.Dataset:
        """The committed data set of a unit, in memory."""
        return _load(self.root / unit.path)

    def committed(self, measure: str) -> Iterator[tuple[Unit, xr.Dataset]]:
        """Every committed unit of a measure, in order."""
        found = []
        for path in (self.root / measure).glob("*/seed*/step*.nc"):
            data = _load(path)
            fields = json.loads(data.attrs["unit"])
            found.append((Unit(**{**fields, "seeds": tuple(fields["seeds"])}), data))
        yield from sorted(found, key=lambda pair: pair[0])


def check_writable(root: Path):
    """Raises InputError before any work is done if nothing could be written under `root`."""
    probe = root / f".probe.{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"--out={root}, which cannot be written ({error.strerror})",
            expected="a writable folder with room",
        ) from error


@functools.cache
def made_by() -> dict:
    """Code version, packages, interpreter and device: what every result says of its making."""
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
    """One folder's name for a model that may be a hub id, or anything: neither a path nor out of
    the store."""
    quoted = urllib.parse.quote(model, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def _load(path: Path) -> xr.Dataset:
    """A data set in memory, of a file whose bytes are those that were written. Raises
    InputError."""
    try:
        content = path.read_bytes()
        body, seal, digest = content[:-_SEALED], content[-_SEALED:-32], content[-32:]
        if seal != _SEAL or digest != hashlib.sha256(body).digest():
            raise ValueError("its checksum is not that of its bytes")
        with xr.open_dataset(io.BytesIO(body), engine="h5netcdf") as stored:
            return stored.load()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}, unreadable ({error})",
            expected="a committed result",
            mend="Delete the file and run again.",
        ) from error


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
