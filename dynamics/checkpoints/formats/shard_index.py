"""The files that hold a checkpoint's weights: a single file, or shards listed by an index."""

import json
import re

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
TORCH_SINGLE, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# The first of these that a hub revision has is the one that is read.
WEIGHTS = (INDEX, SINGLE, TORCH_INDEX, TORCH_SINGLE)
# A shard lies beside its index: a path in its place would have another file read.
_SHARD = re.compile(r"[^/\\\0]{1,200}\.(safetensors|bin)")


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
    if not shards or not all(
        isinstance(shard, str) and _SHARD.fullmatch(shard) for shard in shards
    ):
        raise ValueError(f"shards {sorted(map(str, shards))[:3]!r:.200}")
    return shard_of
