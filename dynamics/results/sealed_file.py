"""A netCDF file that says whether its bytes are as written, and is read without trust.

After the data set, where HDF5 reads nothing, comes the sha256 of all bytes before it. A file may
also be crafted, with a checksum that fits: so links, storage and sizes are looked at before a
variable is read. A variable lies in the file itself, in one uncompressed piece, and no more is read
than the file holds.
"""

import contextlib
import hashlib
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import xarray as xr

from dynamics import files
from dynamics.errors import InputError

_SEAL = b"sha256 of all before"
SEAL_SIZE = len(_SEAL) + 32
# Attributes by which HDF5 ties variables to their dimensions; those of netCDF begin with "_N".
_INTERNAL = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST"}
_PLACEHOLDER = b"This is a netCDF dimension but not a netCDF variable"
# Texts of a variable may share their bytes, so that a small file spells a large array.
_MOST_TEXT = 2**28  # bytes


def write(path: Path, data: xr.Dataset, *, mend: str):
    """Writes the data set to `path` whole or not at all. Raises InputError where it cannot."""
    # In memory first: where a disk is full, HDF5 itself can end the process.
    body = bytes(data.to_netcdf(engine="h5netcdf"))
    files.write_atomically(path, body + _SEAL + hashlib.sha256(body).digest(), mend=mend)


def read(path: Path) -> xr.Dataset:
    """The data set of a file, in memory.

    Raises InputError unless its bytes are as written and its variables lie in the file.
    """
    with _opened(path) as stored:
        data = _dataset(stored, path.stat().st_size)
    data.encoding["source"] = str(path)
    return data


