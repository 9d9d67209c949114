"""One of each fault is found from file digests, and nothing on a clean suite."""

import json

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


def convicted_kinds(inventories, **options) -> dict[Cell, str]:
    faults = audit.check_metadata(inventories, last_step=143_000, **options)
    return {f.cell: f.kind for f in faults if f.convicts}


def test_a_clean_suite_has_no_fault_and_its_equal_starts_are_remarked():
    faults = audit.check_metadata(clean(), last_step=143_000)
    assert not audit.convicted(faults)
    assert {(f.cell.step, f.kind) for f in faults} == {(1, "same start")}
    assert len(faults) == 4


CELL = Cell("a", 1, 1000)


def _edit(**fields):
    return lambda inventories: inventories.update({CELL: inventories[CELL]._replace(**fields)})


def _final_everywhere(inventories):
    inventories[CELL] = inventories[Cell("a", 1, 143_000)]


def _final_first_shard(inventories):
    final = inventories[Cell("a", 1, 143_000)].weights[NAMES[0]]
    _edit(weights={**inventories[CELL].weights, NAMES[0]: final})(inventories)


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (lambda inventories: inventories.update({CELL: None}), "missing"),
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
    inventories = clean()
    plant(inventories)
    assert convicted_kinds(inventories) == {CELL: kind}


@pytest.mark.parametrize("name", ["\x1b[31m", "\u202e", "a\nb", "\udc80", "x" * 10**6])
def test_what_files_are_called_is_told_on_one_printable_line(name):
    inventories = clean()
    _edit(absent=(name,))(inventories)
    (fault,) = [f for f in audit.check_metadata(inventories, last_step=143_000) if f.convicts]
    assert fault.detail.isprintable()
    assert len(fault.detail) < 500


def test_of_two_alike_in_mid_training_neither_is_believed():
    inventories = clean()
    inventories[CELL] = inventories[Cell("a", 1, 2000)]
    assert convicted_kinds(inventories) == {CELL: "duplicate", Cell("a", 1, 2000): "duplicate"}


def test_weights_shared_by_two_runs_convict_both():
    inventories = clean()
    inventories[CELL] = inventories[CELL]._replace(weights=inventories[Cell("a", 0, 1000)].weights)
    assert convicted_kinds(inventories) == {CELL: "duplicate", Cell("a", 0, 1000): "duplicate"}


def test_one_initialisation_is_a_fault_unless_the_suite_says_so():
    inventories = clean()
    for step in (0, 1):
        cell = Cell("a", 1, step)
        inventories[cell] = inventories[cell]._replace(weights=inventories[Cell("a", 0, 0)].weights)
    starts = {Cell("a", seed, step) for seed in (0, 1) for step in (0, 1)}
    assert set(convicted_kinds(inventories)) == starts
    assert not convicted_kinds(inventories, shared_start=True)


def test_sizes_that_start_alike_are_no_fault():
    """As a model and its deduplicated twin may."""
    inventories = clean()
    for step in (0, 1):
        inventories[Cell("b", 0, step)] = inventories[Cell("b", 0, step)]._replace(
            weights=inventories[Cell("a", 0, 0)].weights
        )
    faults = audit.check_metadata(inventories, last_step=143_000)
    assert not audit.convicted(faults)
    assert {f.kind for f in faults} == {"same start"}


def test_a_shard_of_another_seeds_start_is_borrowed():
    inventories = clean()
    cell, other = Cell("a", 1, 0), Cell("a", 0, 0)
    mixed = {**inventories[cell].weights, NAMES[0]: inventories[other].weights[NAMES[0]]}
    inventories[cell] = inventories[cell]._replace(weights=mixed)
    sharers = (cell, other, Cell("a", 0, 1))
    assert convicted_kinds(inventories) == dict.fromkeys(sharers, "borrowed shard")
    assert not convicted_kinds(inventories, shared_start=True)


def test_of_two_as_common_neither_is_right():
    cells = [Cell("a", seed, step) for seed in (0, 1) for step in (0, 8)]
    inventories = {cell: Inventory(shards(cell), (), "c", f"tokens {cell.seed}") for cell in cells}
    assert convicted_kinds(inventories) == dict.fromkeys(cells, "tokenizer")


