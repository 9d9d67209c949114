"""Results are written whole or not at all, once, with their configuration."""

import dataclasses
import io
import json
import resource
import signal

import numpy as np
import pytest
import xarray as xr

from dynamics import results
from dynamics.errors import InputError
from dynamics.results import Store, Unit
from dynamics.results.sealed_file import SEAL_SIZE

UNIT = Unit(measure="llc", model="nano-32", seeds=(0, 2), step=8)
DATA = xr.Dataset({"llc": ("chain", np.arange(3.0)), "sem": 0.5}, {"chain": [0, 1, 2]})


def test_round_trip_with_provenance(tmp_path):
    store = Store(tmp_path)
    assert not store.has(UNIT, {"a": 1})
    store.write(UNIT, DATA, {"a": 1, "orders": (1, 2)}, {"weights": []})
    assert store.has(UNIT, {"a": 1, "orders": (1, 2)})
    (unit, data), *rest = store.committed("llc")
    assert not rest
    assert unit == UNIT
    xr.testing.assert_equal(data, DATA)
    assert "jax" in data.attrs["made_by"]
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["step8.nc"]


def test_another_configuration_is_refused(tmp_path):
    store = Store(tmp_path)
    store.write(UNIT, DATA, {"a": 1}, {})
    with pytest.raises(InputError, match="a: 1 there, 2 here"):
        store.has(UNIT, {"a": 2})


