"""The files that hold a checkpoint's weights: a single file, or shards listed by an index."""

import json
import re
from collections.abc import Collection

from dynamics.errors import printable

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TORCH_SINGLE, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# The first of these that is there is read, as transformers does (modeling_utils of its version 5,
# _get_resolved_checkpoint_files): a single file goes before an index, safetensors before torch.
WEIGHTS = (SINGLE, INDEX, TORCH_SINGLE, TORCH_INDEX)
MOST_INDEX = 1 << 26  # bytes; an index of 100,000 tensors has 10 MB
# A shard lies beside its index: a path in its place would have another file read.
_SHARD = re.compile(r"[^/\\]{1,200}\.(safetensors|bin)")


def weights_of(names: Collection[str]) -> tuple[str | None, str | None]:
    """Of a folder's files: the one that is read, and another save of its format beside it.

    Either is None where there is none. The same weights in the other format, as most repositories
    of the hub have them, are no other save.

    Example:
        >>> weights_of({"model.safetensors", "model.safetensors.index.json", "config.json"})
        ('model.safetensors', 'model.safetensors.index.json')
        >>> weights_of({"model.safetensors.index.json", "pytorch_model.bin"})
        ('model.safetensors.index.json', None)
    """
    present = [name for name in WEIGHTS if name in names]
    if not present:
        return None, None
    format_of = (SINGLE, INDEX) if present[0] in (SINGLE, INDEX) else (TORCH_SINGLE, TORCH_INDEX)
    others = [name for name in present[1:] if name in format_of]
    return present[0], others[0] if others else None


def two_saves(where: str, weights: str, other_save: str) -> str:
    """The sentence that says which of two saves is read."""
    return printable(
        f"{where} holds two saves: {weights} is read, as by transformers, {other_save} is not"
    )


def is_index(name: str) -> bool:
    """Is this the name of an index rather than of a weight file?"""
    return name.endswith(".index.json")


def weight_map(index: bytes) -> dict[str, str]:
    """Tensor name -> shard, from the bytes of an index. Raises ValueError for any other content.

    Example:
        >>> weight_map(b'{"weight_map": {"embed_in.weight": "model-00001-of-00002.safetensors"}}')
        {'embed_in.weight': 'model-00001-of-00002.safetensors'}
    """
    try:
        shard_of = json.loads(index)["weight_map"]
        shards = list(shard_of.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{error!r:.200}") from error
    if not shards or not all(isinstance(shard, str) and _is_shard(shard) for shard in shards):
        raise ValueError(f"shards {sorted(map(str, shards))[:3]!r:.200}")
    return shard_of


def _is_shard(name: str) -> bool:
    # No control characters, no lone surrogates, and no longer than a name on disk.
    return bool(_SHARD.fullmatch(name)) and name.isprintable() and len(name.encode()) <= 240
