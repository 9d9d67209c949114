"""Params as a checkpoint folder in the hub's layout."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import safetensors.numpy
from jaxtyping import Array, Float, PyTree

from dynamics import models
from dynamics.checkpoints import config_json
from dynamics.checkpoints.convert import from_params
from dynamics.checkpoints.formats import SINGLE
from dynamics.errors import InputError
from dynamics.files import write_folder_atomically


def save(
    folder: str | Path,
    config: models.Config,
    params: PyTree[Float[Array | np.ndarray, "..."]],
    tokenizer: Path | None = None,
) -> Path:
    """Writes a checkpoint that `load` and transformers read, and returns its folder.

    The folder appears whole or not at all. Leaves keep their dtype; load(save(x)) is bit-equal for
    float32.

    Args:
        folder: where to write, new or to be replaced: model.safetensors and config.json.
        config: the model's.
        params: the params of that config, on host or device.
        tokenizer: a tokenizer.json to copy into the folder.

    Raises:
        InputError: the params are not the config's, a file stands where the folder should, or it
            cannot be written. An older folder then stays as it was.

    Example:
        >>> import tempfile, jax
        >>> from dynamics import checkpoints, models
        >>> config = models.gpt_neox.Config(
        ...     hidden_size=16, num_layers=2, num_heads=2, intermediate_size=32, vocab_size=11,
        ...     max_positions=16)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> folder = checkpoints.save(tempfile.mkdtemp() + "/step0", config, params)
        >>> sorted(path.name for path in folder.iterdir())
        ['config.json', 'model.safetensors']
    """
    tensors = from_params(config, params)
    fields = json.dumps(config_json.to_hub(config), indent=2) + "\n"
    vocabulary = None if tokenizer is None else Path(tokenizer).read_bytes()

    def fill(empty: Path):
        (empty / "config.json").write_text(fields)
        try:
            safetensors.numpy.save_file(tensors, empty / SINGLE, metadata={"format": "pt"})
        except safetensors.SafetensorError as error:
            raise InputError(
                f"{folder}, whose weights cannot be written ({error})",
                expected="a writable folder with room",
            ) from error
        # safetensors makes the file readable to its owner alone; whoever may read the config may
        # read the weights. Some file systems have one mode for all files, and refuse any other.
        with contextlib.suppress(OSError):
            shutil.copymode(empty / "config.json", empty / SINGLE)
        if vocabulary is not None:
            (empty / "tokenizer.json").write_bytes(vocabulary)

    return write_folder_atomically(folder, fill)
