"""Committed results are read once and grouped by model, models by size."""

import numpy as np
import pytest
import xarray as xr

from dynamics.errors import InputError
from dynamics.questions.committed import (
    Committed,
    by_largest_seed_set,
    by_model,
    by_step,
    natural,
)
from dynamics.results import Store, Unit


def units(*keys: tuple[str, tuple[int, ...], int]) -> list[tuple[Unit, xr.Dataset]]:
    """Units of a model, its seeds and a step, with empty data."""
    return [
        (Unit(measure="toy", model=model, seeds=seeds, step=step), xr.Dataset())
        for model, seeds, step in keys
    ]


@pytest.mark.parametrize(
    "models",
    [
        ["pythia-70m", "pythia-410m", "pythia-1b", "pythia-1.4b", "pythia-12b"],
        ["nano-32", "nano-64", "nano-128"],
        ["a", "a-2", "b"],
    ],
)
def test_models_are_ordered_by_size(models):
    backwards = models[::-1]
    assert sorted(backwards, key=natural) == models
    pairs = units(*((model, (0,), 1) for model in backwards))
    assert list(by_model(pairs)) == models


def test_a_model_has_its_units_by_step_and_seed():
    pairs = units(("m", (1,), 8), ("m", (0,), 8), ("m", (0,), 2))
    (group,) = by_model(pairs).values()
    assert [(unit.step, unit.seeds) for unit, _ in group] == [(2, (0,)), (8, (0,)), (8, (1,))]
    assert {step: len(of_step) for step, of_step in by_step(group).items()} == {2: 1, 8: 2}


def test_the_largest_set_of_seeds_is_taken_and_of_two_the_longer():
    pairs = units(("m", (0,), 1), ("m", (0,), 2), ("m", (0, 1), 1))
    assert [unit.seeds for unit, _ in by_largest_seed_set(pairs)["m"]] == [(0, 1)]
    pairs = units(("m", (0, 1), 1), ("m", (2, 3), 1), ("m", (2, 3), 2))
    assert [unit.seeds for unit, _ in by_largest_seed_set(pairs)["m"]] == [(2, 3), (2, 3)]


def test_results_are_read_once_and_findings_computed_once(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write(units(("m", (0,), 1))[0][0], xr.Dataset({"kl": 0.5}), {}, {})
    committed, asked, read = Committed(store), [], Store.committed

    def watch(store: Store, measure: str):
        asked.append(measure)
        return read(store, measure)

    monkeypatch.setattr(Store, "committed", watch)

    def find(results: Committed) -> float:
        return float(results.of("toy")[0][1]["kl"])

    assert committed.findings(find) == committed.findings(find) == 0.5
    assert committed.of("toy") is not None
    assert asked == ["toy"]


def test_an_older_name_of_a_measure_is_read_where_the_newer_has_nothing():
    committed = Committed({"old": units(("m", (0,), 1))})
    assert [unit.model for unit, _ in committed.of("new", "old")] == ["m"]
    assert committed.of("new") == []


@pytest.mark.parametrize(
    ("name", "former"),
    [("in_context", "icl"), ("token_properties", "text"), ("next_byte", "bytes")],
)
def test_older_results_stand_beside_newer_ones_and_give_way_to_them(tmp_path, name, former):
    store = Store(tmp_path)

    def write(measure: str, step: int, value: float):
        unit = Unit(measure=measure, model="m", seeds=(0, 1), step=step)
        store.write(unit, xr.Dataset({"value": value}), {"name": measure}, {})

    for step in (0, 1, 2):
        write(former, step, step)
    write(name, 1, 10)
    write(name, 8, 80)
    pairs = Committed(store).of(name, former)
    values = {unit.step: float(data["value"]) for unit, data in pairs}
    assert values == {0: 0, 1: 10, 2: 2, 8: 80}
    assert list(values) == [0, 1, 2, 8]
    assert [unit.measure for unit, _ in pairs] == [former, name, former, name]


def test_what_the_suite_shares_replaces_what_was_stored_as_of_a_model(tmp_path):
    store = Store(tmp_path)
    older = Unit(measure="text", model="held-out", seeds=(0,), step=0)
    store.write(older, xr.Dataset({"value": 0}), {}, {})
    assert [unit for unit, _ in Committed(store).of("token_properties", "text")] == [older]
    newer = Unit.of_suite("token_properties")
    store.write(newer, xr.Dataset({"value": 1}), {}, {})
    assert [unit for unit, _ in Committed(store).of("token_properties", "text")] == [newer]


def curve(tmp_path, change, config=None) -> Committed:
    """Two steps of one curve, the second with a `change`."""
    store = Store(tmp_path)
    data = xr.Dataset({"kl": (("seed", "document"), np.ones((2, 3)))}, {"document": [4, 5, 6]})
    for step, values, settings in ((0, data, {"windows": 8}), (8, change(data), config)):
        unit = Unit(measure="convergence", model="m", seeds=(0, 1), step=step)
        store.write(unit, values, settings or {"windows": 8}, {})
    return Committed(store)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda data: data.isel(document=slice(2)), "over another axis 'document'"),
        (lambda data: data.assign_coords(document=[4, 5, 7]), "over another axis 'document'"),
        (lambda data: data.isel(document=[1, 0, 2]), "over another axis 'document'"),
        (lambda data: data.isel(seed=slice(1)), "over another axis 'seed'"),
        (lambda data: data.drop_vars("kl"), "without 'kl'"),
        (lambda data: data.rename(kl="js"), "without 'kl'"),
        (lambda data: data.assign(js=data["kl"]), "with 'js'"),
        (lambda data: data.drop_vars("document"), "without 'document'"),
    ],
)
def test_units_of_one_curve_go_together(tmp_path, change, fault):
    with pytest.raises(InputError, match=rf"step8\.nc {fault}; expected what .*step0\.nc has"):
        curve(tmp_path, change).of("convergence")
    assert len(curve(tmp_path, lambda data: data + 1).of("convergence")) == 2


@pytest.mark.parametrize("config", [{"windows": 16}, {"windows": 8, "context": 2}, {"a": None}])
def test_units_of_one_curve_are_of_one_configuration(tmp_path, config):
    with pytest.raises(InputError, match=r"step8\.nc of another configuration \("):
        curve(tmp_path, lambda data: data, config).of("convergence")


def test_an_error_is_found_once_and_raised_at_each_question(tmp_path, monkeypatch):
    committed, reads = curve(tmp_path, lambda data: data.drop_vars("kl")), []
    (tmp_path / "convergence/m/seed0-1/step8.nc").write_bytes(b"damaged")
    read = Store.committed
    monkeypatch.setattr(Store, "committed", lambda *args: reads.append(args) or read(*args))
    for _ in range(3):
        with pytest.raises(InputError, match=r"step8\.nc, unreadable"):
            committed.of("convergence")
    assert len(reads) == 1