def read_attributes(path: Path) -> dict[str, Any]:
    """The attributes of a file's data set. Raises InputError as `read` does."""
    with _opened(path) as stored:
        return _attributes(stored.attrs, path.stat().st_size)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The netCDF part of a file. Raises InputError unless its bytes are as written."""
    try:
        # What is no file, such as a pipe, may never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("it is no file")
        with open(path, "rb") as content:
            _check_seal(content)
            with h5py.File(content, "r") as stored:
                yield stored
    except InputError:
        raise
    except Exception as error:  # h5py raises errors of every kind, by what is wrong in the file
        raise InputError(
            f"{path}, unreadable ({error})",
            expected="a committed result",
            mend="Delete the file and run again.",
        ) from error


def _check_seal(content: BinaryIO):
    size = content.seek(0, os.SEEK_END) - SEAL_SIZE
    content.seek(max(size, 0))
    seal = content.read()
    # A file that ends in no seal is not hashed: it may be of any size.
    if not seal.startswith(_SEAL) or seal[len(_SEAL) :] != _digest(content, size):
        raise ValueError("its checksum is not that of its bytes")
    content.seek(0)


def _digest(content: BinaryIO, size: int) -> bytes:
    """sha256 of the first `size` bytes."""
    digest = hashlib.sha256()
    content.seek(0)
    while size > 0 and (block := content.read(min(size, 2**20))):
        digest.update(block)
        size -= len(block)
    return digest.digest()


def _dataset(stored: h5py.File, size: int) -> xr.Dataset:
    """The variables of a netCDF file without groups, decoded; `size` is that of the file in bytes.

    The same as `xarray.open_dataset` reads, which looks every dimension up anew for each variable
    and takes five times as long for files as small as these.
    """
    nodes = {str(name): _variable(stored, str(name)) for name in stored}
    nodes = {
        name: node
        for name, node in nodes.items()
        if not _label(node.attrs, size).startswith(_PLACEHOLDER)
    }
    total = sum(_check_storage(name, node) for name, node in nodes.items())
    if total > size:
        raise ValueError(f"variables of {total} bytes in a file of {size}")
    variables = {}
    for name, node in nodes.items():
        values = _texts(node, size) if h5py.check_string_dtype(node.dtype) else node[()]
        scales = [_scale(stored, axis[0]) for axis in node.attrs.get("DIMENSION_LIST", ())]
        dimensions = scales or [name] * node.ndim
        variables[name] = xr.Variable(dimensions, values, _attributes(node.attrs, size))
    return xr.decode_cf(xr.Dataset(variables, attrs=_attributes(stored.attrs, size)))


def _variable(stored: h5py.File, name: str) -> h5py.Dataset:
    """A variable by its name. Raises ValueError for a link out of its place, or a group."""
    # The link itself is looked at first: to follow it may open another file of this machine.
    link = stored.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name!r} is a link to another place")
    node = stored[name]
    if not isinstance(node, h5py.Dataset):
        raise ValueError(f"{name!r} is no variable")
    return node


def _label(attributes: h5py.AttributeManager, size: int) -> bytes:
    label = _attribute(attributes, "NAME", size) if "NAME" in attributes else b""
    return label if isinstance(label, bytes) else str(label).encode()


def _check_storage(name: str, node: h5py.Dataset) -> int:
    """Bytes that a variable takes in the file. Raises ValueError unless it lies there whole."""
    layout = node.id.get_create_plist().get_layout()
    if node.size == 0:  # which netCDF stores in no pieces
        return 0
    if layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS):
        raise ValueError(f"{name!r} is stored in pieces, compressed or in other files")
    if node.external:
        raise ValueError(f"the numbers of {name!r} lie in another file")
    text = h5py.check_string_dtype(node.dtype)
    if not isinstance(node.shape, tuple) or not (text or node.dtype.kind in "biuf"):
        raise ValueError(f"{name!r} holds neither numbers nor text")
    # Of texts the file holds references of 16 bytes.
    width = 16 if text and text.length is None else node.dtype.itemsize
    num_bytes = math.prod(node.shape) * width
    if node.id.get_storage_size() != num_bytes:
        raise ValueError(f"{name!r} is not whole")
    return num_bytes


def _texts(node: h5py.Dataset, size: int) -> np.ndarray:
    """The texts of a variable. Raises ValueError where they take more than `_MOST_TEXT` bytes."""
    shape: tuple[int, ...] = node.shape
    if not shape:
        return np.asarray(node.asstr()[()], str)
    # No text is longer than the file: so many are read at once as may be that long together.
    count, row = math.prod(shape), math.prod(shape[1:])
    if row * size > _MOST_TEXT:
        raise ValueError(f"a text variable of {count} texts in a file of {size} bytes")
    rows, blocks, longest = max(1, _MOST_TEXT // max(1, row * size)), [], 0
    for start in range(0, shape[0], rows):
        blocks.append(node.asstr()[start : start + rows])
        longest = max([longest, *map(len, blocks[-1].ravel())])
        if 4 * longest * count > _MOST_TEXT:
            raise ValueError(f"a text variable of more than {_MOST_TEXT} bytes")
    return np.asarray(np.concatenate(blocks) if blocks else np.zeros(shape), str)


def _scale(stored: h5py.File, reference: h5py.Reference) -> str:
    return str(stored[reference].name).removeprefix("/")


def _attributes(attributes: h5py.AttributeManager, size: int) -> dict[str, Any]:
    """Attributes but those that HDF5 and netCDF keep for themselves, one number as a scalar."""
    names = [name for name in attributes if name not in _INTERNAL and not name.startswith("_N")]
    values = {name: _attribute(attributes, name, size) for name in names}
    return {
        name: value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value
        for name, value in values.items()
    }


def _attribute(attributes: h5py.AttributeManager, name: str, size: int) -> Any:
    identity = attributes.get_id(name)
    count = math.prod(identity.shape or ())
    text = h5py.check_string_dtype(identity.dtype)
    if not (text or identity.dtype.kind in "biuf"):
        raise ValueError(f"the attribute {name!r} holds neither numbers nor text")
    if count * (size if text else identity.dtype.itemsize) > max(size, _MOST_TEXT):
        raise ValueError(f"the attribute {name!r} is larger than its file")
    return attributes[name]
