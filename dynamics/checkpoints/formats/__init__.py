"""Weight files, one tensor at a time: safetensors, and torch's zip of a pickle without torch.

A file is anything that gives bytes at offsets (`ByteSource`), on this machine or elsewhere, so this
package knows no network. `open_tensors` opens one file of either format; `TensorFolder` opens a
checkpoint folder, single or sharded.
"""

from dynamics.checkpoints.formats.byte_source import ByteSource, LocalBytes
from dynamics.checkpoints.formats.safetensors_file import SafetensorsFile
from dynamics.checkpoints.formats.shard_index import (
    INDEX,
    MOST_INDEX,
    SINGLE,
    TORCH_INDEX,
    TORCH_SINGLE,
    WEIGHTS,
    is_index,
    two_saves,
    weight_map,
    weights_of,
)
from dynamics.checkpoints.formats.tensor_file import INTEGERS, TensorFile, open_tensors
from dynamics.checkpoints.formats.tensor_folder import TensorFolder, blob_name
from dynamics.checkpoints.formats.torch_file import TorchFile

__all__ = [
    "INDEX",
    "INTEGERS",
    "MOST_INDEX",
    "SINGLE",
    "TORCH_INDEX",
    "TORCH_SINGLE",
    "WEIGHTS",
    "ByteSource",
    "LocalBytes",
    "SafetensorsFile",
    "TensorFile",
    "TensorFolder",
    "TorchFile",
    "blob_name",
    "is_index",
    "open_tensors",
    "two_saves",
    "weight_map",
    "weights_of",
]
