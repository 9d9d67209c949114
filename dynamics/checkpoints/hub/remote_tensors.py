"""Tensors of a checkpoint that stays on the hub: each costs its own bytes and its file's header."""

import numpy as np
from jaxtyping import Shaped

from dynamics.checkpoints.formats import TensorFile, is_index, open_tensors
from dynamics.checkpoints.hub.client import asking, file_url
from dynamics.checkpoints.hub.revisions import list_files, read_file
from dynamics.checkpoints.hub.transfer import Client
from dynamics.errors import InputError


class RemoteBytes:
    """A remote file as a `formats.ByteSource`: a read is one request for its range."""

    def __init__(self, client: Client, url: str, size: int, name: str):
        self.name, self.size = name, size
        self._client, self._url = client, url

    def read(self, start: int, stop: int) -> memoryview:
        return memoryview(self._client.read_range(self._url, start, stop, self.size))


class RemoteFolder:
    """Named tensors of a revision on the hub, with the methods of `formats.TensorFolder`.

    A tensor costs its shard's header, once, and its own bytes. Raises InputError as `list_files`
    does, and for a revision without weights or with a damaged file.
    """

    def __init__(self, repo: str, revision: str = "main"):
        self._listing = list_files(repo, revision)
        self._single = self._listing.weights()
        self._shards: dict[str, str] = {}  # without an index, the single file holds every name
        if is_index(self._single):
            index = read_file(repo, self._listing.commit, self._single)
            self._shards = self._listing.shards(index)
        self._opened: dict[str, TensorFile] = {}

    def names(self) -> set[str]:
        return set(self._shards) or self._open(self._single).names()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._holder(name).shape(name)

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """The tensor as stored, bfloat16 included (ml_dtypes)."""
        with asking(self._listing.repo, self._listing.revision):
            return self._holder(name).read(name)

    def _holder(self, name: str) -> TensorFile:
        if self._shards and name not in self._shards:
            raise InputError.unknown(f"tensor of {self._listing.repo}", name, sorted(self._shards))
        return self._open(self._shards.get(name, self._single))

    def _open(self, shard: str) -> TensorFile:
        if shard not in self._opened:
            file = self._listing.file(shard)
            where = f"{shard} of {self._listing.repo} at revision {self._listing.revision}"
            with asking(self._listing.repo, self._listing.revision) as http:
                source = RemoteBytes(http, file_url(self._listing, shard), file.size, where)
                self._opened[shard] = open_tensors(source)
        return self._opened[shard]


def remote_tensor(repo: str, revision: str, name: str) -> Shaped[np.ndarray, "..."]:
    """One tensor of a checkpoint on the hub, without the rest of it."""
    return RemoteFolder(repo, revision).read(name)
