"""Safetensors are read bit for bit, and each fault of a file is named."""

import json
import time

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from dynamics.checkpoints.formats import LocalBytes, SafetensorsFile, open_tensors
from dynamics.errors import InputError

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ml_dtypes.bfloat16]


class Counted(LocalBytes):
    """Remembers every range that was read."""

    def __init__(self, path):
        super().__init__(path)
        self.ranges = []

    def read(self, start, stop):
        assert 0 <= start <= stop <= self.size
        self.ranges.append((start, stop))
        return super().read(start, stop)


def random_bits(dtype, shape) -> np.ndarray:
    dtype = np.dtype(dtype)
    count = int(np.prod(shape)) * dtype.itemsize
    bits = np.random.default_rng(0).integers(0, 2 if dtype.kind == "b" else 256, count, np.uint8)
    return bits.view(dtype).reshape(shape)


def written(path, header, data: bytes = b""):
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
    return path


def field(dtype="F32", shape=(2,), offsets=(0, 8)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("shape", [(3, 5, 7), (), (0, 3), (11,)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_read_bit_for_bit(tmp_path, dtype, shape):
    tensors = {"a": random_bits(dtype, shape), "b": random_bits("f4", (2, 2))}
    safetensors.numpy.save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    file = SafetensorsFile(LocalBytes(tmp_path / "x.safetensors"))
    assert file.names() == {"a", "b"}
    for name, expected in tensors.items():
        tensor = file.read(name)
        assert (
            (tensor.dtype, tensor.shape)
            == (expected.dtype, expected.shape)
            == (file.dtype(name), file.shape(name))
        )
        assert tensor.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("name", "dtype"), [("F8_E4M3", ml_dtypes.float8_e4m3fn), ("F8_E5M2", ml_dtypes.float8_e5m2)]
)
def test_eight_bit_floats(tmp_path, name, dtype):
    expected = random_bits(dtype, (3, 5))
    path = written(tmp_path / "x", {"a": field(name, (3, 5), (0, 15))}, expected.tobytes())
    tensor = SafetensorsFile(LocalBytes(path)).read("a")
    assert tensor.dtype == dtype
    assert tensor.tobytes() == expected.tobytes()


def test_opening_reads_the_head_and_a_tensor_is_one_range_and_no_copy(tmp_path):
    tensors = {f"t{k}": np.full((300, 100), k, np.float32) for k in range(5)}
    safetensors.numpy.save_file(tensors, tmp_path / "x.safetensors")
    source = Counted(tmp_path / "x.safetensors")
    file = open_tensors(source)
    assert len(source.ranges) == 1
    tensor = file.read("t3")
    assert len(source.ranges) == 2
    assert source.ranges[1][1] - source.ranges[1][0] == tensor.nbytes
    assert not tensor.flags.owndata
    assert not tensor.flags.writeable
    np.testing.assert_array_equal(tensor, tensors["t3"])


def test_a_header_longer_than_the_head(tmp_path):
    tensors = {f"t{k:04}": np.full(3, k, np.float32) for k in range(2000)}
    safetensors.numpy.save_file(tensors, tmp_path / "x.safetensors")
    source = Counted(tmp_path / "x.safetensors")
    file = open_tensors(source)
    assert file.read("t1999")[0] == 1999
    assert len(source.ranges) == 3


MANY = b"".join(b'"%d": 1, ' % k for k in range(40_000))
BAD = {
    "no JSON": (b"{'a': 1}", b"", "not JSON"),
    "no UTF-8": (b'{"\xff": 1}', b"", "not JSON"),
    "deep JSON": (b'{"a":' + b"[" * 100_000, b"", "not JSON"),
    "a list": (b"[1]", b"", "no JSON object"),
    "a name twice": (b'{"a": 1, "a": 2}', b"", "'a' stands there twice"),
    "no object": ({"a": 3}, b"", "unknown dtype of 'a'"),
    "unknown dtype": ({"a": field("F12")}, bytes(8), "unknown dtype of 'a'"),
    "no shape": (
        {"a": {"dtype": "F32", "data_offsets": [0, 8]}},
        bytes(8),
        "no shape and data_offsets",
    ),
    "negative dim": ({"a": field(shape=(-1, -2))}, bytes(8), "no shape and data_offsets"),
    "true for a dim": ({"a": field(shape=(True, 2))}, bytes(8), "no shape and data_offsets"),
    "three offsets": ({"a": field(offsets=(0, 4, 8))}, bytes(8), "no shape and data_offsets"),
    "too few bytes": ({"a": field(shape=(3,))}, bytes(8), "is given 8 bytes"),
    "backwards": ({"a": field(offsets=(8, 0))}, bytes(8), "is given -8 bytes"),
    "overlap": ({"a": field(), "b": field(offsets=(4, 12))}, bytes(12), "'b' overlaps 'a'"),
    "the same bytes": ({"a": field(), "b": field()}, bytes(8), "'b' overlaps 'a'"),
    "gap": ({"a": field(), "b": field(offsets=(12, 20))}, bytes(20), "'b' leaves a gap after 'a'"),
    "outside": (
        {"a": field(offsets=(0, 8)), "b": field(offsets=(8, 16))},
        bytes(12),
        "take 16 bytes and it has 12",
    ),
    "too long": ({"a": field()}, bytes(9), "take 8 bytes and it has 9"),
    "absurd shape": (
        {"a": field(shape=(0, 2**61), offsets=(0, 0))},
        b"",
        "a shape that no tensor has",
    ),
    "many large dims": (
        {"a": field(shape=[2**61] * 40_000)},
        bytes(8),
        "a shape that no tensor has",
    ),
    "many names and one twice": (
        b"{" + b"".join(b'"%d": 1, ' % k for k in range(40_000)) + b'"7": 1}',
        b"",
        "'7' stands",
    ),
    "endless name": ({"a" * 10**6: field()}, b"", "its tensors take 8 bytes and it has 0"),
    "endless dtype": ({"a": field("F" * 10**6)}, bytes(8), "unknown dtype of 'a'"),
    "no number": (
        b'{"a": {"dtype": "F32", "shape": [Infinity], "data_offsets": [0, NaN]}}',
        b"",
        "no shape",
    ),
    "number too long": (b'{"a": ' + b"9" * 5000 + b"}", b"", "not JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(tmp_path, case):
    header, data, message = BAD[case]
    path = written(tmp_path / "x.safetensors", header, data)
    begun = time.process_time()
    with pytest.raises(InputError) as caught:
        SafetensorsFile(LocalBytes(path))
    assert time.process_time() - begun < 1
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("length", [2**63, 100_000_001, 50])
def test_a_header_longer_than_the_file(tmp_path, length):
    (tmp_path / "x").write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match=f"a header of {length} bytes.*fetch it again"):
        SafetensorsFile(LocalBytes(tmp_path / "x"))


def test_cut_anywhere(tmp_path):
    safetensors.numpy.save_file(
        {"a": np.ones((4, 5)), "b": np.ones(3, np.float16)}, tmp_path / "x.safetensors"
    )
    content = (tmp_path / "x.safetensors").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut.safetensors").write_bytes(content[:length])
        with pytest.raises(InputError, match="unreadable"):
            open_tensors(LocalBytes(tmp_path / "cut.safetensors"))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs pointer"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_what_is_no_weight_file_is_called_what_it_is(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}.*{kind}"):
        open_tensors(LocalBytes(tmp_path / name))
