"""Tensors of a checkpoint that stays on the hub: each costs its own bytes, and its file's header
once."""

import numpy as np

from dynamics.checkpoints import hub, tensor_file, transfer
from dynamics.errors import InputError


class RemoteBytes:
    """A remote file as a `byte_source.ByteSource`: a read is one request for its range."""

    def __init__(self, client: transfer.Client, url: str, size: int, name: str):
        self.name, self.size = name, size
        self._client, self._url = client, url

    def read(self, start: int, stop: int) -> memoryview:
        return memoryview(self._client.read_range(self._url, start, stop, self.size))


class RemoteFolder:
    """Named tensors of a revision on the hub; each costs its shard's header, once, and its own
    bytes.

    Raises InputError as `listing` does, and for a revision without weights or with a damaged file.
    """

    def __init__(self, repo: str, revision: str = "main"):
        self._listing = hub.listing(repo, revision)
        head = self._listing.weights()
        # Without an index, the one file holds every name.
        index = hub.content(repo, self._listing.commit, head) if hub.is_index(head) else None
        self._map = hub.shard_map(self._listing, index) if index else {}
        self._single = head
        self._opened: dict[str, tensor_file.TensorFile] = {}

    def names(self) -> set[str]:
        return set(self._map) or self._open(self._single).names()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._holder(name).shape(name)

    def read(self, name: str) -> np.ndarray:
        """The tensor as stored, bfloat16 included (ml_dtypes)."""
        with hub.told(self._listing.repo, self._listing.revision):
            return self._holder(name).read(name)

    def _holder(self, name: str) -> tensor_file.TensorFile:
        if self._map and name not in self._map:
            raise InputError.unknown(f"tensor of {self._listing.repo}", name, sorted(self._map))
        return self._open(self._map.get(name, self._single))

    def _open(self, shard: str) -> tensor_file.TensorFile:
        if shard not in self._opened:
            file = hub.listed(self._listing, shard)
            where = f"{shard} of {self._listing.repo} at revision {self._listing.revision}"
            with hub.told(self._listing.repo, self._listing.revision) as http:
                source = RemoteBytes(http, hub.url(self._listing, shard), file.size, where)
                self._opened[shard] = tensor_file.open_tensors(source)
        return self._opened[shard]


def remote_tensor(repo: str, revision: str, name: str) -> np.ndarray:
    """One tensor of a checkpoint on the hub, without the rest of it."""
    return RemoteFolder(repo, revision).read(name)
