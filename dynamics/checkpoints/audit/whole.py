"""A whole suite's audit: public record, metadata, and weights as far as asked."""

import functools
import itertools
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub.constants
import numpy as np

from dynamics.checkpoints import fetch, hub, remote, tensor_file
from dynamics.checkpoints.audit.finding import Finding, convicted
from dynamics.checkpoints.audit.inventory import Inventory, of_folder, of_listing
from dynamics.checkpoints.audit.metadata import check_metadata, check_record
from dynamics.checkpoints.audit.trajectory import check_trajectory, matrices
from dynamics.errors import InputError
from dynamics.suite import Cell, Source, Suite

WEIGHTS = ("no", "sample", "all")
_REQUESTS_AT_ONCE = 8


def examine(
    suite: Suite,
    cells: Iterable[Cell],
    *,
    read: str = "no",
    weights: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[Finding], set[Cell]]:
    """What is found of `cells`, and which of them could be looked at.

    Args:
        suite: the whole suite, whose last step is the one that faulty uploads serve.
        read: "no" weight is read, a "sample" of matrices (by byte range where they are on the hub),
            or "all".
        weights: a folder tree REPO/REVISION that is looked in before the hub.
        progress: told how many cells were looked at.

    Without a network only what lies on this machine is looked at; public record is always
    consulted. Raises InputError where the hub cannot be spoken to though it should be.
    """
    cells = sorted(set(cells))
    found = inventories(suite, cells, weights, progress)
    findings = check_record(cells, suite.source)
    findings += check_metadata(found, last_step=max(suite.steps), shared_start=suite.shared_start)
    if read != "no":
        # A convict is none of the path that its neighbours are judged by.
        guilty = set(convicted(findings))
        sound = [
            cell for cell, held in found.items() if held and held.weights and cell not in guilty
        ]
        for _, run in itertools.groupby(sound, key=lambda cell: cell[:2]):
            findings += check_trajectory(
                list(run), lambda cell: _matrices(suite.source(*cell), weights, read)
            )
    return sorted(set(findings)), set(found)


def inventories(
    suite: Suite,
    cells: Iterable[Cell],
    weights: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[Cell, Inventory | None]:
    """The inventory of every cell that can be looked at; None where its place does not exist."""
    cells = list(cells)
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        found = {}
        jobs = pool.map(lambda cell: _inventory(suite.source(*cell), weights), cells)
        for done, (cell, (seen, inventory)) in enumerate(zip(cells, jobs, strict=True), 1):
            if seen:
                found[cell] = inventory
            progress(done)
    return found


def _inventory(source: Source, weights: str | None) -> tuple[bool, Inventory | None]:
    """Could the place be looked at, and what lies there?"""
    folder = _folder(source, weights)
    if folder is not None:
        return True, of_folder(folder)
    if huggingface_hub.constants.is_offline_mode():
        return False, None
    repo, revision = source.location, str(source.revision)
    if not hub.is_commit(revision) and revision not in hub.refs(repo):
        return True, None
    listing = hub.listing(repo, revision)
    return True, of_listing(listing.files, functools.partial(_content, repo, listing.commit))


def _folder(source: Source, weights: str | None) -> Path | None:
    """The local folder of a source, if it has one."""
    if not source.on_hub:
        return Path(source.location)
    return fetch.local(source.location, str(source.revision), weights)


_contents: dict[tuple[str, str], bytes] = {}
_asking = threading.Lock()


def _content(repo: str, commit: str, name: str, blob: str) -> bytes:
    # Branches of one repository nearly always share one configuration and one index: each costs one
    # request in all.
    with _asking:
        if (repo, blob) not in _contents:
            _contents[repo, blob] = hub.content(repo, commit, name)
        return _contents[repo, blob]


def _matrices(source: Source, weights: str | None, read: str) -> dict[str, np.ndarray]:
    folder = _folder(source, weights)
    try:
        tensors = (
            tensor_file.TensorFolder(folder)
            if folder
            else remote.RemoteFolder(source.location, str(source.revision))
        )
        return {name: tensors.read(name) for name in matrices(tensors.names(), read == "sample")}
    except InputError as error:
        # What is found goes on a page, which tells nobody's home folder.
        raise InputError(str(error).removeprefix("got ").replace(f"{folder}/", "")) from error
