"""What the hub tells of a revision, read strictly: hashes and names in it become paths here."""

import dataclasses
import re
from typing import Any

from dynamics.checkpoints import tensor_file
from dynamics.errors import InputError

CONFIG = "config.json"
# What stands for a revision's weights, in the order in which `tensor_file` chooses.
WEIGHTS = (tensor_file.INDEX, tensor_file.SINGLE, tensor_file.TORCH_INDEX, tensor_file.TORCH_SINGLE)
COMMIT = re.compile("[0-9a-f]{40}")
_DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A file as the hub lists it."""

    size: int  # bytes
    sha256: str | None  # of large files
    blob_id: str  # git's sha1; of a large file, that of its pointer

    @property
    def digest(self) -> str:
        """What the content is verified by."""
        return self.sha256 or self.blob_id


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a revision held when it was asked for."""

    repo: str
    revision: str
    commit: str
    files: dict[str, RemoteFile]

    def weights(self) -> str:
        """The file that stands for the weights. Raises InputError if there is none."""
        for name in WEIGHTS:
            if name in self.files:
                return name
        raise InputError(
            f"{self.repo} at revision {self.revision} without weights", expected=f"any of {WEIGHTS}"
        )


def is_index(name: str) -> bool:
    return name.endswith(".index.json")


def shard_map(found: Listing, index: bytes) -> dict[str, str]:
    """Tensor name -> shard, from an index file's bytes. Raises InputError where the revision lacks
    a shard of it."""
    where = f"{found.repo} at revision {found.revision}"
    try:
        shards = tensor_file.weight_map(index)
    except ValueError as error:
        raise InputError(
            f"{where} with an unreadable index ({error})", expected='a "weight_map"'
        ) from error
    names = sorted(set(shards.values()))
    missing = [name for name in names if name not in found.files]
    if missing:
        listed = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        told = f"{len(missing)} of {len(names)} shards missing ({listed})"
        raise InputError(
            f"{where} with {told}",
            expected="every shard that its index names",
            mend="Leave it out.",
        )
    return shards


def is_commit(revision: str) -> bool:
    """Is this the name of a commit, not of a branch or tag?"""
    return COMMIT.fullmatch(revision) is not None


def read_files(siblings: Any) -> dict[str, RemoteFile]:
    """Name -> file. Raises KeyError, TypeError, ValueError or AttributeError for what the hub does
    not answer."""
    files = {}
    for file in siblings:
        large, name, size = (file.get("lfs") or {}).get("sha256"), file["rfilename"], file["size"]
        if not isinstance(name, str) or name in files:
            raise ValueError(f"{name!r:.60} for the name of a file, or twice")
        if type(size) is not int or not 0 <= size < 1 << 62:
            raise ValueError(f"{size!r:.60} for the size of {name!r:.60}")
        files[name] = RemoteFile(size, large, matching(COMMIT, file["blobId"]))
        matching(_DIGEST, files[name].digest)
    return files


def matching(form: re.Pattern, told: str) -> str:
    """`told`, if it has the form. Raises ValueError, or TypeError for what is no text."""
    # Commits and digests become names of files here: nothing else may come in their place.
    if not form.fullmatch(told):
        raise ValueError(f"{told!r:.60}, which is no hash")
    return told
