"""Committed results are read once and grouped by model, models by size."""

import pytest
import xarray as xr

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
