"""A checkpoint folder as named tensors: safetensors or torch's .bin, single or sharded."""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from dynamics import inputs
from dynamics.checkpoints.formats.byte_source import LocalBytes
from dynamics.checkpoints.formats.shard_index import (
    INDEX,
    MOST_INDEX,
    SINGLE,
    TORCH_INDEX,
    TORCH_SINGLE,
    WEIGHTS,
    is_index,
    weight_map,
    weights_of,
)
from dynamics.checkpoints.formats.tensor_file import TensorFile, open_tensors
from dynamics.errors import InputError

_CONVERT = (
    "Convert it: transformers' "
    "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)."
)


class TensorFolder:
    """Named tensors of a checkpoint folder, memory-mapped: a tensor costs nothing before `read`.

    Of several weight files those are read that transformers reads. Names that an index lists and no
    shard has, as of buffers that are no longer saved, are left out as transformers leaves them out.

    Raises InputError for a folder without weights; for a shard that is missing, truncated or no
    weight file; and for an index that disagrees with its shards.

    Attributes:
        files: the weight files that are read.
        weights: the name of the single file, or of the index of several.
        other_save: the name of a file of other weights in the same format that lies there too,
            None without one.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        weights, self.other_save = _weights(self.folder)
        self.weights = weights.name
        index = weights if is_index(weights.name) else None
        self.files = _shard_files(index) if index else [weights]
        self._holders = self._by_name({path: _open(path) for path in self.files})
        if index:
            _check_index(index, {name: path.name for name, (path, _) in self._holders.items()})

    def names(self) -> set[str]:
        return set(self._holders)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._file(name).shape(name)

    def dtype(self, name: str) -> np.dtype:
        return self._file(name).dtype(name)

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """The tensor as stored, bfloat16 included (ml_dtypes): a read-only view of the file."""
        return self._file(name).read(name)

    def sha256(self) -> dict[str, str]:
        """Weight file -> its sha256, as a result's provenance records it.

        Raises InputError for a file whose name in a store is another digest.
        """
        # hashlib lets other threads run.
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            names = [path.name for path in self.files]
            return dict(zip(names, pool.map(_sha256, self.files), strict=True))

    def _by_name(self, opened: dict[Path, TensorFile]) -> dict[str, tuple[Path, TensorFile]]:
        holders: dict[str, tuple[Path, TensorFile]] = {}
        for path, file in opened.items():
            for name in file.names():
                if name in holders:
                    first = holders[name][0].name
                    raise InputError(
                        f"{self.folder} with {name!r} both in {first} and in {path.name}",
                        expected="each tensor in one shard",
                        mend="Fetch the revision again.",
                    )
                holders[name] = (path, file)
        return holders

    def _file(self, name: str) -> TensorFile:
        if name not in self._holders:
            raise InputError(
                f"{self.folder} without the tensor {name!r}", expected="a complete checkpoint"
            )
        return self._holders[name][1]


def blob_name(path: Path) -> str:
    """The sha256 that a file should have by its name, "" for a file without such a name.

    The Hugging Face cache and our store name a large file by its sha256, and link to it.
    """
    target = path.resolve()
    named = (
        path.is_symlink()
        and target.parent.name == "blobs"
        and re.fullmatch("[0-9a-f]{64}", target.name)
    )
    return target.name if named else ""


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if blob_name(path) not in ("", digest):
        raise InputError(
            f"{path.resolve()} with sha256 {digest}",
            expected="the one that it is named by",
            mend="The file was damaged on this disk, or arrived so; "
            "delete it and fetch the revision again.",
        )
    return digest


def _weights(folder: Path) -> tuple[Path, str | None]:
    """The file or index that is read, and the name of another save beside it."""
    weights, other_save = weights_of([name for name in WEIGHTS if (folder / name).is_file()])
    if weights is not None:
        return folder / weights, other_save
    if any(folder.glob("pytorch_model*.bin")):
        raise InputError(
            f"{folder} with torch .bin files only, "
            f"and neither {TORCH_SINGLE} nor {TORCH_INDEX} among them",
            expected=f"{SINGLE}, {INDEX}, {TORCH_SINGLE} or {TORCH_INDEX}",
            mend=f"Fetch the index. {_CONVERT}",
        )
    raise InputError(
        f"{folder} without weights",
        expected=f"{SINGLE}, {TORCH_SINGLE} or an index",
        mend="Is it a checkpoint folder?",
    )


def _shard_files(index: Path) -> list[Path]:
    shards = sorted(set(_read_index(index).values()))
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise InputError(
            f"{index.parent} with {len(missing)} of {len(shards)} shards missing "
            f"({', '.join(missing)})",
            expected=f"every shard that {index.name} names",
            mend="Fetch the revision again.",
        )
    return [index.parent / shard for shard in shards]


def _read_index(index: Path) -> dict[str, str]:
    content = inputs.read_bytes(index, MOST_INDEX, "an index of shards")
    try:
        return weight_map(content)
    except ValueError as error:
        raise InputError(
            f"{index}, unreadable: {error}",
            expected='a JSON object whose "weight_map" names a shard for every tensor',
            mend="Fetch the revision again.",
        ) from error


def _check_index(index: Path, actual: dict[str, str]):
    expected = _read_index(index)
    for name in sorted(actual):
        if expected.get(name) != actual[name]:
            raise InputError(
                f"{name!r} in {actual[name]}",
                expected=f"it in {expected.get(name, 'no shard')}, as {index} says",
                mend="The files are of different saves; fetch the revision again.",
            )


def _open(path: Path) -> TensorFile:
    try:
        return open_tensors(LocalBytes(path))
    except InputError as error:
        if path.suffix != ".bin":
            raise
        raise InputError(
            f"{path.parent} with torch .bin files only, and {str(error).removeprefix('got ')}",
            mend=f"Or, where the file is whole to torch: {_CONVERT}",
        ) from error
