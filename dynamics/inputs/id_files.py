"""Files of token ids: documents laid end to end, and where each begins.

Three forms are read, none of which runs anything that a file holds:

- NAME.npy, one axis of whole numbers, beside NAME.offsets.npy, where each document begins: whole
  numbers that ascend from 0, the end of the last document allowed after them.
- NAME.bin, ids as little-endian uint16, beside the same NAME.offsets.npy.
- NAME.bin beside NAME.idx, as Megatron-LM writes them: the index has the type of the ids, the
  length of every sequence and at which sequences documents begin
  (https://github.com/NVIDIA/Megatron-LM, megatron/core/datasets/indexed_dataset.py).

Axes: N tokens of all documents, D documents, T tokens of one.
"""

import io
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dynamics.errors import InputError
from dynamics.inputs.text_file import read_bytes

SUFFIXES = (".npy", ".bin")
_MAGIC = b"MMIDIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")  # magic, version, type, sequences, places of documents
_TYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}  # Megatron's codes of integers
_INDEX = "the index of a Megatron data set"


def read_ids(path: str | Path, most: int) -> list[Int[np.ndarray, " T"]]:
    """Token ids of every document, int32.

    Args:
        path: NAME.npy or NAME.bin, beside NAME.offsets.npy or NAME.idx.
        most: the most bytes that each of the two files may hold.

    Raises:
        InputError: no offsets; a file that is too long, cut short or of another form; offsets that
            do not ascend from 0 or leave the ids; ids that are negative or beyond int32.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> np.save(folder / "some.npy", np.arange(7))
        >>> np.save(folder / "some.offsets.npy", np.array([0, 4]))
        >>> [ids.tolist() for ids in read_ids(folder / "some.npy", most=1000)]
        [[0, 1, 2, 3], [4, 5, 6]]
    """
    path = Path(path)
    index, offsets = path.with_suffix(".idx"), path.with_suffix(".offsets.npy")
    if path.suffix == ".bin" and index.exists():
        ids, begins = _megatron(path, index, most)
    elif not offsets.exists():
        beside = [offsets.name, *([index.name] if path.suffix == ".bin" else [])]
        raise InputError(
            f"{path} without {' or '.join(beside)}",
            expected="token ids with the offsets of their documents beside them",
            mend="Write where each document begins: np.save(NAME.offsets.npy, offsets).",
        )
    else:
        ids = _array(path, most) if path.suffix == ".npy" else _raw(path, "<u2", most)
        begins = _array(offsets, most)
    return _documents(path, ids, begins)


def is_beside(path: Path) -> bool:
    """Whether a file belongs to one of token ids, and is none itself.

    Example:
        >>> [is_beside(Path(name)) for name in ("a.npy", "a.offsets.npy", "a.bin")]
        [False, True, False]
    """
    if path.name.endswith(".offsets.npy"):
        return True
    return path.suffix == ".idx" and path.with_suffix(".bin").exists()


def _documents(
    path: Path, ids: Int[np.ndarray, " N"], begins: Int[np.ndarray, " D"]
) -> list[Int[np.ndarray, " T"]]:
    if not len(begins) or begins[0] != 0 or begins[-1] > len(ids) or (np.diff(begins) < 0).any():
        raise InputError(
            f"{path} of {len(ids)} token ids with offsets of {len(begins)} documents that do not "
            "ascend from 0 or leave the ids",
            expected="where each document begins, from 0 on",
        )
    if len(ids) and (ids.min() < 0 or ids.max() > np.iinfo(np.int32).max):
        raise InputError(
            f"{path} of token ids from {ids.min()} to {ids.max()}", expected="ids from 0 on"
        )
    whole = begins[:-1] if len(begins) > 1 and begins[-1] == len(ids) else begins
    return np.split(ids.astype(np.int32), whole[1:])


def _array(path: Path, most: int) -> Int[np.ndarray, " N"]:
    """A .npy file of whole numbers; objects, which would be unpickled, are refused."""
    expected = "a .npy file with one axis of whole numbers"
    content = io.BytesIO(read_bytes(path, most, expected))
    try:
        array = np.load(content, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}, unreadable ({error})", expected=expected) from error
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iu":
        form = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise InputError(f"{path} of {form}", expected=expected)
    return array


def _raw(path: Path, dtype: str, most: int) -> Int[np.ndarray, " N"]:
    content, size = read_bytes(path, most, "token ids"), np.dtype(dtype).itemsize
    if len(content) % size:
        raise InputError(
            f"{path} of {len(content)} bytes, no whole number of ids of {size} bytes",
            expected="token ids, none cut short",
        )
    return np.frombuffer(content, dtype)


def _megatron(path: Path, index: Path, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(ids, where documents begin) of a Megatron data set."""
    content = read_bytes(index, most, _INDEX)
    if len(content) < _HEADER.size or not content.startswith(_MAGIC):
        raise InputError(f"{index}, which does not begin as one", expected=_INDEX)
    _, version, kind, sequences, places = _HEADER.unpack_from(content)
    if version != 1 or kind not in _TYPES:
        raise InputError(
            f"{index} of version {version} with ids of type {kind}",
            expected=f"{_INDEX} of version 1 with whole numbers",
        )
    if len(content) < _HEADER.size + 12 * sequences + 8 * places:
        raise InputError(f"{index}, cut short", expected=_INDEX)
    lengths = np.frombuffer(content, "<i4", sequences, _HEADER.size)
    first = np.frombuffer(content, "<i8", places, _HEADER.size + 12 * sequences)
    ids, ends = _raw(path, _TYPES[kind], most), np.concatenate([[0], np.cumsum(lengths, dtype=int)])
    if (lengths < 0).any() or ends[-1] != len(ids):
        raise InputError(
            f"{path} of {len(ids)} token ids, of which {index.name} counts {ends[-1]}",
            expected="the ids that the index is of",
        )
    if not places or first.min() < 0 or first.max() > sequences:
        raise InputError(f"{index} with documents beyond its sequences", expected=_INDEX)
    return ids, ends[first]
