"""Results are written whole or not at all, once, with their configuration."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from dynamics import results
from dynamics.errors import InputError
from dynamics.results import Store, Unit

UNIT = Unit(measure="llc", model="nano-32", seeds=(0, 2), step=8)
DATA = xr.Dataset({"llc": ("chain", np.arange(3.0)), "sem": 0.5}, {"chain": [0, 1, 2]})


def test_round_trip_with_provenance(tmp_path):
    store = Store(tmp_path)
    assert not store.has(UNIT, {"a": 1})
    store.write(UNIT, DATA, {"a": 1, "orders": (1, 2)}, {"weights": []})
    assert store.has(UNIT, {"a": 1, "orders": (1, 2)})
    (unit, found), *rest = store.committed("llc")
    assert not rest
    assert unit == UNIT
    xr.testing.assert_equal(found, DATA)
    assert "jax" in found.attrs["made_by"]
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["step8.nc"]


def test_another_configuration_is_refused(tmp_path):
    store = Store(tmp_path)
    store.write(UNIT, DATA, {"a": 1}, {})
    with pytest.raises(InputError, match="a: 1 there, 2 here"):
        store.has(UNIT, {"a": 2})


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(InputError, match="No space left"):
        Store(tmp_path).write(UNIT, DATA, {}, {})
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_damaged_result_is_named(tmp_path):
    store = Store(tmp_path)
    store.write(UNIT, DATA, {}, {})
    (tmp_path / UNIT.path).write_bytes(b"not a data set")
    with pytest.raises(InputError, match=r"step8\.nc"):
        store.has(UNIT, {})


def test_damage_anywhere_is_seen(tmp_path):
    store = Store(tmp_path)
    store.write(UNIT, DATA, {"a": 1}, {})
    path = tmp_path / UNIT.path
    content, draw = path.read_bytes(), np.random.default_rng(0)
    flips = [content[:at] + bytes([content[at] ^ 1 << draw.integers(8)]) + content[at + 1 :]
             for at in (0, len(content) - 1, *draw.integers(0, len(content), 60))]  # fmt: skip
    cuts = [content[:at] for at in draw.integers(0, len(content), 20)]
    for damaged in (*flips, *cuts, content + b"x"):
        path.write_bytes(damaged)
        for look in (
            lambda: store.has(UNIT, {"a": 1}),
            lambda: store.read(UNIT),
            lambda: list(store.committed("llc")),
        ):
            with pytest.raises(
                InputError, match=r"step8\.nc, unreadable .*Delete the file and run again"
            ):
                look()
    path.write_bytes(content)
    xr.testing.assert_equal(store.read(UNIT), DATA)


def test_a_result_is_netcdf_to_any_reader(tmp_path):
    Store(tmp_path).write(UNIT, DATA, {}, {})
    with xr.open_dataset(tmp_path / UNIT.path, engine="h5netcdf") as found:
        xr.testing.assert_equal(found, DATA)


@pytest.mark.parametrize(
    "model", ["me/model", "a/b/c", "../../x", "..", ".", "/etc", "a b", "%2F", "é", "1.4b-deduped"]
)
def test_any_name_of_a_model_is_one_folder(tmp_path, model):
    unit = dataclasses.replace(UNIT, model=model)
    store = Store(tmp_path / "out")
    for each in (UNIT, unit):
        store.write(each, DATA, {}, {})
    assert {found for found, _ in store.committed("llc")} == {UNIT, unit}
    assert store.has(unit, {})
    folder = tmp_path / "out" / "llc"
    assert all(path.parents[2] == folder for path in tmp_path.rglob("*.nc"))
    assert model != "1.4b-deduped" or (folder / model).is_dir()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_partition(count):
    units = [Unit(measure="m", model="x", seeds=(0,), step=k) for k in range(7)]
    parts = [results.shard(units, f"{i}/{count}") for i in range(count)]
    assert sorted(u for part in parts for u in part) == units


@pytest.mark.parametrize("part", ["", "1", "2/2", "-1/2", "a/b", "0/0"])
def test_malformed_shard(part):
    with pytest.raises(InputError, match="0/4"):
        results.shard([], part)
