"""The folder of a revision's files on this machine: where it lies already, or downloaded."""

import collections
import concurrent.futures
import contextlib
import functools
import math
import os
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path

from dynamics import inputs
from dynamics.checkpoints.formats import MOST_INDEX, is_index, two_saves, weights_of
from dynamics.checkpoints.hub import store
from dynamics.checkpoints.hub.client import Absent, check_names
from dynamics.checkpoints.hub.huggingface import HFValidationError, try_to_load_from_cache
from dynamics.checkpoints.hub.listing import CONFIG, Listing, RemoteFile
from dynamics.checkpoints.hub.prefetch import background
from dynamics.checkpoints.hub.revisions import download_file, list_files
from dynamics.errors import InputError

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_AT_ONCE = 4  # files of one revision


def fetch(repo: str, revision: str | None = None, weights: str | Path | None = None) -> Path:
    """The folder of a revision's configuration, tokenizer and weights, downloaded if need be.

    It is looked for under `weights`/REPO/REVISION, in the Hugging Face cache and in our own store.
    What is on this machine is taken as it is: whether the branch has moved since is not checked.

    Args:
        repo: a hub id, such as "EleutherAI/pythia-14m".
        revision: a branch, a tag or a commit; None is the main branch.
        weights: a folder tree REPO/REVISION.

    Raises:
        InputError: the files are out of reach (`Absent`), faulty on the hub, or cannot be stored.
        OSError: the disk is full; what was downloaded so far is kept.
    """
    folder, lock = _pinned(repo, revision, weights)
    store.unpin(lock)
    return folder


def find_local(
    repo: str, revision: str | None = None, weights: str | Path | None = None
) -> Path | None:
    """The folder that `fetch` would return without a download; None where it would need one."""
    folder, lock = _local(repo, revision, weights)
    store.unpin(lock)
    return folder


class Budget:
    """A limit on our own store, in GB: after use, the snapshots longest unused make room.

    A snapshot stays as long as any process has it from `fetch` and has not released it. What is
    pinned, and what is being downloaded, can exceed the limit. The Hugging Face cache is never
    touched.

    Example:
        >>> budget = Budget(20)  # GB
        >>> folder = budget.fetch("EleutherAI/pythia-14m", "step512")  # doctest: +SKIP
        >>> budget.release("EleutherAI/pythia-14m", "step512")  # doctest: +SKIP
    """

    def __init__(self, gigabytes: float):
        if not gigabytes >= 0:
            raise InputError(f"a budget of {gigabytes} GB", expected="a number, 0 or more")
        self._limit = gigabytes * 1e9
        self._pins: dict[tuple, list[store.Pin]] = collections.defaultdict(list)

    def fetch(
        self, repo: str, revision: str | None = None, weights: str | Path | None = None
    ) -> Path:
        """As the function `fetch`; the folder stays until as many releases as fetches."""
        folder, lock = _pinned(repo, revision, weights)
        self._pins[repo, revision].append(lock)
        return folder

    def release(self, repo: str, revision: str | None = None):
        """Marks the revision as no longer in use, and evicts whatever is above the limit."""
        if self._pins[repo, revision]:
            store.unpin(self._pins[repo, revision].pop())
        if math.isfinite(self._limit):
            store.evict(self._limit)


def _pinned(repo: str, revision: str | None, weights: str | Path | None) -> tuple[Path, store.Pin]:
    folder, lock = _local(repo, revision, weights)
    if folder is not None:
        return folder, lock
    try:
        return _downloaded(repo, revision or "main")
    except Absent as error:
        raise Absent(repo, revision, weights, error.why) from error


def _local(
    repo: str, revision: str | None, weights: str | Path | None
) -> tuple[Path | None, store.Pin]:
    name = revision or "main"
    check_names(repo, name)
    if weights is not None and os.path.isdir(Path(weights) / repo / name):
        return Path(weights) / repo / name, None
    with contextlib.suppress(HFValidationError):
        config = try_to_load_from_cache(repo, CONFIG, revision=name)
        if isinstance(config, str) and _is_whole(Path(config).parent, repo, name):
            return Path(config).parent, None
    return store.find(repo, name)


def _is_whole(folder: Path, repo: str, revision: str) -> bool:
    """Does a folder of the Hugging Face cache hold every weight file? It fills file by file."""
    names = {path.name: RemoteFile(0, None, "") for path in folder.iterdir() if path.is_file()}
    listing = Listing(repo, revision, folder.name, names)
    try:
        weights = listing.weights()
        if is_index(weights):
            listing.shards(_index(folder / weights))
    except InputError:
        return False
    return True


def _downloaded(repo: str, revision: str) -> tuple[Path, store.Pin]:
    listing = list_files(repo, revision)
    snapshot = store.snapshot_folder(repo, listing.commit)
    lock = store.pin(snapshot)
    try:
        _fill(snapshot, listing)
        store.complete(snapshot, repo, revision)
    except BaseException:
        store.unpin(lock)
        raise
    return snapshot, lock


def _fill(snapshot: Path, listing: Listing):
    if CONFIG not in listing.files:
        raise InputError(
            f"{listing.repo} at revision {listing.revision} without {CONFIG}",
            expected="a checkpoint",
        )
    weights = listing.weights()
    _, other_save = weights_of(listing.files)
    if other_save:
        where = f"{listing.repo} at revision {listing.revision}"
        warnings.warn(two_saves(where, weights, other_save), stacklevel=2)
    tokenizer = [name for name in TOKENIZER if name in listing.files]
    _download_all(snapshot, listing, [CONFIG, weights, *tokenizer])
    if is_index(weights):
        shards = listing.shards(_index(snapshot / weights))
        _download_all(snapshot, listing, set(shards.values()))


def _index(path: Path) -> bytes:
    return inputs.read_bytes(path, MOST_INDEX, "an index of shards")


def _download_all(snapshot: Path, listing: Listing, names: Iterable[str]):
    """Downloads files of a revision, several at once.

    The first failure halts the others, which keep what they have.
    """
    blobs = store.link(snapshot, {name: listing.files[name].digest for name in names})
    halt, slots = threading.Event(), threading.Semaphore(_AT_ONCE)

    def download(name: str, blob: Path):
        with slots:
            download_file(listing, name, blob, halt)
            store.fill(snapshot, name, blob)

    jobs = [background(functools.partial(download, *target)) for target in blobs.items()]
    try:
        for job in concurrent.futures.as_completed(jobs):
            job.result()
    except BaseException:
        halt.set()
        raise
