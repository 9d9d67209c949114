"""Checkpoint folders and hub revisions to params, and back.

`load` and `save` are the two directions. `formats` reads weight files tensor by tensor, `hub` gets
them, `layouts` says which tensor of an architecture goes where, `convert` rearranges, and `audit`
asks whether published checkpoints are what they claim to be.
"""

from dynamics.checkpoints.convert import from_params, to_params
from dynamics.checkpoints.loading import Checkpoint, config, find, load
from dynamics.checkpoints.saving import save

__all__ = ["Checkpoint", "config", "find", "from_params", "load", "save", "to_params"]
