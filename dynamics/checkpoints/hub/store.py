"""Our own store of downloads: where a revision's files lie, who needs them, and what makes room.

    STORE/owner--name/blobs/DIGEST                  a file, once for all revisions that share it
                      snapshots/COMMIT/FILE         a link to its blob, or a copy of it where the
                                                    file system has no links
                      snapshots/COMMIT/.FILE.blob   the DIGEST of a copy that is still to come
                      snapshots/COMMIT/complete     written last; its time is that of the last use
                      pins/COMMIT                   locked (flock, shared) by every process that
                                                    needs the snapshot
                      refs/REVISION                 the commit of a branch when it was fetched
                      listings/COMMIT.json          the hub's listing of a commit

Blobs come and go under STORE/.lock: one process at a time links a snapshot's files or removes blobs
without a link, so that nobody removes what another process has just seen. Where the file system has
no locks, nothing is ever removed.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from dynamics.cache import cache_root, locked
from dynamics.files import rename_durably, write_atomically

_COMPLETE = "complete"
_LONGEST_NAME = 200  # bytes; file systems take 255, and a partial file's name is longer

# A descriptor that locks a snapshot while it is open; None where nothing of ours needs a lock.
Pin = int | None


def root() -> Path:
    """The folder of the whole store."""
    return cache_root() / "hub"


def place(repo: str) -> Path:
    """The folder that holds everything of a repository."""
    return root() / repo.replace("/", "--")


def snapshot_folder(repo: str, commit: str) -> Path:
    """The folder of a commit's files, whether or not it exists."""
    return place(repo) / "snapshots" / commit


def find(repo: str, revision: str) -> tuple[Path | None, Pin]:
    """The snapshot of a revision and its pin, if the store has it whole."""
    commit = revision
    with contextlib.suppress(OSError):
        commit = _ref(repo, revision).read_text().strip()
    snapshot = snapshot_folder(repo, commit)
    if not (snapshot / _COMPLETE).is_file():
        return None, None
    lock = pin(snapshot)
    # Another process may have removed it meanwhile: only what exists under the pin will stay.
    if not (snapshot / _COMPLETE).is_file() or not all(
        path.exists() for path in snapshot.iterdir()
    ):
        unpin(lock)
        return None, None
    with contextlib.suppress(OSError):  # a store that is shared for reading only
        (snapshot / _COMPLETE).touch()
    return snapshot, lock


def link(snapshot: Path, digests: Mapping[str, str]) -> dict[str, Path]:
    """Links a snapshot's files to their blobs: file name -> blob, which may still be to come.

    Where the file system has no links, `fill` copies each blob once it is there.
    """
    folder = snapshot.parents[1] / "blobs"
    blobs = {name: folder / digest for name, digest in digests.items()}
    folder.mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True, exist_ok=True)
    with locked(root() / ".lock"):
        for name, blob in blobs.items():
            try:
                (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
            except FileExistsError:
                pass
            except OSError:  # exFAT, some network mounts: EPERM, ENOTSUP, ...
                write_atomically(_promise(snapshot, name), blob.name)
    return blobs


def fill(snapshot: Path, name: str, blob: Path):
    """Puts a copy of a blob into the snapshot, where `link` could not link it."""
    promise = _promise(snapshot, name)
    if promise.exists():
        # Another process may be at the same snapshot: each has a copy of its own, to be renamed.
        copy = snapshot / f".{name}.{os.getpid()}-{threading.get_native_id()}.copy"
        shutil.copyfile(blob, copy)
        rename_durably(copy, snapshot / name)
        promise.unlink(missing_ok=True)


def complete(snapshot: Path, repo: str, revision: str):
    """Marks a snapshot as whole, and as what the revision stands for.

    Blobs of which it has copies are removed.
    """
    linked = (path.is_symlink() or path.name == _COMPLETE for path in snapshot.iterdir())
    copied = not all(linked)
    # An empty file appears at once; a temporary name beside it would be seen by readers.
    (snapshot / _COMPLETE).touch()
    write_atomically(_ref(repo, revision), snapshot.name)
    if copied:
        with locked(root() / ".lock") as held:
            if held:
                _sweep(snapshot.parents[1])


def pin(snapshot: Path) -> Pin:
    """Locks a snapshot against removal until `unpin`, or until the process ends, however it ends.

    The lock is shared. None where the file system has no locks.
    """
    path = snapshot.parents[1] / "pins" / snapshot.name
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            return descriptor
        except OSError:
            os.close(descriptor)
    return None


def unpin(lock: Pin):
    """Releases what `pin` returned."""
    if lock is not None:
        os.close(lock)


def evict(limit: float):
    """Removes unpinned snapshots, the longest unused first, until the store fits `limit` bytes."""
    folder = root()
    if _size(folder) <= limit:
        return
    with locked(folder / ".lock") as held:
        if not held:
            return
        for blobs in folder.glob("*/blobs"):
            _sweep(blobs.parent)
        for snapshot in sorted(folder.glob("*/snapshots/*"), key=_last_use):
            if _size(folder) <= limit:
                return
            _drop(snapshot)


def _drop(snapshot: Path):
    """Removes a snapshot that nobody has pinned, and the blobs of no other snapshot."""
    pins = snapshot.parents[1] / "pins"
    pins.mkdir(exist_ok=True)
    with open(pins / snapshot.name, "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        (snapshot / _COMPLETE).unlink(missing_ok=True)
        shutil.rmtree(snapshot)
        _sweep(snapshot.parents[1])


def _sweep(folder: Path):
    """Removes a repository's blobs without a link from a snapshot, and rejected downloads."""
    linked = {
        Path(os.readlink(path)).name for path in folder.glob("snapshots/*/*") if path.is_symlink()
    }
    linked |= {path.read_text() for path in folder.glob("snapshots/*/.*.blob")}
    for blob in (folder / "blobs").glob("*"):
        if blob.suffix == ".rejected" or blob.name.partition(".")[0] not in linked:
            blob.unlink(missing_ok=True)


def _last_use(snapshot: Path) -> float:
    for path in (snapshot / _COMPLETE, snapshot):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    total = 0
    # os.walk passes over folders that another process removes meanwhile.
    for parent, _, names in os.walk(folder):
        if Path(parent).name == "blobs" or Path(parent).parent.name == "snapshots":
            for name in names:
                with contextlib.suppress(OSError):  # renamed or removed by another process
                    total += os.lstat(os.path.join(parent, name)).st_size
    return total


def _promise(snapshot: Path, name: str) -> Path:
    return snapshot / f".{name}.blob"


def _ref(repo: str, revision: str) -> Path:
    name = urllib.parse.quote(revision, safe="")
    if len(name) > _LONGEST_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()
    return place(repo) / "refs" / name
