"""Tensors of one file that torch.save wrote (zip, torch 1.6 and later), without torch or pickle.

A tensor is a strided view of a storage, and a storage is an entry of the archive. Some views that
torch can make serve a hostile file and no state dict. Refused are views that reach out of their
storage, that show one element in many places (a small file as terabytes), and that share a part of
their elements with another view.
"""

import itertools
import math

import numpy as np
from jaxtyping import Shaped

from dynamics.checkpoints.formats import torch_pickle
from dynamics.checkpoints.formats.byte_source import ByteSource
from dynamics.checkpoints.formats.detect import CONVERT, buffered, refuse_foreign
from dynamics.checkpoints.formats.torch_globals import Storage, TensorRef
from dynamics.checkpoints.formats.torch_zip import EXPECTED, Archive
from dynamics.errors import InputError

_CLONE = (
    "In torch, save each tensor as one of its own: "
    "{name: t.clone() for name, t in state_dict.items()}."
)
_MOST_ELEMENTS = 1 << 48


class TorchFile:
    """Named tensors of a state dict.

    Opening reads the archive's directory and the pickle; a tensor is one range. Raises InputError
    for a file that is cut off, no state dict, of torch before 1.6, or asks for more than tensors.
    """

    def __init__(self, source: ByteSource):
        self._source = buffered(source)
        refuse_foreign(self._source, EXPECTED)
        self._archive = Archive(self._source)
        self._check_byte_order()
        self._refs = _refs_of(self._archive)
        for name, ref in self._refs.items():
            self._check_storage(name, ref)
            self._check_view(name, ref)
        self._check_shared()

    def names(self) -> set[str]:
        return set(self._refs)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._of(name).shape

    def dtype(self, name: str) -> np.dtype:
        return self._of(name).storage.dtype

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """The tensor as stored, read-only and with its strides; a view of a local file's bytes."""
        ref = self._of(name)
        size = ref.storage.dtype.itemsize
        first, span = (ref.offset, _span(ref)) if math.prod(ref.shape) else (0, 0)
        data = self._archive.read(f"data/{ref.storage.key}", first * size, (first + span) * size)
        strides = tuple(n * size for n in ref.stride)
        flat = np.frombuffer(data, ref.storage.dtype)
        if not span:
            return flat.reshape(ref.shape)
        return np.lib.stride_tricks.as_strided(flat, ref.shape, strides, writeable=False)

    def _of(self, name: str) -> TensorRef:
        if name not in self._refs:
            raise InputError(
                f"{self._source.name} without the tensor {name!r}", expected="a complete checkpoint"
            )
        return self._refs[name]

    def _check_byte_order(self):
        # torch before 2.1 wrote none, and was little-endian.
        entry = self._archive.entries.get("byteorder")
        if entry and (entry.size != 6 or bytes(self._archive.read("byteorder", 0, 6)) != b"little"):
            raise self._archive.refuse(
                "its byteorder is not little", "Save it again on a little-endian machine."
            )

    def _check_storage(self, name: str, ref: TensorRef):
        key, dtype, numel = ref.storage
        entry = self._archive.entries.get(f"data/{key}")
        if entry is None or entry.size != numel * dtype.itemsize:
            held = f"of {entry.size} bytes" if entry else "that is not there"
            raise self._archive.refuse(
                f"{name[:80]!r} is given {numel} {dtype} in a storage {held}"
            )

    def _check_view(self, name: str, ref: TensorRef):
        if min((ref.offset, *ref.shape, *ref.stride)) < 0:
            raise self._archive.refuse(
                f"{name[:80]!r} has a negative offset, shape or stride", _CLONE
            )
        if math.prod(max(n, 1) for n in ref.shape) > _MOST_ELEMENTS:
            raise self._archive.refuse(f"{name[:80]!r} has a shape that no tensor has", _CLONE)
        if math.prod(ref.shape) == 0:
            return
        if ref.offset + _span(ref) > ref.storage.numel:
            raise self._archive.refuse(f"{name[:80]!r} reaches out of its storage", _CLONE)
        reach = 0
        for stride, count in _dims(ref):
            if stride <= reach:
                raise self._archive.refuse(
                    f"{name[:80]!r} shows one element in several places", _CLONE
                )
            reach += stride * (count - 1)

    def _check_shared(self):
        """Tensors on one storage are the same elements (tied weights) or apart."""
        spans: dict[str, dict] = {}
        storages: dict[str, Storage] = {}
        for name, ref in self._refs.items():
            if storages.setdefault(ref.storage.key, ref.storage) != ref.storage:
                raise self._archive.refuse(
                    f"{name[:80]!r} reads its storage as another dtype", _CLONE
                )
            if math.prod(ref.shape):
                elements = (ref.offset, ref.offset + _span(ref), _merged(ref))
                spans.setdefault(ref.storage.key, {}).setdefault(elements, name)
        for views in spans.values():
            for (before, a), (after, b) in itertools.pairwise(sorted(views.items())):
                if after[0] < before[1]:
                    raise self._archive.refuse(
                        f"{a[:80]!r} and {b[:80]!r} share a part of their elements", _CLONE
                    )


def _refs_of(archive: Archive) -> dict[str, TensorRef]:
    """The tensor references of an archive's data.pkl."""
    entry = archive.entries.get("data.pkl")
    if entry is None:
        raise archive.refuse("it is a zip archive without data.pkl", CONVERT)
    if entry.size > torch_pickle.MOST_BYTES:
        raise archive.refuse(
            f"its data.pkl has {entry.size} bytes, more than a state dict's", CONVERT
        )
    try:
        return torch_pickle.state_dict(bytes(archive.read("data.pkl", 0, entry.size)))
    except InputError as error:
        raise archive.refuse(str(error).removeprefix("got "), "") from error


def _dims(ref: TensorRef) -> list[tuple[int, int]]:
    """(stride, count) of the dims that move, the fastest first."""
    return sorted(
        (stride, count) for stride, count in zip(ref.stride, ref.shape, strict=True) if count > 1
    )


def _span(ref: TensorRef) -> int:
    """Elements from the view's first to its last."""
    return 1 + sum(stride * (count - 1) for stride, count in _dims(ref))


def _merged(ref: TensorRef) -> tuple[tuple[int, int], ...]:
    """The set of elements in a form that a matrix, its transpose and its flat view share."""
    merged: list[tuple[int, int]] = []
    for stride, count in _dims(ref):
        if merged and merged[-1][0] * merged[-1][1] == stride:
            merged[-1] = (merged[-1][0], merged[-1][1] * count)
        else:
            merged.append((stride, count))
    return tuple(merged)
