"""Checkpoint folders and hub revisions to params, and back.

`load` and `save` are the two directions; `open_tensors` reads single tensors. `formats` reads
weight files tensor by tensor, `hub` gets them, `layouts` says which tensor of an architecture goes
where, `convert` rearranges, and `audit` asks whether published checkpoints are what they claim to
be.
"""

from dynamics.checkpoints.convert import from_params, to_params
from dynamics.checkpoints.loading import Checkpoint, config, find, load
from dynamics.checkpoints.saving import save
from dynamics.checkpoints.stored import StoredTensors, open_tensors

__all__ = [
    "Checkpoint",
    "StoredTensors",
    "config",
    "find",
    "from_params",
    "load",
    "open_tensors",
    "save",
    "to_params",
]
