"""Checkpoint folders and hub revisions to params, and back."""

import dataclasses
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from dynamics import models
from dynamics.checkpoints import convert, fetch, hub, hub_config, tensor_file
from dynamics.errors import InputError


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A loaded model: what it is, its numbers, and where they came from."""

    config: models.Config
    params: Any  # nested dict of NumPy arrays, layers stacked
    provenance: dict[str, Any]  # source, revision, folder, sha256 of each weight file


def load(
    source: str | Path, revision: str | None = None, *, weights=None, dtype=np.float32
) -> Checkpoint:
    """Loads a folder in the hub's layout, or a hub id such as "EleutherAI/pythia-14m" at a
    revision.

    Args:
        source: a folder, or a hub id; the files of the latter are downloaded unless they are on
            this machine (`checkpoints.fetch`).
        revision: for a hub id, e.g. "step512".
        weights: a folder tree REPO/REVISION to look in before the Hugging Face cache.
        dtype: of every leaf, whatever the files hold (float16 and bfloat16 are widened to float32
            by default).

    Raises:
        InputError: no checkpoint there; a truncated file; a missing, unknown, misshapen or
            non-finite tensor.
    """
    folder = find(source, revision, weights=weights)
    config = hub_config.read(folder)
    tensors = tensor_file.TensorFolder(folder)
    with ThreadPoolExecutor(1) as beside:  # hashing takes a core, and half as long as the cast
        digests = beside.submit(tensors.sha256)
        params = convert.to_params(config, tensors, dtype)
        provenance = {"source": str(source), "revision": revision or "", "folder": str(folder)}
        return Checkpoint(config, params, {**provenance, "sha256": digests.result()})


def config(source: str | Path, revision: str | None = None, *, weights=None) -> models.Config:
    """The configuration alone of what `load` would give; of a revision that is not here yet, one
    small file. Raises InputError."""
    found = (
        Path(source)
        if Path(source).is_dir() or revision is None
        else fetch.local(str(source), revision, weights)
    )
    if found is not None:
        return hub_config.read(found)
    commit = hub.listing(str(source), revision or "main").commit
    return hub_config.parse(
        hub.content(str(source), commit, hub.CONFIG), f"{hub.CONFIG} of {source} at {revision}"
    )


def find(source: str | Path, revision: str | None = None, *, weights=None) -> Path:
    """The folder that `load` would read. Raises InputError if there is none."""
    if Path(source).is_dir():
        return Path(source)
    if Path(source).is_absolute() or str(source).count("/") != 1 or str(source).startswith("."):
        raise InputError(
            f"{source}, which is no folder",
            expected="a checkpoint folder, or a hub id like owner/name",
        )
    return fetch.fetch(str(source), revision, weights)


def save(folder: str | Path, config: models.Config, params, tokenizer: Path | None = None) -> Path:
    """Writes model.safetensors and config.json (and a copy of `tokenizer`, a tokenizer.json) in the
    hub's layout.

    The folder appears whole or not at all: files are written beside it and renamed into place.
    Leaves keep their dtype; load(save(x)) is bit-equal for float32. transformers reads the result.
    Returns the folder. Raises InputError if the params are not the config's, or if a file stands
    where the folder should.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{folder}, which is a file", expected="a folder to write, new or to be replaced"
        )
    partial = _beside(folder, "partial")
    tensors = convert.from_params(config, params)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        safetensors.numpy.save_file(
            tensors, partial / tensor_file.SINGLE, metadata={"format": "pt"}
        )
        (partial / "config.json").write_text(json.dumps(hub_config.to_hub(config), indent=2) + "\n")
        # safetensors writes for the owner's eyes alone; whoever may read the config may read the
        # weights.
        shutil.copymode(partial / "config.json", partial / tensor_file.SINGLE)
        if tokenizer is not None:
            shutil.copyfile(tokenizer, partial / "tokenizer.json")
        _put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _beside(folder: Path, role: str) -> Path:
    return folder.with_name(f".{folder.name}.{os.getpid()}.{role}")


def _put_in_place(partial: Path, folder: Path):
    # A rename cannot replace a folder that is not empty, so the old one steps aside, and back if
    # the rename fails.
    if not folder.exists():
        partial.rename(folder)
        return
    aside = _beside(folder, "replaced")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    try:
        partial.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside)
