"""A file of results is refused before it is read unless it is what its place says, and whole.

Each is crafted with a checksum that fits.
"""

import hashlib
import io
import json
import os
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from dynamics.errors import InputError
from dynamics.results import Store, Unit

UNIT = Unit(measure="convergence", model="nano-32", seeds=(0,), step=8)
OTHERS = (
    Unit(measure="convergence", model="nano-32", seeds=(0,), step=32),
    Unit(measure="llc", model="nano-32", seeds=(0,), step=8),
    Unit(measure="convergence", model="nano-64", seeds=(0,), step=8),
    Unit(measure="convergence", model="nano-32", seeds=(1,), step=8),
    Unit(measure="convergence", model="nano-32", seeds=(0, 1), step=8),
    Unit.of_run("convergence", "nano-32", (0,)),
    Unit.of_suite("convergence"),
)
DATA = xr.Dataset({"kl": ("document", [0.5, 0.25])}, {"document": [0, 1]})
ORIGIN = {
    "unit": json.dumps(UNIT.to_json()),
    "config": "{}",
    "provenance": json.dumps({"weights": [], "corpus": {}}),
    "made_by": "{}",
}


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "results")
    for unit in (UNIT, *OTHERS):
        store.write(unit, DATA, {}, {"weights": [], "corpus": {}})
    return store


def refused(store: Store, words: str):
    """Every way to look at the unit raises, in bounded time and memory, and names the file."""
    path = str(store.root / UNIT.path)
    for look in (
        lambda: store.read(UNIT),
        lambda: list(store.committed(UNIT.measure)),
    ):
        tracemalloc.start()
        start = time.monotonic()
        with pytest.raises(InputError) as error:
            look()
        assert path in str(error.value)
        assert words in str(error.value)
        assert time.monotonic() - start < 10
        assert tracemalloc.get_traced_memory()[1] < 2**28
        tracemalloc.stop()


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_a_file_at_the_place_of_another_is_refused(store, other):
    shutil.copy(store.root / other.path, store.root / UNIT.path)
    refused(store, f"which holds {other}; expected that unit at {store.root / other.path}")
    with pytest.raises(InputError, match="which holds"):
        store.has(UNIT, {})