def test_one_tokenizer_by_either_of_its_digests_is_one():
    """A small file has git's digest on the hub, a large one sha256, a local one both."""
    inventories = clean()
    cells = list(inventories)
    for k, cell in enumerate(cells):
        digest, blob = [("sha", "blob:x"), ("blob:x", ""), ("sha", "")][k % 3]
        inventories[cell] = inventories[cell]._replace(tokenizer=digest, tokenizer_blob=blob)
    assert convicted_kinds(inventories) == {}
    inventories[cells[4]] = inventories[cells[4]]._replace(tokenizer="blob:y")
    assert convicted_kinds(inventories) == {cells[4]: "tokenizer"}


def test_a_long_list_of_missing_shards_is_told_short():
    inventories = clean()
    _edit(absent=tuple(f"model-{k:05}-of-99999.safetensors" for k in range(99_999)))(inventories)
    faults = audit.check_metadata(inventories, last_step=143_000)
    (detail,) = [fault.detail for fault in faults if fault.convicts]
    assert "and 99996 more" in detail
    assert len(detail) < 300


def test_most_of_a_run_serving_the_end_is_found():
    """As in pythia-2.8b, where 85 branches besides the last serve the end of training."""
    inventories = {cell: inv for cell, inv in clean().items() if cell[:2] == ("a", 0)}
    for cell in inventories:
        if cell.step not in (2000, 143_000):
            inventories[cell] = inventories[Cell("a", 0, 143_000)]
    assert {cell.step for cell in convicted_kinds(inventories)} == {0, 1, 2, 4, 8, 1000}


def test_public_records_name_their_issue():
    cells = [Cell("2.8b", 0, 0), Cell("2.8b", 0, 66_000)]
    (fault,) = audit.check_record(cells, suite.pythia().source)
    assert fault.cell.step == 0
    assert "EleutherAI/pythia#205" in fault.detail
    served = next(fault for fault in audit.KNOWN_FAULTS if fault.issue.endswith("205"))
    assert len(served.steps or ()) == 85  # 86 with step143000, whose weights they are
    (outlier,) = audit.check_record([Cell("410m", 3, 512)], suite.polypythia().source)
    assert not outlier.convicts


def test_seeds_that_may_be_of_other_data_are_named_and_kept():
    """The base models of two sizes of PolyPythia, and both names of them in Pythia."""
    seeds = [Cell("14m", seed, 512) for seed in range(10)]
    (base,) = audit.check_record([*seeds, Cell("70m", 0, 512)], suite.polypythia().source)
    assert (base.cell.seed, base.kind, base.convicts) == (0, "other data", False)
    assert "not verified" in base.detail
    repos = {cell.seed: str(suite.polypythia().source(*cell).location) for cell in seeds}
    said = audit.of_other_data(repos, 512)
    assert said.startswith("Seed 0 may be trained on other data than the others (said by a third")
    assert not audit.of_other_data({0: repos[0]}, 512)  # nothing that it is compared with
    assert not audit.of_other_data({1: repos[1], 2: repos[2]}, 512)
    both = [Cell(name, 0, 0) for name in ("31m", "31m-deduped")]
    assert len(audit.check_record(both, suite.pythia().source)) == 2


def test_an_inventory_of_a_listing_asks_for_each_configuration_once():
    class File:
        def __init__(self, sha256, blob_id):
            self.sha256, self.blob_id = sha256, blob_id

    index = json.dumps({"weight_map": {"a": NAMES[0], "b": NAMES[1]}}).encode()
    contents = {"c0": b'{"hidden_size": 3, "torch_dtype": "float16"}', "i0": index}
    files = {
        name: File(f"sha {name}", "x")
        for name in (*NAMES, "pytorch_model.bin", "model-00001-of-00003.safetensors")
    }
    files |= {"config.json": File(None, "c0"), "tokenizer.json": File(None, "t0")}
    files |= {"model.safetensors.index.json": File(None, "i0")}

    def of_listing(**changed):
        return audit.of_listing(files, lambda name, blob: {**contents, **changed}[blob])

    inventory = of_listing()
    assert set(inventory.weights) == set(NAMES)  # those of the index, without the other files
    assert inventory.absent == ()
    assert inventory.config == of_listing(c0=b'{"hidden_size": 3}').config
    assert inventory.config != of_listing(c0=b'{"hidden_size": 5}').config
    del files[NAMES[1]]
    assert of_listing().absent == (NAMES[1],)
    assert of_listing(i0=b"[" * 10**5).absent == ("model.safetensors.index.json that can be read",)
    del files["model.safetensors.index.json"]
    assert set(of_listing().weights) == {"pytorch_model.bin"}  # as a loader would
    del files["pytorch_model.bin"]
    assert of_listing().absent == ("model.safetensors.index.json",)
