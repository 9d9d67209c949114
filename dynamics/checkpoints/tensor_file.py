"""One tensor at a time out of a folder of safetensors, single or sharded."""

import hashlib
import json
from pathlib import Path

import numpy as np
import safetensors

from dynamics.errors import InputError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class TensorFolder:
    """Named tensors of a checkpoint folder, memory-mapped; nothing is read before `read`.

    Raises InputError for a folder without weights, and for a shard that is missing, truncated or no safetensors file.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.files = _weight_files(self.folder)
        self._handles = {path: _open(path) for path in self.files}
        self._where = {name: path for path, handle in self._handles.items() for name in handle.keys()}  # noqa: SIM118

    def names(self) -> set[str]:
        return set(self._where)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._handle(name).get_slice(name).get_shape())

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored, bfloat16 included (ml_dtypes)."""
        return self._handle(name).get_tensor(name)

    def sha256(self) -> dict[str, str]:
        """sha256 of every weight file: what a result's provenance names."""
        return {path.name: _sha256(path) for path in self.files}

    def _handle(self, name: str):
        if name not in self._where:
            raise InputError(f"{self.folder} without the tensor {name!r}", expected="a complete checkpoint")
        return self._handles[self._where[name]]


def _weight_files(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        shards = _shards(folder / INDEX)
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing:
            raise InputError(
                f"{folder} with {len(missing)} of {len(shards)} shards missing ({', '.join(missing)})",
                expected=f"every shard that {INDEX} names",
                mend="Fetch the revision again.",
            )
        return [folder / shard for shard in shards]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if any(folder.glob("pytorch_model*.bin")):
        raise InputError(
            f"{folder} with torch .bin files only",
            expected=f"{SINGLE} or {INDEX}",
            mend="Convert it: transformers' AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder).",
        )
    raise InputError(f"{folder} without weights", expected=f"{SINGLE} or {INDEX}", mend="Is it a checkpoint folder?")


def _shards(index: Path) -> list[str]:
    try:
        shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        if not shards or not all(isinstance(shard, str) for shard in shards):
            raise ValueError(f"shards {shards}")
        return shards
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{index}, unreadable: {error!r}",
            expected='a JSON object whose "weight_map" names a shard for every tensor',
            mend="Fetch the revision again.",
        ) from error


def _open(path: Path):
    try:
        return safetensors.safe_open(path, framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes), unreadable: {error}",
            expected="a whole safetensors file",
            mend="It was probably cut off while it was copied; fetch it again.",
        ) from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