UNITS = {
    "no JSON": "{",
    "a list": "[]",
    "deep": "[" * 100_000,
    "no measure": json.dumps({"model": "m", "seeds": [0], "step": 8}),
    "a number for a name": json.dumps({"measure": 5}),
    "seeds that are text": json.dumps({"measure": "convergence", "model": "m", "seeds": "0"}),
    "a seed of truth": json.dumps({"measure": "convergence", "model": "m", "seeds": [True]}),
    "half a step": json.dumps({"measure": "c", "model": "m", "seeds": [0], "step": 0.5}),
    "a negative step": json.dumps({"measure": "c", "model": "m", "seeds": [0], "step": -1}),
    "a step of 10^400": '{"measure": "c", "model": "m", "seeds": [0], "step": 1' + 400 * "0" + "}",
    "5,000 digits": '{"measure": "c", "model": "m", "seeds": [0], "step": ' + 5000 * "9" + "}",
    "a field that no unit has": json.dumps({"measure": "convergence", "place": "x"}),
    "a model without seeds": json.dumps({"measure": "convergence", "model": "m"}),
    "a path out of the folder": json.dumps({"measure": "../../etc"}),
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
def test_a_file_that_names_no_unit_is_refused(store, unit):
    craft(store, lambda file: file.attrs.update(ORIGIN | {"unit": unit}))
    refused(store, "")


@pytest.mark.parametrize("name", ["config", "provenance", "made_by"])
@pytest.mark.parametrize("value", ["[]", "{", "5", "null", 5, np.arange(3), "[" * 100_000], ids=str)
def test_a_file_whose_origin_is_no_object_is_refused(store, name, value):
    craft(store, lambda file: file.attrs.update(ORIGIN | {name: value}))
    refused(store, f"'{name}'")


@pytest.mark.parametrize(
    "weights",
    [5, "x", {"a": 1}, [5], ["x"], [{"sha256": 5}], [{"sha256": ["x"]}], [{"sha256": {"a": 5}}]],
    ids=str,
)
def test_a_file_that_names_no_weights_is_refused(store, weights):
    provenance = json.dumps({"weights": weights})
    craft(store, lambda file: file.attrs.update(ORIGIN | {"provenance": provenance}))
    refused(store, "'provenance', which names no weights")


def craft(store: Store, fill: Callable[[h5py.File], object]):
    """Puts a file in the place of the unit, with a checksum that fits."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs.update(ORIGIN)
        fill(file)
    body = content.getvalue()
    seal = b"sha256 of all before" + hashlib.sha256(body).digest()
    (store.root / UNIT.path).write_bytes(body + seal)


def external_storage(file: h5py.File):
    file.create_dataset("kl", (16,), "u1", external=[("/etc/hostname", 0, 16)])


def external_link(file: h5py.File):
    file["kl"] = h5py.ExternalLink("/etc/hostname", "/kl")


def soft_link(file: h5py.File):
    file["kl"] = h5py.SoftLink("/nowhere")


def virtual(file: h5py.File):
    layout = h5py.VirtualLayout((2,), "f8")
    layout[:] = h5py.VirtualSource("/etc/hostname", "kl", (2,))
    file.create_virtual_dataset("kl", layout)


def compressed(file: h5py.File):
    file.create_dataset("kl", (10**9,), "f8", compression="gzip", chunks=(10**6,), fillvalue=0)


def never_written(file: h5py.File):
    file.create_dataset("kl", (10**12,), "f8")


def many_names_of_one(file: h5py.File):
    file.create_dataset("kl", data=np.zeros(10**5))
    for k in range(1000):
        file[f"kl{k}"] = file["kl"]


def group(file: h5py.File):
    file.create_group("kl")


def group_of_itself(file: h5py.File):
    file["kl"] = file["/"]


def named_type(file: h5py.File):
    file["kl"] = np.dtype("f8")


def references(file: h5py.File):
    file.create_dataset("kl", data=file.ref, dtype=h5py.ref_dtype)


def compound(file: h5py.File):
    file.create_dataset("kl", data=np.zeros(2, [("a", "f8"), ("b", "i4")]))


def empty(file: h5py.File):
    file["kl"] = h5py.Empty("f8")


def text_bomb(file: h5py.File):
    """A long text, and many short ones that a reader would widen to its length."""
    texts = file.create_dataset("kl", (2**17,), h5py.string_dtype())
    texts[:] = ""
    texts[0] = "x" * 2**20


def bytes_that_are_no_text(file: h5py.File):
    file.create_dataset("kl", data=np.array([b"\xff\xfe"], "S2"), dtype=h5py.string_dtype("utf-8"))


def axis_of_nowhere(file: h5py.File):
    file["kl"] = np.zeros(2)
    file["kl"].attrs.create("DIMENSION_LIST", [h5py.Reference()], dtype=h5py.ref_dtype)


def axes_of_two_lengths(file: h5py.File):
    for name, size in (("document", 3), ("kl", 2)):
        file[name] = np.zeros(size)
    file["document"].make_scale("document")
    file["kl"].dims[0].attach_scale(file["document"])


def odd_scale(file: h5py.File):
    file["kl"] = np.zeros(2)
    file["kl"].attrs["scale_factor"] = "x"


def attribute_of_references(file: h5py.File):
    file.attrs.create("also", file.ref, dtype=h5py.ref_dtype)


CRAFTED = (
    external_storage, external_link, soft_link, virtual, compressed, never_written,
    many_names_of_one, group, group_of_itself, named_type, references, compound, empty, text_bomb,
    bytes_that_are_no_text, axis_of_nowhere, axes_of_two_lengths, odd_scale,
    attribute_of_references,
)  # fmt: skip


@pytest.mark.parametrize("fill", CRAFTED, ids=lambda fill: fill.__name__)
def test_a_crafted_file_is_refused_before_it_is_read(store, fill):
    craft(store, fill)
    refused(store, "unreadable")


def no_file(path: Path):
    path.mkdir()


def device(path: Path):
    path.symlink_to("/dev/zero")


def nothing(path: Path):
    path.touch()


def sparse(path: Path):
    with open(path, "wb") as file:
        file.truncate(2**40)


@pytest.mark.parametrize("place", [os.mkfifo, no_file, device, nothing, sparse])
def test_what_is_no_result_is_refused_at_once(store, place):
    (store.root / UNIT.path).unlink()
    place(store.root / UNIT.path)
    refused(store, "unreadable")
