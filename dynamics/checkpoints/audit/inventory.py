"""What lies at a checkpoint's place: digests of its files, without a look at any weight."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from dynamics.checkpoints import hub, tensor_file

_WEIGHTS = re.compile(r"(model|pytorch_model)(-\d{5}-of-\d{5})?\.(safetensors|bin)")
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
# What of config.json does not change the function that the weights compute.
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


def of_listing(files: dict, read: Callable[[str, str], bytes]) -> Inventory:
    """The inventory of a hub revision.

    Args:
        files: name -> anything with `sha256` (or None) and `blob_id`, as the hub lists them.
        read: (name, blob id) of a config.json or an index -> its bytes; asked for those that are
            needed.
    """
    digests = {name: file.sha256 or _blob(file.blob_id) for name, file in files.items()}
    wanted = _wanted(digests, lambda name: read(name, files[name].blob_id))
    config = config_digest(read(CONFIG, files[CONFIG].blob_id)) if CONFIG in files else ""
    return _inventory(
        wanted, digests.__getitem__, digests.keys(), config, digests.get(TOKENIZER, ""), ""
    )


def of_folder(folder: Path) -> Inventory | None:
    """The inventory of a local folder, every weight file hashed; None where there is no such
    folder.

    A file that a store names by its sha256 is taken at its name, which loading it verifies.
    """
    if not folder.is_dir():
        return None
    names = {path.name for path in folder.iterdir() if path.is_file()}
    wanted = _wanted(names, lambda name: (folder / name).read_bytes())
    config, tokenizer, blob = (folder / CONFIG), "", ""
    if TOKENIZER in names:
        content = (folder / TOKENIZER).read_bytes()
        tokenizer = hashlib.sha256(content).hexdigest()
        blob = _blob(
            hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        )
    told = config_digest(config.read_bytes()) if CONFIG in names else ""
    return _inventory(wanted, lambda name: _sha256(folder / name), names, told, tokenizer, blob)


def _inventory(
    wanted: Iterable[str], digest: Callable[[str], str], names: Collection[str], *rest: str
) -> Inventory:
    weights = {name: digest(name) for name in sorted(wanted) if name in names}
    return Inventory(weights, tuple(sorted(set(wanted) - weights.keys())), *rest)


def config_digest(content: bytes) -> str:
    """A digest of the architecture that config.json describes; of the bytes where it is no JSON
    object."""
    try:
        fields = json.loads(content)
        kept = {name: value for name, value in fields.items() if name not in _INCIDENTAL}
    except (ValueError, AttributeError, RecursionError):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _wanted(names: Collection[str], read: Callable[[str], bytes]) -> set[str]:
    """The weight files that a loader takes, present or not: the first kind that is there, in
    `hub.WEIGHTS`' order."""
    head = next((name for name in hub.WEIGHTS if name in names), None)
    if head is not None and not hub.is_index(head):
        return {head}
    if head is not None:
        try:
            return set(tensor_file.weight_map(read(head)).values())
        except ValueError:
            return {name for name in names if _WEIGHTS.fullmatch(name)} | {
                f"{head} that can be read"
            }
    shards = {name for name in names if _WEIGHTS.fullmatch(name)}
    index = (
        tensor_file.INDEX
        if any(name.endswith(".safetensors") for name in shards)
        else tensor_file.TORCH_INDEX
    )
    return shards | {index} if shards else set()


def _blob(sha1: str) -> str:
    return f"blob:{sha1}"


def _sha256(path: Path) -> str:
    if named := tensor_file.blob_name(path):
        return named
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
