"""A checkpoint folder or a hub revision as params."""

import dataclasses
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, PyTree
from numpy.typing import DTypeLike

from dynamics import models
from dynamics.checkpoints import config_json, hub
from dynamics.checkpoints.convert import to_params
from dynamics.checkpoints.formats import TensorFolder, two_saves
from dynamics.errors import InputError


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A loaded model: what it is, its numbers, and where they come from."""

    config: models.Config
    params: PyTree[Float[np.ndarray, "..."]]  # a nested dict, layers stacked on the first axis
    # source, revision, folder, sha256 of each weight file; not_read, where another save lies there;
    # head, where there is none (`models.has_head`)
    provenance: dict[str, Any]


def load(
    source: str | Path,
    revision: str | None = None,
    *,
    weights: str | Path | None = None,
    dtype: DTypeLike = np.float32,
) -> Checkpoint:
    """Loads a folder in the hub's layout, or a hub id at a revision.

    Args:
        source: a folder, or a hub id such as "EleutherAI/pythia-14m". A hub id's files are
            downloaded unless they are on this machine (`hub.fetch`).
        revision: for a hub id, e.g. "step512".
        weights: a folder tree REPO/REVISION to look in before the Hugging Face cache.
        dtype: of every leaf, whatever the files hold. The default widens float16 and bfloat16
            exactly.

    Raises:
        InputError: no checkpoint there; a truncated file; a missing, unknown, misshapen or
            non-finite tensor, or one of integers.

    Warns where the folder holds another save of the same format, which transformers would not read
    either.

    Example:
        >>> import tempfile, jax
        >>> from dynamics import checkpoints, models
        >>> config = models.gpt_neox.Config(
        ...     hidden_size=16, num_layers=2, num_heads=2, intermediate_size=32, vocab_size=11,
        ...     max_positions=16)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> folder = checkpoints.save(tempfile.mkdtemp() + "/step0", config, params)
        >>> checkpoint = checkpoints.load(folder)
        >>> checkpoint.params["layers"]["mlp"]["up"]["kernel"].shape
        (2, 16, 32)
        >>> pythia = checkpoints.load("EleutherAI/pythia-14m", "step512")  # doctest: +SKIP
    """
    folder = find(source, revision, weights=weights)
    config = config_json.read(folder)
    tensors = TensorFolder(folder)
    provenance = {"source": str(source), "revision": revision or "", "folder": str(folder)}
    if tensors.other_save:
        provenance["not_read"] = tensors.other_save
        warnings.warn(two_saves(str(folder), tensors.weights, tensors.other_save), stacklevel=2)
    with ThreadPoolExecutor(1) as pool:  # hashing takes a core, and half as long as the cast
        digests = pool.submit(tensors.sha256)
        params = to_params(config, tensors, dtype)
        if not models.has_head(params):
            provenance["head"] = "none: an encoder that was saved alone"
        return Checkpoint(config, params, {**provenance, "sha256": digests.result()})


def config(
    source: str | Path, revision: str | None = None, *, weights: str | Path | None = None
) -> models.Config:
    """The configuration alone of what `load` would return.

    Of a revision that is not on this machine, only the configuration is fetched. Raises InputError
    as `load` does.
    """
    folder = (
        Path(source)
        if os.path.isdir(source) or revision is None
        else hub.find_local(str(source), revision, weights)
    )
    if folder is not None:
        return config_json.read(folder)
    commit = hub.list_files(str(source), revision or "main").commit
    content = hub.read_file(str(source), commit, hub.CONFIG)
    return config_json.parse(content, f"{hub.CONFIG} of {source} at {revision}")


def find(
    source: str | Path, revision: str | None = None, *, weights: str | Path | None = None
) -> Path:
    """The folder that `load` would read, downloaded if need be. Raises InputError without."""
    if os.path.isdir(source):  # unlike Path's, False for a name that no file can have
        return Path(source)
    if Path(source).is_absolute() or str(source).count("/") != 1 or str(source).startswith("."):
        raise InputError(
            f"{source}, which is no folder",
            expected="a checkpoint folder, or a hub id like owner/name",
        )
    return hub.fetch(str(source), revision, weights)
