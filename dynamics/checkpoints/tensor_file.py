"""One tensor at a time out of a checkpoint folder: safetensors or torch's .bin, single or
sharded."""

import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from dynamics.checkpoints.byte_source import ByteSource, LocalBytes
from dynamics.checkpoints.head import is_torch, with_head
from dynamics.checkpoints.safetensors_file import SafetensorsFile
from dynamics.checkpoints.torch_file import TorchFile
from dynamics.errors import InputError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TORCH_SINGLE, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# A shard lies beside its index: a path in its place would have another file read.
_SHARD = re.compile(r"[^/\\\0]{1,200}\.(safetensors|bin)")
_CONVERT = "Convert it: transformers' AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)."


class TensorFile(Protocol):
    """Named tensors, none of which is read before it is asked for; an unknown name is an
    InputError."""

    def names(self) -> set[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def dtype(self, name: str) -> np.dtype: ...

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored, bfloat16 included (ml_dtypes); it may be read-only."""
        ...


def open_tensors(source: ByteSource) -> TensorFile:
    """The tensors of one weight file, whose format its first bytes tell. Raises InputError for a
    damaged one."""
    source = with_head(source)
    return TorchFile(source) if is_torch(source) else SafetensorsFile(source)


class TensorFolder:
    """Named tensors of a checkpoint folder, memory-mapped; nothing is read before `read`.

    Raises InputError for a folder without weights, for a shard that is missing, truncated or no
    weight file, and for an index that says otherwise than its shards.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        index = _index(self.folder)
        self.files = _shard_files(index) if index else [_single(self.folder)]
        self._where = self._by_name({path: _open(path) for path in self.files})
        if index:
            _check_index(index, {name: path.name for name, (path, _) in self._where.items()})

    def names(self) -> set[str]:
        return set(self._where)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._file(name).shape(name)

    def dtype(self, name: str) -> np.dtype:
        return self._file(name).dtype(name)

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored, bfloat16 included (ml_dtypes); a read-only view of the file's
        bytes."""
        return self._file(name).read(name)

    def sha256(self) -> dict[str, str]:
        """sha256 of every weight file: what a result's provenance names.

        Raises InputError for a file that is stored under another digest's name.
        """
        with ThreadPoolExecutor(
            min(4, os.cpu_count() or 1)
        ) as pool:  # hashlib lets other threads run
            return dict(
                zip([path.name for path in self.files], pool.map(_sha256, self.files), strict=True)
            )

    def _by_name(self, opened: dict[Path, TensorFile]) -> dict[str, tuple[Path, TensorFile]]:
        where: dict[str, tuple[Path, TensorFile]] = {}
        for path, file in opened.items():
            for name in file.names():
                if name in where:
                    raise InputError(
                        f"{self.folder} with {name!r} both in {where[name][0].name} and in {path.name}",
                        expected="each tensor in one shard",
                        mend="Fetch the revision again.",
                    )
                where[name] = (path, file)
        return where

    def _file(self, name: str) -> TensorFile:
        if name not in self._where:
            raise InputError(
                f"{self.folder} without the tensor {name!r}", expected="a complete checkpoint"
            )
        return self._where[name][1]


def _index(folder: Path) -> Path | None:
    """The index in force; a single safetensors file goes before torch's index."""
    if (folder / INDEX).is_file():
        return folder / INDEX
    if (folder / TORCH_INDEX).is_file() and not (folder / SINGLE).is_file():
        return folder / TORCH_INDEX
    return None


def _single(folder: Path) -> Path:
    for name in (SINGLE, TORCH_SINGLE):
        if (folder / name).is_file():
            return folder / name
    if any(folder.glob("pytorch_model*.bin")):
        raise InputError(
            f"{folder} with torch .bin files only, and neither {TORCH_SINGLE} nor {TORCH_INDEX} among them",
            expected=f"{SINGLE}, {INDEX}, {TORCH_SINGLE} or {TORCH_INDEX}",
            mend=f"Fetch the index. {_CONVERT}",
        )
    raise InputError(
        f"{folder} without weights",
        expected=f"{SINGLE}, {TORCH_SINGLE} or an index",
        mend="Is it a checkpoint folder?",
    )


def _shard_files(index: Path) -> list[Path]:
    shards = sorted(set(_map_of(index).values()))
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise InputError(
            f"{index.parent} with {len(missing)} of {len(shards)} shards missing ({', '.join(missing)})",
            expected=f"every shard that {index.name} names",
            mend="Fetch the revision again.",
        )
    return [index.parent / shard for shard in shards]


def weight_map(index: bytes) -> dict[str, str]:
    """Tensor name -> shard, from an index's bytes. Raises ValueError for what is no index."""
    try:
        found = json.loads(index)["weight_map"]
        shards = list(found.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{error!r:.200}") from error
    if not shards or not all(
        isinstance(shard, str) and _SHARD.fullmatch(shard) for shard in shards
    ):
        raise ValueError(f"shards {sorted(map(str, shards))[:3]!r:.200}")
    return found


def _map_of(index: Path) -> dict[str, str]:
    try:
        return weight_map(index.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{index}, unreadable: {error}",
            expected='a JSON object whose "weight_map" names a shard for every tensor',
            mend="Fetch the revision again.",
        ) from error


def _check_index(index: Path, found: dict[str, str]):
    expected = _map_of(index)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{name!r} in {found.get(name, 'no shard')}",
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


def blob_name(path: Path) -> str:
    """The sha256 that a file should have: the Hugging Face cache and our store name a large one by
    it, and link there.

    "" for a file that bears no such name.
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
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if blob_name(path) not in ("", found):
        raise InputError(
            f"{path.resolve()} with sha256 {found}",
            expected="the one that it is named by",
            mend="The file was damaged on this disk, or came so; delete it and fetch the revision again.",
        )
    return found
