"""What lies at a checkpoint's place: digests of its files, without a look at any weight."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_WEIGHTS = re.compile(r"(model|pytorch_model)(-\d{5}-of-(\d{5}))?\.(safetensors|bin)")
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
# What of config.json does not change the function that the weights compute.
_INCIDENTAL = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}


class Inventory(NamedTuple):
    """Digests of a checkpoint's files."""

    weights: dict[str, str]  # weight file -> sha256
    absent: tuple[str, ...]  # weight files that the others' names or the index ask for
    config: str  # digest of what config.json says of the architecture; "" without one
    tokenizer: str  # digest of tokenizer.json; "" without one


def of_listing(files: dict, read_config: Callable[[str], bytes]) -> Inventory:
    """The inventory of a hub revision.

    Args:
        files: name -> anything with `sha256` (or None) and `blob_id`, as the hub lists them.
        read_config: blob id of a config.json -> its bytes; asked once for each distinct blob.
    """
    digests = {name: file.sha256 or f"blob:{file.blob_id}" for name, file in files.items()}
    config = config_digest(read_config(files[CONFIG].blob_id)) if CONFIG in files else ""
    weights = _preferred(digests)
    return Inventory(weights, _absent(weights), config, digests.get(TOKENIZER, ""))


def of_folder(folder: Path) -> Inventory | None:
    """The inventory of a local folder, every weight file hashed; None where there is no such folder."""
    if not folder.is_dir():
        return None
    names = [path.name for path in folder.iterdir() if _WEIGHTS.fullmatch(path.name)]
    weights = {name: _sha256(folder / name) for name in _preferred(dict.fromkeys(names, ""))}
    config, tokenizer = folder / CONFIG, folder / TOKENIZER
    return Inventory(
        weights,
        _absent(weights),
        config_digest(config.read_bytes()) if config.is_file() else "",
        _sha256(tokenizer) if tokenizer.is_file() else "",
    )


def config_digest(content: bytes) -> str:
    """A digest of the architecture that config.json describes; of the bytes where it is no JSON object."""
    try:
        fields = json.loads(content)
        kept = {name: value for name, value in fields.items() if name not in _INCIDENTAL}
    except (ValueError, AttributeError, RecursionError):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _preferred(digests: dict[str, str]) -> dict[str, str]:
    """The weight files that a loader takes: safetensors before torch's, as `tensor_file` chooses."""
    for kind in (".safetensors", ".bin"):
        found = {name: d for name, d in digests.items() if _WEIGHTS.fullmatch(name) and name.endswith(kind)}
        if found:
            return found
    return {}


def _absent(weights: dict[str, str]) -> tuple[str, ...]:
    wanted = set()
    for name in weights:
        match = _WEIGHTS.fullmatch(name)
        if match and match[3]:
            count, stem, kind = match[3], match[1], match[4]
            wanted |= {f"{stem}-{k:05d}-of-{count}.{kind}" for k in range(1, int(count) + 1)}
    return tuple(sorted(wanted - weights.keys()))


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
