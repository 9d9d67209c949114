"""torch's .bin files: hand-made ones everywhere, and torch's own where torch is installed."""

import hashlib
import json
import shutil
from pathlib import Path

import make_torch_zip as make
import numpy as np
import pytest
import safetensors.numpy
from test_safetensors_file import Counted, random_bits

from dynamics import checkpoints
from dynamics.checkpoints.formats import LocalBytes, TensorFolder, open_tensors
from dynamics.errors import InputError

GOLDEN = Path(__file__).parents[2] / "models" / "golden"
NAMES = ["embed.weight", "layer.0.weight", "layer.0.bias", "scalar", "none"]
SHAPES = [(7, 5), (3, 5, 2), (11,), (), (0, 3)]


def opened(path: Path, content: bytes):
    return open_tensors(LocalBytes(make.write(path, content)))


def assert_bits(tensor: np.ndarray, expected: np.ndarray):
    assert (tensor.dtype, tensor.shape) == (expected.dtype, expected.shape)
    assert tensor.tobytes() == expected.tobytes()


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("kind", make.DTYPES)
def test_every_dtype_is_read_bit_for_bit(tmp_path, kind, zip64):
    arrays = [random_bits(make.DTYPES[kind], shape) for shape in SHAPES]
    tensors = dict(zip(NAMES, arrays, strict=True))
    file = opened(tmp_path / "x.bin", make.state_dict(tensors, zip64=zip64))
    assert file.names() == set(tensors)
    for name, expected in tensors.items():
        assert file.shape(name) == expected.shape
        assert_bits(file.read(name), expected)
    with pytest.raises(InputError, match="without the tensor 'nothing'"):
        file.read("nothing")


def test_views_tied_and_apart(tmp_path):
    store = np.arange(30, dtype=np.float32)
    views = {
        "a": make.View("0", "float32", 30, 0, (4, 5), (5, 1)),
        "tied": make.View("0", "float32", 30, 0, (4, 5), (5, 1)),
        "turned": make.View("0", "float32", 30, 0, (5, 4), (1, 5)),
        "flat": make.View("0", "float32", 30, 0, (20,), (1,)),
        "apart": make.View("0", "float32", 30, 20, (5, 2), (2, 1)),
    }
    pickled = make.program({name: make.tensor(view) for name, view in views.items()})
    file = opened(tmp_path / "x.bin", make.archive(make.members(pickled, {"0": store.tobytes()})))
    matrix = store[:20].reshape(4, 5)
    expected = {
        "a": matrix,
        "tied": matrix,
        "turned": matrix.T,
        "flat": store[:20],
        "apart": store[20:].reshape(5, 2),
    }
    for name, array in expected.items():
        np.testing.assert_array_equal(file.read(name), array)


def test_opening_is_two_ranges_and_a_tensor_is_one_of_its_size(tmp_path):
    tensors = {f"t{k}": np.full((300, 200), k, np.float32) for k in range(6)}
    source = Counted(make.write(tmp_path / "x.bin", make.state_dict(tensors)))
    file = open_tensors(source)
    assert len(source.ranges) == 2
    for name in ("t3", "t5", "t3"):
        before = len(source.ranges)
        np.testing.assert_array_equal(file.read(name), tensors[name])
        assert len(source.ranges) == before + 1
        start, stop = source.ranges[-1]
        assert stop - start < tensors[name].nbytes + 300


def test_a_part_of_a_large_storage_is_read_alone(tmp_path):
    store = np.arange(500_000, dtype=np.float32)
    pickled = make.program(
        {"a": make.tensor(make.View("0", "float32", store.size, 400_000, (10, 10), (10, 1)))}
    )
    source = Counted(
        make.write(tmp_path / "x.bin", make.archive(make.members(pickled, {"0": store.tobytes()})))
    )
    file = open_tensors(source)
    opening = len(source.ranges)
    np.testing.assert_array_equal(file.read("a"), store[400_000:400_100].reshape(10, 10))
    assert sum(stop - start for start, stop in source.ranges[opening:]) < 1000


