"""A folder or revision with more than one save: transformers' own is read, and it is said."""

import contextlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from hub_server import serving as hub_serving
from make_torch_zip import state_dict

from dynamics import checkpoints, models
from dynamics.checkpoints import audit, hub
from dynamics.checkpoints.formats import TensorFolder
from dynamics.errors import InputError
from dynamics.suite import Cell

CELL = Cell("m", 0, 4)
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
BINS = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
NAMES = ["a.weight", "b.weight", "c.weight"]


def tensors(value: float) -> dict[str, np.ndarray]:
    return {name: np.full((2, 3), value, np.float32) for name in NAMES}


def sharded(value: float, index: str, shards: list[str], save) -> dict[str, bytes]:
    """An index and its two shards. The index lists a buffer that no shard has."""
    first, second = dict(list(tensors(value).items())[:1]), dict(list(tensors(value).items())[1:])
    names = {**dict.fromkeys(first, shards[0]), **dict.fromkeys(second, shards[1])}
    listed = {"metadata": {}, "weight_map": {**names, "a.rotary_emb.inv_freq": shards[0]}}
    return {index: json.dumps(listed).encode(), shards[0]: save(first), shards[1]: save(second)}


SAVES = {
    SINGLE: {SINGLE: safetensors.numpy.save(tensors(1))},
    INDEX: sharded(2, INDEX, SHARDS, safetensors.numpy.save),
    BIN: {BIN: state_dict(tensors(3))},
    BIN_INDEX: sharded(4, BIN_INDEX, BINS, state_dict),
}
# What is there -> the value that is read, and the other save of that format.
CASES = [
    ([SINGLE], 1, None),
    ([INDEX], 2, None),
    ([BIN], 3, None),
    ([BIN_INDEX], 4, None),
    ([SINGLE, INDEX], 1, INDEX),
    ([BIN, BIN_INDEX], 3, BIN_INDEX),
    ([SINGLE, BIN], 1, None),
    ([SINGLE, BIN_INDEX], 1, None),
    ([INDEX, BIN], 2, None),
    ([INDEX, BIN_INDEX], 2, None),
    ([SINGLE, INDEX, BIN], 1, INDEX),
    ([SINGLE, INDEX, BIN, BIN_INDEX], 1, INDEX),
    ([INDEX, BIN, BIN_INDEX], 2, None),
]


def files_of(saves: list[str]) -> dict[str, bytes]:
    return {name: content for save in saves for name, content in SAVES[save].items()}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("saves", "value", "other_save"), CASES)
def test_the_save_that_is_read_is_transformers_own(tmp_path, saves, value, other_save):
    folder = TensorFolder(write(tmp_path, {"config.json": b"{}", **files_of(saves)}))
    assert folder.names() == set(NAMES)  # the buffer that the index alone lists is left out
    assert {float(folder.read(name).mean()) for name in NAMES} == {value}
    assert folder.other_save == other_save
    inventory = audit.of_folder(tmp_path)
    assert inventory is not None
    assert set(inventory.weights) == {path.name for path in folder.files}
    (fault,) = audit.check_metadata({CELL: inventory}, last_step=8) or [None]
    assert (fault and fault.kind) == ("two saves" if other_save else None)
    assert fault is None or (not fault.convicts and fault.detail.endswith(f"{other_save} is not"))


@pytest.mark.parametrize(("saves", "value", "other_save"), CASES)
def test_the_save_that_is_fetched_is_the_same(tmp_path, monkeypatch, saves, value, other_save):
    files = {"config.json": b"{}", **files_of(saves)}
    with hub_serving({"a/b": {"main": files}}, monkeypatch, tmp_path):
        warned = contextlib.nullcontext()
        if other_save:
            warned = pytest.warns(UserWarning, match=f"{other_save} is not$")
        with warned:
            folder = TensorFolder(hub.fetch("a/b"))
        assert {float(folder.read(name).mean()) for name in NAMES} == {value}
        assert hub.RemoteFolder("a/b").read(NAMES[1]).mean() == value


@pytest.mark.parametrize(("saves", "value", "other_save"), CASES)
def test_transformers_reads_the_same(tmp_path, saves, value, other_save):
    loading = pytest.importorskip("transformers.modeling_utils")
    folder = TensorFolder(write(tmp_path, files_of(saves)))
    files, _ = loading._get_resolved_checkpoint_files(str(tmp_path), None, None, None, None, False)
    assert sorted(map(str, folder.files)) == sorted(files)


def test_an_index_whose_shards_are_gone_is_passed_over(tmp_path):
    files = files_of([SINGLE, INDEX])
    folder = write(tmp_path, {name: files[name] for name in (SINGLE, INDEX)})
    assert TensorFolder(folder).files == [folder / SINGLE]
    inventory = audit.of_folder(folder)
    assert inventory is not None
    assert inventory.absent == ()
    (folder / SINGLE).unlink()
    with pytest.raises(InputError, match="2 of 2 shards missing"):
        TensorFolder(folder)


@pytest.mark.long
def test_loading_says_which_of_two_saves_it_reads(tmp_path):
    sizes = {"hidden_size": 6, "num_layers": 1, "num_heads": 3, "intermediate_size": 7}
    config = models.gpt_neox.Config(**sizes, vocab_size=5, max_positions=4, rotary_fraction=1.0)
    params = models.init(jax.random.key(0), config)
    folder = checkpoints.save(tmp_path / "x", config, params)
    assert "not_read" not in checkpoints.load(folder).provenance
    write(folder, SAVES[INDEX])
    with pytest.warns(UserWarning, match=f"holds two saves: {SINGLE} is read"):
        checkpoint = checkpoints.load(folder)
    assert checkpoint.provenance["not_read"] == INDEX
    assert set(checkpoint.provenance["sha256"]) == {SINGLE}


def test_weights_in_a_file_that_the_configuration_names_are_refused(tmp_path):
    """transformers reads that file, whatever others there are."""
    content = json.dumps({"model_type": "gpt_neox", "transformers_weights": "x.safetensors"})
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"transformers_weights = 'x\.safetensors'"):
        checkpoints.load(tmp_path)
