"""A checkpoint as named tensors that are read one at a time, on this machine or by byte range.

`load` makes a model of a checkpoint; this is for what looks at single tensors, at a cost of those
alone. A tensor has one name in all files of an architecture: that of the layout, without the prefix
of the whole model and without ".weight". So "embed_out" is "embed_out.weight" in old files and
"lm_head.weight" in new ones, and an encoder that was saved alone names its layers as the whole
model does.
"""

import dataclasses
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Shaped

from dynamics import models
from dynamics.checkpoints import config_json, digests, hub, layouts, loading, tensor_names
from dynamics.checkpoints.formats import INTEGERS, TensorFolder, two_saves
from dynamics.errors import InputError

__all__ = ["StoredTensors", "open_tensors"]


class Reader(Protocol):
    """What gives a tensor by the name that it has in its file."""

    def names(self) -> set[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str) -> Shaped[np.ndarray, "..."]: ...


@dataclasses.dataclass(frozen=True, eq=False)
class StoredTensors:
    """The tensors of one checkpoint; none is read before it is asked for.

    Attributes:
        config: of the model.
        files_name: name -> the name in the file, in the order in which a token meets them, the
            unembedding before all. Buffers, which are no weights, are left out.
        unembedding: the name of the matrix whose row for each token gives its logit; None where
            there is no head. Where it is tied to the embedding it has that name.
        reader: of the file, or of the revision on the hub.
        folder: on this machine; None where tensors are read by byte range.
        origin: where the checkpoint comes from, for a result's provenance.
    """

    config: models.Config
    files_name: Mapping[str, str]
    unembedding: str | None
    reader: Reader
    folder: Path | None
    origin: Mapping[str, Any]

    @property
    def tied(self) -> bool:
        """Is the unembedding the embedding too?"""
        layout = layouts.of_config(self.config)
        return layout.UNEMBEDDING[0] not in layout.HEAD

    def shape(self, name: str) -> tuple[int, ...]:
        """Of the stored array; nothing but the file's header is read."""
        return self.reader.shape(self.files_name[name])

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """The tensor as stored, bfloat16 included (ml_dtypes); it may be read-only.

        Raises InputError for numbers that are no floats.
        """
        tensor = self.reader.read(self.files_name[name])
        if tensor.dtype.kind in INTEGERS:
            raise InputError(
                f"{self.files_name[name]} of {tensor.dtype} numbers in {self.origin['source']}",
                expected="floating-point weights",
                mend="A quantised model must be saved with its weights restored.",
            )
        return tensor

    def matching(self, pattern: str = "") -> list[str]:
        """Names of the tensors that a regular expression matches anywhere, here or in the file.

        The empty pattern is every weight matrix. Raises InputError for a pattern that matches none,
        with near names, and for one that is no regular expression.
        """
        if not pattern:
            return [name for name in self.files_name if len(self.shape(name)) > 1]
        return tensor_names.matching(self.files_name, pattern)

    def provenance(self, tensor_sha256: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The origin with the sha256 of every weight file, which are read for it.

        With `tensor_sha256`, the digests of the tensors that were read by their names, the origin
        with those instead.
        """
        if tensor_sha256 is not None:
            by_files_name = {self.files_name[name]: d for name, d in tensor_sha256.items()}
            return {**self.origin, "tensor_sha256": by_files_name}
        if self.folder is None:
            return dict(self.origin)
        names = [path.name for path in TensorFolder(self.folder).files]
        return {**self.origin, "sha256": digests.at_hand(self.folder, None, names)}


def open_tensors(
    source: str | Path, revision: str | None = None, *, weights: str | Path | None = None
) -> StoredTensors:
    """Opens a folder in the hub's layout, or a hub id at a revision, reading headers alone.

    What is on this machine is read there; of another revision each tensor is a request for its
    bytes, and nothing is stored. The arguments are those of `load`.

    Raises:
        InputError: no checkpoint there; a damaged file; a hub that does not answer.

    Example:
        >>> import tempfile, jax
        >>> from dynamics import checkpoints, models
        >>> config = models.gpt_neox.Config(
        ...     hidden_size=16, num_layers=2, num_heads=2, intermediate_size=32, vocab_size=11,
        ...     max_positions=16)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> folder = checkpoints.save(tempfile.mkdtemp() + "/step0", config, params)
        >>> stored = open_tensors(folder)
        >>> stored.matching("embed_out|attention.dense$")
        ['embed_out', 'layers.0.attention.dense', 'layers.1.attention.dense']
        >>> stored.unembedding, stored.read("embed_out").shape
        ('embed_out', (11, 16))
    """
    if revision is None or os.path.isdir(source):
        folder = loading.find(source, revision, weights=weights)
    else:
        folder = hub.find_local(str(source), revision, weights)
    if folder is not None:
        config, reader = config_json.read(folder), TensorFolder(folder)
    else:
        config = loading.config(source, revision, weights=weights)
        reader = hub.RemoteFolder(str(source), str(revision))
    files_name, unembedding = _names(config, reader.names())
    origin = {"source": str(source), "revision": revision or "", "folder": str(folder or "")}
    if isinstance(reader, TensorFolder) and reader.other_save:
        origin["not_read"] = reader.other_save
        said = two_saves(str(folder), reader.weights, reader.other_save)
        warnings.warn(said, stacklevel=2)
    if not files_name:
        raise InputError(
            f"{folder or source} without a tensor of a {layouts.of_config(config).NAME}",
            expected="weights of the model that config.json describes",
        )
    return StoredTensors(config, files_name, unembedding, reader, folder, origin)


def _names(config: models.Config, names: set[str]) -> tuple[dict[str, str], str | None]:
    """name -> the name in the file, and which is the unembedding."""
    layout = layouts.of_config(config)
    remaining = {name for name in names if not layout.SKIPPED.fullmatch(name)}
    by_name: dict[str, str] = {}
    unembedding, head = None, False
    for rule in layout.rules(config):
        tied = {alias for name in rule.tied for alias in (name, name.removeprefix(layout.PREFIX))}
        for layer in range(config.num_layers if rule.stacked else 1):
            aliases = [
                alias.format(layer=layer)
                for name in (rule.hub_name, *rule.others, *rule.tied)
                for alias in (name, name.removeprefix(layout.PREFIX))
            ]
            present = [alias for alias in aliases if alias in remaining]
            if present:
                by_name[_short(rule.hub_name.format(layer=layer), layout.PREFIX)] = present[0]
                head = head or rule.path[0] in layout.HEAD
        remaining -= {alias for alias in tied if alias in remaining}
        if rule.path == layout.UNEMBEDDING:
            unembedding = _short(rule.hub_name, layout.PREFIX)
    others = {name for name in remaining if name not in by_name.values()}
    by_name |= {_short(name, layout.PREFIX): name for name in sorted(others)}
    if not head or unembedding not in by_name:
        return by_name, None
    return {unembedding: by_name[unembedding], **by_name}, unembedding


def _short(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).removesuffix(".weight")
