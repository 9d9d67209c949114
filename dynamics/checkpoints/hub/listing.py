"""What the hub lists of a revision, read strictly: hashes and names in it become paths here."""

import dataclasses
import re
from typing import Any

from dynamics.checkpoints.formats import WEIGHTS, weight_map, weights_of
from dynamics.errors import InputError

CONFIG = "config.json"
_COMMIT = re.compile("[0-9a-f]{40}")
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
    """The files of a revision at one commit."""

    repo: str
    revision: str
    commit: str
    files: dict[str, RemoteFile]

    def file(self, name: str) -> RemoteFile:
        """A file by its name. Raises InputError for an unknown name, near ones named."""
        if name not in self.files:
            kind = f"file of {self.repo} at revision {self.revision}"
            raise InputError.unknown(kind, name, self.files)
        return self.files[name]

    def weights(self) -> str:
        """The name of the weight file, or of the index of several. Raises InputError without."""
        weights, _ = weights_of(self.files)
        if weights is None:
            raise InputError(
                f"{self.repo} at revision {self.revision} without weights",
                expected=f"any of {WEIGHTS}",
            )
        return weights

    def shards(self, index: bytes) -> dict[str, str]:
        """Tensor name -> shard, by an index's bytes. Raises InputError if a shard is missing."""
        where = f"{self.repo} at revision {self.revision}"
        try:
            shard_of = weight_map(index)
        except ValueError as error:
            raise InputError(
                f"{where} with an unreadable index ({error})", expected='a "weight_map"'
            ) from error
        names = sorted(set(shard_of.values()))
        missing = [name for name in names if name not in self.files]
        if missing:
            first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise InputError(
                f"{where} with {len(missing)} of {len(names)} shards missing ({first})",
                expected="every shard that its index names",
                mend="Leave it out.",
            )
        return shard_of


def is_commit(revision: str) -> bool:
    """Is this the name of a commit, not of a branch or tag?

    Example:
        >>> is_commit("step512"), is_commit("a" * 40)
        (False, True)
    """
    return _COMMIT.fullmatch(revision) is not None


def read_files(siblings: Any) -> dict[str, RemoteFile]:
    """Name -> file, from the "siblings" of the hub's answer.

    Raises KeyError, TypeError, ValueError or AttributeError for what the hub does not answer.
    """
    files = {}
    for file in siblings:
        sha256, name, size = (file.get("lfs") or {}).get("sha256"), file["rfilename"], file["size"]
        if not isinstance(name, str) or name in files:
            raise ValueError(f"{name!r:.60} for the name of a file, or twice")
        if type(size) is not int or not 0 <= size < 1 << 62:
            raise ValueError(f"{size!r:.60} for the size of {name!r:.60}")
        files[name] = RemoteFile(size, sha256, commit_hash(file["blobId"]))
        _matching(_DIGEST, files[name].digest)
    return files


def commit_hash(text: str) -> str:
    """The text, if it is a commit's or blob's hash. Raises ValueError, or TypeError for no text."""
    return _matching(_COMMIT, text)


def _matching(form: re.Pattern, text: str) -> str:
    # Commits and digests become names of files here: nothing else may come in their place.
    if not form.fullmatch(text):
        raise ValueError(f"{text!r:.60}, which is no hash")
    return text
