"""A revision's files on this machine: found where they lie already, or downloaded into a store of
our own.

    STORE/owner--name/blobs/DIGEST                  what branches share is kept once
                      snapshots/COMMIT/FILE         a link to its blob
                      snapshots/COMMIT/complete     last of all; its time is that of the last use
                      pins/COMMIT                   locked (flock, shared) by every process that needs the snapshot
                      refs/REVISION                 the commit that a branch had when it was fetched

Blobs come and go under STORE/.lock: a snapshot's links are made, and blobs without one removed, by
one process at a time, so that nobody removes what another has just found to be there.
"""

import collections
import concurrent.futures
import contextlib
import fcntl
import functools
import math
import os
import shutil
import threading
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

import huggingface_hub
from filelock import FileLock
from huggingface_hub.errors import HFValidationError

from dynamics.cache import cache_root
from dynamics.checkpoints import hub
from dynamics.checkpoints.prefetch import background
from dynamics.errors import InputError

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_AT_ONCE = 4  # files of one revision
_COMPLETE = "complete"

Pin = (
    int | None
)  # a descriptor that locks a snapshot while it is open; None where nothing of ours is to be held


def fetch(repo: str, revision: str | None = None, weights: str | Path | None = None) -> Path:
    """The folder of a revision's configuration, tokenizer and weights.

    Looked for under `weights`/REPO/REVISION, in the Hugging Face cache, in our own store, and then
    downloaded. What is on this machine is taken as it is: a branch that has moved since is not
    asked about. Raises InputError where the files cannot be had, OSError where they cannot be
    stored.
    """
    folder, pin = _pinned(repo, revision, weights)
    _unpin(pin)
    return folder


def local(repo: str, revision: str | None = None, weights: str | Path | None = None) -> Path | None:
    """The folder that `fetch` would give without a download."""
    folder, pin = _found(repo, revision, weights)
    _unpin(pin)
    return folder


class Budget:
    """A limit on our own store: after use, the snapshots that were longest unused make room.

    A snapshot stays as long as any process has it from `fetch` and has not given it to `release`.
    The limit can be exceeded by what is pinned, and by what is being downloaded. The Hugging Face
    cache is never touched.
    """

    def __init__(self, gigabytes: float):
        if not gigabytes >= 0:
            raise InputError(f"a budget of {gigabytes} GB", expected="a number, 0 or more")
        self._limit = gigabytes * 1e9
        self._pins: dict[tuple, list[Pin]] = collections.defaultdict(list)

    def fetch(
        self, repo: str, revision: str | None = None, weights: str | Path | None = None
    ) -> Path:
        """As the function of this name; the folder stays until it was released as often as it was
        fetched."""
        folder, pin = _pinned(repo, revision, weights)
        self._pins[repo, revision].append(pin)
        return folder

    def release(self, repo: str, revision: str | None = None):
        """The revision is no longer in use; evicts whatever is above the limit."""
        if self._pins[repo, revision]:
            _unpin(self._pins[repo, revision].pop())
        if math.isfinite(self._limit):
            evict(self._limit)


def evict(limit: float):
    """Removes unpinned snapshots, the longest unused first, until our store holds at most `limit`
    bytes."""
    root = _store()
    if _size(root) <= limit:
        return
    with FileLock(root / ".lock"):
        for folder in root.glob("*/blobs"):
            _sweep(folder.parent)
        for snapshot in sorted(root.glob("*/snapshots/*"), key=_last_use):
            if _size(root) <= limit:
                return
            _drop(snapshot)


def _pinned(repo: str, revision: str | None, weights: str | Path | None) -> tuple[Path, Pin]:
    folder, pin = _found(repo, revision, weights)
    if folder is not None:
        return folder, pin
    try:
        return _downloaded(repo, revision or "main")
    except hub.Absent as error:
        raise hub.Absent(repo, revision, weights, error.why) from error


def _found(repo: str, revision: str | None, weights: str | Path | None) -> tuple[Path | None, Pin]:
    hub.check_names(repo, revision or "main")
    folder = _elsewhere(repo, revision, weights)
    return (folder, None) if folder else _stored(repo, revision)


def _elsewhere(repo: str, revision: str | None, weights: str | Path | None) -> Path | None:
    name = revision or "main"
    if weights is not None and (Path(weights) / repo / name).is_dir():
        return Path(weights) / repo / name
    with contextlib.suppress(HFValidationError):
        config = huggingface_hub.try_to_load_from_cache(repo, hub.CONFIG, revision=name)
        if isinstance(config, str) and _is_whole(Path(config).parent, repo, name):
            return Path(config).parent
    return None


