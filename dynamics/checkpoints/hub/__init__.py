"""Checkpoints on the hub: what a repository holds, and its files on this machine.

`fetch` is the folder of a revision, downloaded if need be; a `Budget` limits how much stays. Where
to look: `revisions` for branches and files of a repository, `transfer` for HTTP, `retries` for when
a request is repeated, `deadline` for how long an answer may take, `responses` for what it must look
like, `client` for endpoint, token and refusals, `huggingface` for what is huggingface_hub's,
`store` for where downloads lie and what is evicted, `remote_tensors` for single tensors by byte
range.
"""

from dynamics.checkpoints.hub.client import Absent, is_offline
from dynamics.checkpoints.hub.listing import CONFIG, Listing, RemoteFile, is_commit
from dynamics.checkpoints.hub.prefetch import prefetched
from dynamics.checkpoints.hub.remote_tensors import RemoteFolder, remote_tensor
from dynamics.checkpoints.hub.revisions import (
    find_commit,
    list_files,
    list_revisions,
    read_file,
    reset,
)
from dynamics.checkpoints.hub.snapshots import Budget, fetch, find_local
from dynamics.checkpoints.hub.store import evict

__all__ = [
    "CONFIG",
    "Absent",
    "Budget",
    "Listing",
    "RemoteFile",
    "RemoteFolder",
    "evict",
    "fetch",
    "find_commit",
    "find_local",
    "is_commit",
    "is_offline",
    "list_files",
    "list_revisions",
    "prefetched",
    "read_file",
    "remote_tensor",
    "reset",
]