def stored(folder: Path) -> dict[str, np.ndarray]:
    return {
        k: v
        for file in folder.glob("*.safetensors")
        for k, v in safetensors.numpy.load_file(file).items()
    }


def as_bin(folder: Path, target: Path, shards: int, write) -> Path:
    """The checkpoint with its weights in `shards` torch files, written by write(path, tensors)."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("model*"))
    tensors = stored(folder)
    if shards == 1:
        write(target / "pytorch_model.bin", tensors)
        return target
    where = {
        n: f"pytorch_model-{k % shards + 1:05}-of-{shards:05}.bin"
        for k, n in enumerate(sorted(tensors))
    }
    for file in set(where.values()):
        write(
            target / file, {name: tensor for name, tensor in tensors.items() if where[name] == file}
        )
    (target / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    return target


def by_hand(path: Path, tensors: dict[str, np.ndarray]):
    make.write(path, make.state_dict(tensors))


def by_torch(path: Path, tensors: dict[str, np.ndarray]):
    torch = pytest.importorskip("torch")
    torch.save({name: in_torch(torch, array) for name, array in tensors.items()}, path)


def in_torch(torch, array: np.ndarray):
    bits = torch.from_numpy(np.frombuffer(bytearray(array.tobytes()), np.uint8))
    return bits.view(getattr(torch, str(array.dtype))).reshape(array.shape)


@pytest.mark.parametrize("write", [by_hand, by_torch])
@pytest.mark.parametrize("shards", [1, 2, 5])
@pytest.mark.parametrize("name", ["parallel_quarter", "sequential_half"])
def test_either_format_gives_the_same_params(tmp_path, name, shards, write):
    folder = as_bin(GOLDEN / name, tmp_path / "bin", shards, write)
    ours, theirs = checkpoints.load(GOLDEN / name), checkpoints.load(folder)
    assert theirs.config == ours.config
    assert len(theirs.provenance["sha256"]) == shards
    for a, b in zip(leaves(ours.params), leaves(theirs.params), strict=True):
        assert_bits(b, a)


def leaves(tree) -> list[np.ndarray]:
    return [
        leaf
        for key in sorted(tree)
        for leaf in (leaves(tree[key]) if isinstance(tree[key], dict) else [tree[key]])
    ]


@pytest.fixture
def folder(tmp_path) -> Path:
    return as_bin(GOLDEN / "parallel_quarter", tmp_path / "bin", 2, by_hand)


def refused(folder: Path, *parts: str):
    with pytest.raises(InputError) as caught:
        TensorFolder(folder)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def edit_index(folder: Path, edit):
    path = folder / "pytorch_model.bin.index.json"
    index = json.loads(path.read_text())
    edit(index["weight_map"])
    path.write_text(json.dumps(index))


def test_safetensors_go_before_bin(folder):
    shutil.copy(GOLDEN / "parallel_quarter" / "model.safetensors", folder)
    assert [path.name for path in TensorFolder(folder).files] == ["model.safetensors"]


def test_what_an_index_lists_and_no_shard_has_is_left_out(folder):
    names = TensorFolder(folder).names()
    edit_index(folder, lambda names: names.update(more="pytorch_model-00001-of-00002.bin"))
    assert TensorFolder(folder).names() == names


def test_an_index_that_names_a_tensor_too_few(folder):
    edit_index(folder, lambda names: names.pop("embed_out.weight"))
    refused(folder, "'embed_out.weight' in pytorch_model-0000", "expected it in no shard")


def test_a_tensor_in_two_shards(folder):
    first, second = sorted(folder.glob("*.bin"))
    shutil.copy(first, second)
    refused(folder, "both in pytorch_model-00001-of-00002.bin and in pytorch_model-00002")


@pytest.mark.parametrize(
    "shard", ["../x.bin", "/etc/x.bin", "a/b.bin", "a\\b.bin", "", "..", "config.json"]
)
def test_a_shard_is_a_file_beside_its_index(folder, shard):
    edit_index(folder, lambda names: names.update({"embed_out.weight": shard}))
    refused(folder, "unreadable", "weight_map")


def test_shards_without_their_index(folder):
    (folder / "pytorch_model.bin.index.json").unlink()
    refused(folder, "torch .bin files only", "neither pytorch_model.bin nor")


def test_a_blob_is_held_against_its_name(tmp_path):
    content = (GOLDEN / "parallel_quarter" / "model.safetensors").read_bytes()
    digest, commit = hashlib.sha256(content).hexdigest(), tmp_path / "snapshots" / "commit"
    (tmp_path / "blobs").mkdir()
    blob = make.write(tmp_path / "blobs" / digest, content)
    commit.mkdir(parents=True)
    shutil.copy(GOLDEN / "parallel_quarter" / "config.json", commit)
    (commit / "model.safetensors").symlink_to(Path("../../blobs") / digest)
    assert checkpoints.load(commit).provenance["sha256"] == {"model.safetensors": digest}
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        InputError, match=r"sha256 .*; expected the one that it is named by.*damaged"
    ):
        checkpoints.load(commit)
    blob.rename(tmp_path / "blobs" / ("a" * 40))  # no sha256
    (commit / "model.safetensors").unlink()
    (commit / "model.safetensors").symlink_to(Path("../../blobs") / ("a" * 40))
    assert checkpoints.load(commit).provenance["sha256"]["model.safetensors"] not in (
        digest,
        "a" * 40,
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_saves(tmp_path, protocol):
    torch = pytest.importorskip("torch")
    draw = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    tensors = {
        "float32": draw,
        "float16": draw.half(),
        "bfloat16": draw.bfloat16(),
        "turned": draw.t(),
        "tied": draw,
        "long": torch.arange(2**40, 2**40 + 5),
        "mask": torch.eye(3, dtype=torch.bool),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "uint16": torch.arange(5).to(torch.uint16),
        "parameter": torch.nn.Parameter(draw.half() + 1),
        "frozen": torch.nn.Parameter(draw + 2, requires_grad=False),
        "part": torch.arange(100)[17:29].reshape(3, 4),
    }
    torch.save(tensors, tmp_path / "x.bin", pickle_protocol=protocol)
    file = open_tensors(LocalBytes(tmp_path / "x.bin"))
    assert file.names() == set(tensors)
    for name, tensor in tensors.items():
        bits = tensor.detach().contiguous().flatten().view(torch.uint8).numpy()
        assert file.shape(name) == tuple(tensor.shape)
        assert file.read(name).tobytes() == bits.tobytes()


def test_what_a_torch_module_saves(tmp_path):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(
        torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3), torch.nn.Embedding(7, 2)
    )
    torch.save(module.state_dict(), tmp_path / "x.bin")
    file = open_tensors(LocalBytes(tmp_path / "x.bin"))
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(file.read(name), tensor.numpy())


def test_what_of_torch_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    matrix = torch.zeros(4, 4)
    cases = {
        "share a part": {"a": matrix[:3], "b": matrix[1:]},
        "one element in several places": {"a": torch.ones(1).expand(1000)},
        "the entry 'epoch', a int": {"epoch": 3, "a": matrix},
        "the entry 'model', a nested dict": {"model": {"a": matrix}},
        "'torch.nn.modules.linear Linear'": torch.nn.Linear(2, 3),
        "metadata": {"a": torch._neg_view(matrix)},
    }
    for message, saved in cases.items():
        torch.save(saved, tmp_path / "x.bin")
        with pytest.raises(InputError, match=message):
            open_tensors(LocalBytes(tmp_path / "x.bin"))
    torch.save({"a": matrix}, tmp_path / "x.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"before 1\.6.*save_pretrained"):
        open_tensors(LocalBytes(tmp_path / "x.bin"))