def test_a_full_disk_leaves_what_was_committed(tmp_path):
    store, large = Store(tmp_path), DATA.assign(trace=("draw", np.ones(50_000)))
    store.write(UNIT, DATA, {}, {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        for unit in (UNIT, dataclasses.replace(UNIT, step=16)):
            with pytest.raises(InputError, match=r"step.*cannot be written .*choose another --out"):
                store.write(unit, large, {}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["step8.nc"]
    xr.testing.assert_equal(store.read(UNIT), DATA)


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


def test_a_result_is_read_as_xarray_reads_it(tmp_path):
    """Every kind of variable and attribute that netCDF encodes."""
    variables = {
        "float": (("seed", "token"), np.array([[1.0, np.nan], [2.0, np.inf]])),
        "single": ("token", np.array([0.1, 0.2], np.float32), {"units": "nats", "range": [0, 1]}),
        "whole": ("seed", np.array([2**40, -1])),
        "small": ("seed", np.array([0, 255], np.uint8)),
        "truth": ("seed", np.array([True, False])),
        "word": ("token", np.array(["naïve", ""], object)),
        "nothing": ("none", np.zeros(0)),
        "square": (("token", "token_2"), np.eye(2)),
        "scalar": 3.5,
        "count": 4,
        "name": "a scalar text",
    }
    coordinates = {
        "seed": [3, 5],
        "token": ["a", "b"],
        "length": ("seed", [1.0, 2.0]),
        "size": 12,
    }
    written = xr.Dataset(variables, coordinates, {"units": "", "levels": [0.5, 1.5], "order": 2})
    store = Store(tmp_path)
    store.write(UNIT, written, {}, {})
    read = store.read(UNIT)
    body = (tmp_path / UNIT.path).read_bytes()[:-SEAL_SIZE]
    with xr.open_dataset(io.BytesIO(body), engine="h5netcdf") as stored:
        expected = stored.load()
    xr.testing.assert_identical(read, expected)
    assert list(read.variables) == list(expected.variables)
    for name, variable in expected.variables.items():
        assert read[name].dtype == variable.dtype, name


def test_a_result_is_netcdf_to_any_reader(tmp_path):
    Store(tmp_path).write(UNIT, DATA, {}, {})
    with xr.open_dataset(tmp_path / UNIT.path, engine="h5netcdf") as data:
        xr.testing.assert_equal(data, DATA)


@pytest.mark.parametrize(
    "model",
    [
        "me/model",
        "a/b/c",
        "../../x",
        "..",
        ".",
        "/etc",
        "a b",
        "%2F",
        "é",
        "1.4b-deduped",
        "suite.nc",
        "m" * 300,
        "é" * 255,
    ],
)
def test_any_name_of_a_model_is_one_folder(tmp_path, model):
    unit = dataclasses.replace(UNIT, model=model)
    store = Store(tmp_path / "out")
    for each in (UNIT, unit):
        store.write(each, DATA, {}, {})
    assert {committed for committed, _ in store.committed("llc")} == {UNIT, unit}
    assert store.has(unit, {})
    folder = tmp_path / "out" / "llc"
    assert all(path.parents[2] == folder for path in tmp_path.rglob("*.nc"))
    assert model != "1.4b-deduped" or (folder / model).is_dir()


def test_long_names_that_differ_at_their_ends_are_two_folders(tmp_path):
    store = Store(tmp_path)
    units = [dataclasses.replace(UNIT, model=300 * "m" + end) for end in "ab"]
    for unit in units:
        store.write(unit, DATA.assign(place=unit.model), {}, {})
    assert [(unit, str(data["place"].values)) for unit, data in store.committed("llc")] == [
        (unit, unit.model) for unit in units
    ]
    assert {len(path.name) for path in (tmp_path / "llc").iterdir()} == {255}


SUITE, RUN = Unit.of_suite("llc"), Unit.of_run("llc", "nano-32", (0, 2))


def test_units_of_the_suite_and_of_runs_have_files_of_their_own(tmp_path):
    store, units = Store(tmp_path), [SUITE, RUN, UNIT]
    for unit in reversed(units):
        assert not store.has(unit, {})
        store.write(unit, DATA.assign(place=str(unit)), {}, {})
        assert store.has(unit, {})
    assert [unit for unit, _ in store.committed("llc")] == units
    for unit in units:
        assert store.read(unit)["place"] == str(unit)
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["llc/nano-32/seed0-2/run.nc", "llc/nano-32/seed0-2/step8.nc", "llc/suite.nc"]


def test_a_unit_of_the_suite_invents_no_model_seed_or_step(tmp_path):
    Store(tmp_path).write(SUITE, DATA, {}, {})
    stored = Store(tmp_path).read(SUITE)
    assert json.loads(stored.attrs["unit"]) == {"measure": "llc"}
    assert (SUITE.model, SUITE.seeds, SUITE.step, SUITE.cells()) == ("", (), None, [])
    assert (str(SUITE), str(RUN)) == ("llc", "llc nano-32 seed 0-2")


def test_a_unit_names_the_checkpoints_that_it_measures():
    assert UNIT.cells() == [("nano-32", 0, 8), ("nano-32", 2, 8)]
    assert RUN.cells() == []


@pytest.mark.parametrize(("measure", "model"), [("ngram", "kneser-ney"), ("text", "held-out")])
def test_older_files_that_name_a_model_for_the_suite_are_read(tmp_path, measure, model):
    older = Unit(measure=measure, model=model, seeds=(0,), step=0)
    store = Store(tmp_path)
    store.write(older, DATA, {}, {})
    assert older.path.as_posix() == f"{measure}/{model}/seed0/step0.nc"
    assert [unit for unit, _ in store.committed(measure)] == [older]
    store.write(Unit.of_suite(measure), DATA, {}, {})
    assert [unit for unit, _ in store.committed(measure)] == [Unit.of_suite(measure), older]


def test_units_are_ordered_from_wide_to_narrow():
    later = [dataclasses.replace(UNIT, step=step) for step in (0, 2, 16)]
    wider = [dataclasses.replace(UNIT, seeds=(0, 3), step=0), Unit.of_run("llc", "other", (0,))]
    units = [SUITE, RUN, *later, *wider, Unit.of_suite("m"), UNIT]
    expected = [SUITE, RUN, *later[:2], UNIT, later[2], *wider, Unit.of_suite("m")]
    assert sorted(units) == expected
    assert max(units) == Unit.of_suite("m")


@pytest.mark.parametrize(
    "fields", [{"model": "a"}, {"seeds": (0,)}, {"step": 0}, {"seeds": (0,), "step": 3}]
)
def test_a_unit_of_no_form_is_refused(fields):
    with pytest.raises(InputError, match="a model with seeds and a step"):
        Unit(measure="llc", **fields)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_partition(count):
    units = [Unit(measure="m", model="x", seeds=(0,), step=k) for k in range(7)]
    parts = [results.shard(units, f"{i}/{count}") for i in range(count)]
    assert sorted(u for part in parts for u in part) == units


@pytest.mark.parametrize("part", ["", "1", "2/2", "-1/2", "a/b", "0/0"])
def test_malformed_shard(part):
    with pytest.raises(InputError, match="0/4"):
        results.shard([], part)
