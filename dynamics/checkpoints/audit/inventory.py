"""The files of a checkpoint by their digests; no weight is looked at."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from dynamics import inputs
from dynamics.checkpoints.formats import (
    INDEX,
    TORCH_INDEX,
    blob_name,
    is_index,
    weight_map,
    weights_of,
)

_WEIGHT_FILE = re.compile(r"(model|pytorch_model)(-\d{5}-of-\d{5})?\.(safetensors|bin)")
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
_MOST_BYTES = 1 << 28  # of a file that is read into memory
# Fields of config.json that do not change the function that the weights compute.
_INCIDENTAL = {
    "_name_or_path",
    "architectures",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}


class Inventory(NamedTuple):
    """Digests of a checkpoint's files."""

    weights: dict[str, str]  # weight file -> sha256
    absent: tuple[str, ...]  # weight files that the index asks for, or the index
    config: str  # digest of what config.json says of the architecture; "" without one
    tokenizer: str  # digest of tokenizer.json; "" without one
    tokenizer_blob: str = ""  # git's digest of the same, where both are known: the hub lists either
    read: str = ""  # the weight file or index that is read; "" without one
    other_save: str = ""  # one of the same format that lies there too, and is not read


def of_listing(files: dict, read: Callable[[str, str], bytes]) -> Inventory:
    """The inventory of a hub revision.

    Args:
        files: name -> anything with `sha256` (or None) and `blob_id`, as the hub lists them.
        read: (name, blob id) of a config.json or an index -> its bytes; asked for those that are
            needed.
    """
    digests = {name: file.sha256 or _blob(file.blob_id) for name, file in files.items()}
    wanted = _wanted(digests, lambda name: read(name, files[name].blob_id))
    weights, absent = _weights(wanted, digests, digests.__getitem__)
    config = config_digest(read(CONFIG, files[CONFIG].blob_id)) if CONFIG in files else ""
    tokenizer = digests.get(TOKENIZER, "")
    return Inventory(weights, absent, config, tokenizer, "", *_saves(files))


def of_folder(folder: Path) -> Inventory | None:
    """The inventory of a local folder, every weight file hashed; None if there is no such folder.

    A file that a store names by its sha256 is not hashed: loading it verifies the name.
    """
    if not folder.is_dir():
        return None
    names = {path.name for path in folder.iterdir() if path.is_file()}
    wanted = _wanted(names, lambda name: _content(folder / name))
    weights, absent = _weights(wanted, names, lambda name: _sha256(folder / name))
    tokenizer, blob = "", ""
    if TOKENIZER in names:
        content = _content(folder / TOKENIZER)
        tokenizer = hashlib.sha256(content).hexdigest()
        blob = _blob(
            hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        )
    config = config_digest(_content(folder / CONFIG)) if CONFIG in names else ""
    return Inventory(weights, absent, config, tokenizer, blob, *_saves(names))


def _content(path: Path) -> bytes:
    return inputs.read_bytes(path, _MOST_BYTES, "a configuration, an index or a tokenizer")


def _weights(
    wanted: Iterable[str], names: Collection[str], digest: Callable[[str], str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """(wanted file -> digest, those that are absent)."""
    weights = {name: digest(name) for name in sorted(wanted) if name in names}
    return weights, tuple(sorted(set(wanted) - weights.keys()))


def _saves(names: Collection[str]) -> tuple[str, str]:
    weights, other_save = weights_of(names)
    return weights or "", other_save or ""


def config_digest(content: bytes) -> str:
    """A digest of the architecture in config.json; of its bytes where it is no JSON object."""
    try:
        fields = json.loads(content)
        architecture = {name: value for name, value in fields.items() if name not in _INCIDENTAL}
    except (ValueError, AttributeError, RecursionError):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha256(json.dumps(architecture, sort_keys=True).encode()).hexdigest()


def _wanted(names: Collection[str], read: Callable[[str], bytes]) -> set[str]:
    """The weight files that a loader takes, present or not."""
    shards = {name for name in names if _WEIGHT_FILE.fullmatch(name)}
    first, _ = weights_of(names)
    if first is not None and not is_index(first):
        return {first}
    if first is not None:
        try:
            return set(weight_map(read(first)).values())
        except ValueError:
            return shards | {f"{first} that can be read"}
    index = INDEX if any(name.endswith(".safetensors") for name in shards) else TORCH_INDEX
    return shards | {index} if shards else set()


def _blob(sha1: str) -> str:
    return f"blob:{sha1}"


def _sha256(path: Path) -> str:
    if named := blob_name(path):
        return named
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
