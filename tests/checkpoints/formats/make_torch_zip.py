"""torch.save's files from NumPy arrays, without torch; every field can be made to lie."""

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
DTYPES = {name: np.dtype(getattr(ml_dtypes, name, name)) for name in STORAGES}


class View(NamedTuple):
    """A tensor as a state dict's pickle describes it; offset and strides in elements."""

    key: str
    kind: str  # a key of STORAGES
    numel: int
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Member(NamedTuple):
    """One entry of the archive; a field that is None is written truly."""

    data: bytes
    method: int = 0
    flags: int = 0x0808  # names in UTF-8, sizes after the data
    size: int | None = None  # what the directory says
    start: int | None = None  # likewise, of the local header
    local_path: bytes | None = None  # what the local header says


def operation(code: bytes, *parts: bytes) -> bytes:
    return code + b"".join(parts)


def name(module: str, qualified: str) -> bytes:
    return operation(pickle.GLOBAL, f"{module}\n{qualified}\n".encode())


def text(value: str) -> bytes:
    return operation(pickle.BINUNICODE, struct.pack("<I", len(value.encode())), value.encode())


def number(value: int) -> bytes:
    if 0 <= value < 256:
        return operation(pickle.BININT1, bytes([value]))
    if -(2**31) <= value < 2**31:
        return operation(pickle.BININT, struct.pack("<i", value))
    return operation(pickle.LONG1, bytes([9]), value.to_bytes(9, "little", signed=True))


def group(*values: bytes) -> bytes:
    return operation(pickle.MARK, *values, pickle.TUPLE) if values else pickle.EMPTY_TUPLE


ORDERED_DICT = name("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


def storage(view: View) -> bytes:
    kind = name("torch", STORAGES[view.kind])
    return (
        group(text("storage"), kind, text(view.key), text("cpu"), number(view.numel))
        + pickle.BINPERSID
    )


def tensor(view: View, *further: bytes) -> bytes:
    numbers = number(view.offset), group(*map(number, view.shape)), group(*map(number, view.stride))
    arguments = group(storage(view), *numbers, pickle.NEWFALSE, ORDERED_DICT, *further)
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def program(entries: Mapping[str, bytes]) -> bytes:
    """A pickle of an OrderedDict whose values are made by the given programs."""
    pairs = b"".join(text(key) + value for key, value in entries.items())
    versions = pickle.EMPTY_DICT + text("_metadata") + ORDERED_DICT + pickle.SETITEM + pickle.BUILD
    return (
        b"\x80\x02" + ORDERED_DICT + pickle.MARK + pairs + pickle.SETITEMS + versions + pickle.STOP
    )


def local_header(path: bytes, member: Member, at: int) -> bytes:
    path = path if member.local_path is None else member.local_path
    pad = -(at + 30 + len(path) + 4) % 64
    sizes = (0, 0, 0) if member.flags & 8 else (0, len(member.data), len(member.data))
    fields = struct.pack(
        "<4s5H3I2H", b"PK\3\4", 0, member.flags, member.method, 0, 0, *sizes, len(path), pad + 4
    )
    return fields + path + struct.pack("<2sH", b"FB", pad) + b"Z" * pad


def central_header(path: bytes, member: Member, at: int, zip64: bool) -> bytes:
    size = len(member.data) if member.size is None else member.size
    at = at if member.start is None else member.start
    extra = struct.pack("<2H3Q", 1, 24, size, size, at) if zip64 else b""
    shown = (0xFFFFFFFF,) * 3 if zip64 else (size, size, at)
    fields = (
        0,
        0,
        member.flags,
        member.method,
        0,
        0,
        0,
        *shown[:2],
        len(path),
        len(extra),
        0,
        0,
        0,
        0,
        shown[2],
    )
    return struct.pack("<4s6H3I5H2I", b"PK\1\2", *fields) + path + extra


def archive(
    members: list[tuple[str, Member]], top: str = "archive/", *, zip64: bool = False, hole: int = 0
) -> bytes:
    """torch's layout: data padded to 64 bytes, sizes after the data, a ZIP64 end before the end.

    The directory is written as if `hole` bytes more came before it.
    """
    body, directory = b"", b""
    for where, member in members:
        path, at = (top + where).encode(), len(body)
        directory += central_header(path, member, at, zip64)
        body += local_header(path, member, at) + member.data
        if member.flags & 8:
            body += struct.pack("<4sIII", b"PK\7\10", 0, len(member.data), len(member.data))
    count, start, end = len(members), len(body) + hole, len(body) + hole + len(directory)
    end64 = struct.pack(
        "<4sQ2H2I4Q", b"PK\6\6", 44, 0, 0, 0, 0, count, count, len(directory), start
    )
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    shown = (
        (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF) if zip64 else (count, count, len(directory), start)
    )
    return body + directory + end64 + locator + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *shown, 0)


def members(pickled: bytes, storages: Mapping[str, bytes]) -> list[tuple[str, Member]]:
    data = [(f"data/{key}", Member(content)) for key, content in storages.items()]
    small = [("byteorder", Member(b"little"))]
    return [("data.pkl", Member(pickled)), *small, *data, ("version", Member(b"3\n"))]


def whole(array: np.ndarray, key: str) -> View:
    stride = tuple(int(s) // array.itemsize for s in array.copy(order="C").strides)
    return View(key, str(array.dtype), array.size, 0, array.shape, stride)


def state_dict(tensors: Mapping[str, np.ndarray], **options) -> bytes:
    """The file that torch.save(state dict) would write, each tensor with a storage of its own."""
    views = {key: whole(array, str(k)) for k, (key, array) in enumerate(tensors.items())}
    storages = {views[key].key: array.tobytes() for key, array in tensors.items()}
    return archive(
        members(program({key: tensor(view) for key, view in views.items()}), storages), **options
    )


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
