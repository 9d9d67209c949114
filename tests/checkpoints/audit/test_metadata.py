"""One of each fault is found from file digests, and nothing on a clean suite."""

import pytest

from dynamics import suite
from dynamics.checkpoints import audit
from dynamics.checkpoints.audit import Inventory
from dynamics.suite import Cell

STEPS = (0, 1, 2, 4, 8, 1000, 2000, 143_000)
NAMES = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]


def clean() -> dict[Cell, Inventory | None]:
    """Two sizes, two seeds, two shards each; steps 0 and 1 alike, as in every Pythia."""
    cells = [Cell(model, seed, step) for model in ("a", "b") for seed in (0, 1) for step in STEPS]
    return {cell: Inventory(shards(cell), (), f"config {cell.model}", "tokens") for cell in cells}


def shards(cell: Cell) -> dict[str, str]:
    step = max(1, cell.step)
    return {name: f"{cell.model} {cell.seed} {step} {name}" for name in NAMES}


def faults(found, **options) -> dict[Cell, str]:
    findings = audit.check_metadata(found, last_step=143_000, **options)
    return {f.cell: f.kind for f in findings if f.convicts}


def test_a_clean_suite_has_no_fault_and_its_equal_starts_are_told():
    findings = audit.check_metadata(clean(), last_step=143_000)
    assert not audit.convicted(findings)
    assert {(f.cell.step, f.kind) for f in findings} == {(1, "same start")}
    assert len(findings) == 4


CELL = Cell("a", 1, 1000)


def _edit(**fields):
    return lambda found: found.update({CELL: found[CELL]._replace(**fields)})


def _final_everywhere(found):
    found[CELL] = found[Cell("a", 1, 143_000)]


def _final_first_shard(found):
    _edit(weights={**found[CELL].weights, NAMES[0]: found[Cell("a", 1, 143_000)].weights[NAMES[0]]})(found)


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (lambda found: found.update({CELL: None}), "missing"),
        (_edit(weights={}), "partial"),
        (_edit(absent=(NAMES[0],)), "partial"),
        (_edit(config=""), "partial"),
        (_final_everywhere, "duplicate"),
        (_final_first_shard, "borrowed shard"),
        (_edit(config="another"), "config"),
        (_edit(tokenizer="another"), "tokenizer"),
    ],
)
def test_one_fault_convicts_one_checkpoint(plant, kind):
    found = clean()
    plant(found)
    assert faults(found) == {CELL: kind}


def test_of_two_alike_in_mid_training_neither_is_believed():
    found = clean()
    found[CELL] = found[Cell("a", 1, 2000)]
    assert faults(found) == {CELL: "duplicate", Cell("a", 1, 2000): "duplicate"}


def test_weights_shared_by_two_runs_convict_both():
    found = clean()
    found[CELL] = found[CELL]._replace(weights=found[Cell("a", 0, 1000)].weights)
    assert faults(found) == {CELL: "duplicate", Cell("a", 0, 1000): "duplicate"}


def test_one_initialisation_is_a_fault_unless_the_suite_says_so():
    found = clean()
    for step in (0, 1):
        cell = Cell("a", 1, step)
        found[cell] = found[cell]._replace(weights=found[Cell("a", 0, 0)].weights)
    assert set(faults(found)) == {Cell("a", seed, step) for seed in (0, 1) for step in (0, 1)}
    assert not faults(found, shared_start=True)


def test_most_of_a_run_serving_the_end_is_found():
    """As in pythia-2.8b, where 85 branches besides the last serve the end of training."""
    found = {cell: inv for cell, inv in clean().items() if cell[:2] == ("a", 0)}
    for cell in found:
        if cell.step not in (2000, 143_000):
            found[cell] = found[Cell("a", 0, 143_000)]
    assert {cell.step for cell in faults(found)} == {0, 1, 2, 4, 8, 1000}


def test_public_records_name_their_issue():
    found = audit.check_record([Cell("2.8b", 0, 0), Cell("2.8b", 0, 66_000)], suite.pythia().source)
    assert [f.cell.step for f in found] == [0]
    assert "EleutherAI/pythia#205" in found[0].detail
    served = next(fault for fault in audit.KNOWN_FAULTS if fault.issue.endswith("205"))
    assert len(served.steps or ()) == 85  # 86 with step143000, whose weights they are
    (outlier,) = audit.check_record([Cell("410m", 3, 512)], suite.polypythia().source)
    assert not outlier.convicts


def test_an_inventory_of_a_listing_asks_for_each_configuration_once():
    class File:
        def __init__(self, sha256, blob_id):
            self.sha256, self.blob_id = sha256, blob_id

    files = {name: File(f"sha {name}", "x") for name in (*NAMES, "pytorch_model.bin")}
    files |= {"config.json": File(None, "c0"), "tokenizer.json": File(None, "t0")}
    found = audit.of_listing(files, lambda blob: {"c0": b'{"hidden_size": 3, "torch_dtype": "float16"}'}[blob])
    assert set(found.weights) == set(NAMES)
    assert found.config == audit.of_listing(files, lambda blob: b'{"hidden_size": 3}').config
    assert found.config != audit.of_listing(files, lambda blob: b'{"hidden_size": 5}').config
    del files[NAMES[1]]
    assert audit.of_listing(files, lambda blob: b"{}").absent == (NAMES[1],)