def _is_whole(folder: Path, repo: str, revision: str) -> bool:
    """Does a folder of the Hugging Face cache hold every weight file? Others fill it file by
    file."""
    names = {path.name: hub.RemoteFile(0, None, "") for path in folder.iterdir() if path.is_file()}
    found = hub.Listing(repo, revision, folder.name, names)
    try:
        head = found.weights()
        if hub.is_index(head):
            hub.shard_map(found, (folder / head).read_bytes())
    except InputError:
        return False
    return True


def _stored(repo: str, revision: str | None) -> tuple[Path | None, Pin]:
    commit = revision or "main"
    with contextlib.suppress(OSError):
        commit = _ref(repo, commit).read_text().strip()
    snapshot = hub.place(repo) / "snapshots" / commit
    if not (snapshot / _COMPLETE).is_file():
        return None, None
    pin = _pin(snapshot)
    # Only what is there once it is pinned will stay.
    if not (snapshot / _COMPLETE).is_file() or not all(
        path.exists() for path in snapshot.iterdir()
    ):
        _unpin(pin)
        return None, None
    with contextlib.suppress(OSError):  # a store that is shared for reading only
        (snapshot / _COMPLETE).touch()
    return snapshot, pin


def _downloaded(repo: str, revision: str) -> tuple[Path, Pin]:
    found = hub.listing(repo, revision)
    snapshot = hub.place(repo) / "snapshots" / found.commit
    pin = _pin(snapshot)
    try:
        _fill(snapshot, found)
        hub.write_whole(_ref(repo, revision), found.commit)
    except BaseException:
        _unpin(pin)
        raise
    return snapshot, pin


def _fill(snapshot: Path, found: hub.Listing):
    if hub.CONFIG not in found.files:
        raise InputError(
            f"{found.repo} at revision {found.revision} without {hub.CONFIG}",
            expected="a checkpoint",
        )
    head = found.weights()
    _bring(
        snapshot, found, [hub.CONFIG, head, *(name for name in TOKENIZER if name in found.files)]
    )
    if hub.is_index(head):
        _bring(snapshot, found, set(hub.shard_map(found, (snapshot / head).read_bytes()).values()))
    hub.write_whole(snapshot / _COMPLETE, "")


def _bring(snapshot: Path, found: hub.Listing, names: Iterable[str]):
    """Files of a revision, some at once; the first failure halts the others, which keep what they
    have."""
    blobs = snapshot.parents[1] / "blobs"
    targets = {name: blobs / found.files[name].digest for name in names}
    blobs.mkdir(parents=True, exist_ok=True)
    with FileLock(_store() / ".lock"):
        for name, blob in targets.items():
            _link(snapshot / name, blob)
    halt, slots = threading.Event(), threading.Semaphore(_AT_ONCE)

    def bring(name: str, blob: Path):
        with slots:
            hub.download(found, name, blob, halt)

    jobs = [background(functools.partial(bring, *target)) for target in targets.items()]
    try:
        for job in concurrent.futures.as_completed(jobs):
            job.result()
    except BaseException:
        halt.set()
        raise


def _link(name: Path, blob: Path):
    name.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        name.symlink_to(os.path.relpath(blob, name.parent))


def _pin(snapshot: Path) -> Pin:
    """A shared lock, which ends with the process however that ends; None where the file system has
    none."""
    path = snapshot.parents[1] / "pins" / snapshot.name
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        pin = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(pin, fcntl.LOCK_SH)
            return pin
        except OSError:
            os.close(pin)
    return None


def _unpin(pin: Pin):
    if pin is not None:
        os.close(pin)


def _drop(snapshot: Path):
    """Removes a snapshot that nobody has pinned, and the blobs that it alone had."""
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


def _sweep(place: Path):
    """Removes the blobs of a repository that no snapshot links to, and those that were set
    aside."""
    linked = {
        Path(os.readlink(link)).name for link in place.glob("snapshots/*/*") if link.is_symlink()
    }
    for blob in (place / "blobs").glob("*"):
        if blob.suffix == ".rejected" or blob.name.partition(".")[0] not in linked:
            blob.unlink(missing_ok=True)


def _last_use(snapshot: Path) -> float:
    for path in (snapshot / _COMPLETE, snapshot):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _size(root: Path) -> int:
    total = 0
    for blob in root.glob("*/blobs/*"):
        with contextlib.suppress(OSError):  # renamed or removed by another process
            total += blob.stat().st_size
    return total


def _ref(repo: str, revision: str) -> Path:
    return hub.place(repo) / "refs" / urllib.parse.quote(revision, safe="")


def _store() -> Path:
    return cache_root() / "hub"
