"""Tensors of one safetensors file: the header's length (8 bytes), a JSON header, the data.

The header gives each tensor's dtype, shape and data_offsets [begin, end), counted from the header's
end. The tensors must fill the file without a gap, so a truncated file is refused when it is opened.
"""

import collections
import json
import math
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Shaped

from dynamics.checkpoints.formats.byte_source import ByteSource
from dynamics.checkpoints.formats.detect import CUT_OFF, buffered, refuse_foreign, unreadable
from dynamics.errors import InputError

_EXPECTED = "a whole safetensors file"
_MOST_HEADER = 100_000_000  # bytes, the format's own limit
_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


class Entry(NamedTuple):
    """Where a tensor lies: [begin, end) counted from the header's end."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile:
    """Named tensors of a safetensors file. Opening reads only the header; a tensor is one range.

    Raises InputError for a file that is cut off or too long, and for a header that is malformed or
    contradicts itself.
    """

    def __init__(self, source: ByteSource):
        self._source = buffered(source)
        refuse_foreign(self._source, _EXPECTED)
        header, self._start = self._header()
        self._entries = {
            name: self._entry(name, field)
            for name, field in header.items()
            if name != "__metadata__"
        }
        self._check_ranges()

    def names(self) -> set[str]:
        return set(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._of(name).shape

    def dtype(self, name: str) -> np.dtype:
        return self._of(name).dtype

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """The tensor as stored, read-only; of a local file, a view of the mapped bytes."""
        entry = self._of(name)
        data = self._source.read(self._start + entry.begin, self._start + entry.end)
        return np.frombuffer(data, entry.dtype).reshape(entry.shape)

    def _of(self, name: str) -> Entry:
        if name not in self._entries:
            raise InputError(
                f"{self._source.name} without the tensor {name!r}", expected="a complete checkpoint"
            )
        return self._entries[name]

    def _refuse(self, why: str, mend: str = CUT_OFF) -> InputError:
        return unreadable(self._source, why, expected=_EXPECTED, mend=mend)

    def _header(self) -> tuple[dict[str, Any], int]:
        size = self._source.size
        if size < 8:
            raise self._refuse("it ends before its header")
        length = int.from_bytes(self._source.read(0, 8), "little")
        if length > min(size - 8, _MOST_HEADER):
            raise self._refuse(f"a header of {length} bytes is announced")
        try:
            text = str(self._source.read(8, 8 + length), "utf-8")
            header = json.loads(text, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:
            raise self._refuse(f"its header is not JSON that can be used ({error})") from error
        if not isinstance(header, dict):
            raise self._refuse("its header is no JSON object")
        return header, 8 + length

    def _entry(self, name: str, field: Any) -> Entry:
        dtype, shape, offsets = (_get(field, key) for key in ("dtype", "shape", "data_offsets"))
        # Names and dtypes may be as long as the header.
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise InputError.unknown(
                f"dtype of {_shown(name)} in {self._source.name}", str(dtype)[:40], _DTYPES
            )
        if not _is_sizes(shape) or not _is_sizes(offsets) or len(offsets) != 2:
            raise self._refuse(f"{_shown(name)} has no shape and data_offsets of whole numbers")
        begin, end = offsets
        # Where a dim is 0 the others must still be sizes that an array can have. A product of many
        # large dims takes hours, so their number is checked first.
        if len(shape) > 32 or math.prod(max(n, 1) for n in shape) > 1 << 48:
            raise self._refuse(f"{_shown(name)} has a shape that no tensor has")
        if math.prod(shape) * _DTYPES[dtype].itemsize != end - begin:
            raise self._refuse(
                f"{_shown(name)}, {dtype} of shape {tuple(shape)}, is given {end - begin} bytes"
            )
        return Entry(_DTYPES[dtype], tuple(shape), begin, end)

    def _check_ranges(self):
        reached, before = 0, "the header"
        entries = self._entries.items()
        for name, entry in sorted(entries, key=lambda named: (named[1].begin, named[1].end)):
            if entry.begin != reached:
                fault = "overlaps" if entry.begin < reached else "leaves a gap after"
                raise self._refuse(f"{_shown(name)} {fault} {before}")
            reached, before = entry.end, _shown(name)
        held = self._source.size - self._start
        if reached != held:
            raise self._refuse(f"its tensors take {reached} bytes and it has {held} for them")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        counts = collections.Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the name {_shown(twice)} stands there twice")
    return fields


def _shown(name: str) -> str:
    return repr(name[:80])


def _get(field: Any, key: str) -> Any:
    return field.get(key) if isinstance(field, dict) else None


def _is_sizes(value: Any) -> bool:
    # type(), since True is an int to isinstance. No file has 2^62 bytes.
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 62 for n in value)
