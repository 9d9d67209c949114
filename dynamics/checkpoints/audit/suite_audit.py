"""The audit of a whole suite: public record, metadata, and weights as far as asked."""

import functools
import itertools
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dynamics.checkpoints import hub
from dynamics.checkpoints.audit.fault import Fault, convicted
from dynamics.checkpoints.audit.inventory import Inventory, of_folder, of_listing
from dynamics.checkpoints.audit.metadata import check_metadata, check_record
from dynamics.checkpoints.audit.trajectory import check_trajectory, matrices
from dynamics.checkpoints.formats import TensorFolder
from dynamics.errors import InputError
from dynamics.suite import Cell, Source, Suite

WEIGHTS = ("no", "sample", "all")  # how many of the weights are read
_REQUESTS_AT_ONCE = 8


def examine(
    suite: Suite,
    cells: Iterable[Cell],
    *,
    read: str = "no",
    weights: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[list[Fault], set[Cell]]:
    """The faults of `cells`, and which of them could be examined.

    Without a network only what lies on this machine is examined; public record always is.

    Args:
        suite: the whole suite, whose last step is the one that faulty uploads serve.
        cells: the checkpoints to examine.
        read: weights to read: "no", a "sample" of matrices (by byte range on the hub), or "all".
        weights: a folder tree REPO/REVISION to look in before the hub.
        progress: called with the number of cells examined so far.

    Raises:
        InputError: the hub is online and does not answer.

    Example:
        >>> from dynamics import suite
        >>> faults, examined = examine(suite.pythia(), [("2.8b", 0, 512)])  # doctest: +SKIP
    """
    cells = sorted(set(cells))
    held = inventories(suite, cells, weights, progress)
    faults = check_record(cells, suite.source)
    faults += check_metadata(held, last_step=max(suite.steps), shared_start=suite.shared_start)
    if read != "no":
        # A convicted checkpoint is no neighbour by which others are judged.
        guilty = set(convicted(faults))
        sound = [
            cell
            for cell, inventory in held.items()
            if inventory and inventory.weights and cell not in guilty
        ]
        for _, run in itertools.groupby(sound, key=lambda cell: cell[:2]):
            faults += check_trajectory(
                list(run), lambda cell: _matrices(suite.source(*cell), weights, read)
            )
    return sorted(set(faults)), set(held)


def inventories(
    suite: Suite,
    cells: Iterable[Cell],
    weights: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[Cell, Inventory | None]:
    """The inventory of every cell that can be examined; None where its place does not exist."""
    cells = list(cells)
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        by_cell = {}
        jobs = pool.map(lambda cell: _inventory(suite.source(*cell), weights), cells)
        for done, (cell, (examined, inventory)) in enumerate(zip(cells, jobs, strict=True), 1):
            if examined:
                by_cell[cell] = inventory
            progress(done)
    return by_cell


def _inventory(source: Source, weights: str | None) -> tuple[bool, Inventory | None]:
    """Could the place be examined, and what lies there?"""
    folder = _folder(source, weights)
    if folder is not None:
        return True, of_folder(folder)
    if hub.is_offline():
        return False, None
    repo, revision = source.location, str(source.revision)
    if hub.find_commit(repo, revision) is None:
        return True, None
    listing = hub.list_files(repo, revision)
    return True, of_listing(listing.files, functools.partial(_content, repo, listing.commit))


def _folder(source: Source, weights: str | None) -> Path | None:
    """The local folder of a source, if it has one."""
    if not source.on_hub:
        return Path(source.location)
    return hub.find_local(source.location, str(source.revision), weights)


_contents: dict[tuple[str, str], bytes] = {}
_lock = threading.Lock()


def _content(repo: str, commit: str, name: str, blob: str) -> bytes:
    # Branches of a repository nearly always share their configuration and index, so that each costs
    # a single request.
    with _lock:
        if (repo, blob) not in _contents:
            _contents[repo, blob] = hub.read_file(repo, commit, name)
        return _contents[repo, blob]


def _matrices(source: Source, weights: str | None, read: str) -> dict[str, np.ndarray]:
    folder = _folder(source, weights)
    try:
        tensors = (
            TensorFolder(folder)
            if folder
            else hub.RemoteFolder(source.location, str(source.revision))
        )
        return {name: tensors.read(name) for name in matrices(tensors.names(), read == "sample")}
    except InputError as error:
        # Faults go on a page, which should not show anybody's home folder.
        raise InputError(str(error).removeprefix("got ").replace(f"{folder}/", "")) from error
