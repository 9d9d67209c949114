"""A repository on the hub: its revisions, the files of each, and the bytes of a file.

One request lists every branch of a repository. What a commit holds never changes and is stored on
disk, so that listing all branches again costs that one request.
"""

import contextlib
import json
import threading
import urllib.parse
from pathlib import Path
from typing import Any

from dynamics.checkpoints.hub.client import (
    Absent,
    UnknownRevision,
    api_url,
    asking,
    check_names,
    disconnect,
    endpoint,
    file_url,
)
from dynamics.checkpoints.hub.listing import Listing, commit_hash, is_commit, read_files
from dynamics.checkpoints.hub.store import place
from dynamics.checkpoints.hub.transfer import hasher
from dynamics.errors import InputError
from dynamics.files import write_atomically

_MOST_BYTES = 1 << 26  # of a file that is read into memory: a configuration, an index


def list_revisions(repo: str) -> dict[str, str]:
    """Branch or tag -> its commit. One request per process.

    Raises InputError for an unknown repository, and `Absent` without a network.
    """
    check_names(repo, "main")
    key = (endpoint(), repo)
    # The first thread asks, the others wait for its answer.
    with _locks.setdefault(key, threading.Lock()):
        if key not in _revisions:
            with asking(repo, "main") as http:
                answer = http.json(api_url(repo, "refs"))
            _revisions[key] = _read_revisions(answer, repo)
        return _revisions[key]


def find_commit(repo: str, revision: str) -> str | None:
    """The commit that a revision stands for, None where the hub has none.

    A revision is a branch, a tag, a commit, or a full reference: refs/heads/NAME, refs/tags/NAME,
    refs/pr/NUMBER. A commit is taken as it is. Raises `Absent` without a network.
    """
    check_names(repo, revision)
    if is_commit(revision):
        return revision
    listed = list_revisions(repo)
    if revision in listed or not revision.startswith("refs/"):
        return listed.get(revision)
    if revision.startswith(("refs/heads/", "refs/tags/")):
        return listed.get(revision.split("/", 2)[2])
    # Pull requests are not listed: a popular repository has thousands.
    try:
        with asking(repo, revision) as http:
            answer = http.json(api_url(repo, f"revision/{urllib.parse.quote(revision, safe='')}"))
    except UnknownRevision:
        return None
    try:
        return commit_hash(answer["sha"])
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(f"the revision {revision} of {repo} that lacks or holds {error}") from error


def list_files(repo: str, revision: str = "main") -> Listing:
    """The files of a branch, tag, commit or pull request (`find_commit`).

    Raises InputError for an unknown revision, near ones named, and `Absent` without a network.
    """
    commit = _commit(repo, revision)
    stored = place(repo) / "listings" / f"{commit}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return Listing(repo, revision, commit, read_files(json.loads(stored.read_text())))
    try:
        with asking(repo, revision) as http:
            answer = http.json(api_url(repo, f"revision/{commit}?blobs=true"))
    except UnknownRevision as error:
        raise _unknown(repo, revision, list_revisions(repo)) from error
    try:
        if answer.get("sha", commit) != commit:
            raise ValueError(f"the commit {answer['sha']!r:.60}, not {commit}")
        files = read_files(answer["siblings"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _foreign(f"a listing of {repo} that lacks or holds {error}") from error
    write_atomically(stored, json.dumps(answer["siblings"]))
    return Listing(repo, revision, commit, files)


def read_file(repo: str, commit: str, name: str) -> bytes:
    """A small file's bytes, verified. Raises InputError if the commit has no such file."""
    listing = list_files(repo, commit)
    file = listing.file(name)
    if file.size > _MOST_BYTES:
        raise InputError(
            f"{name} of {repo} at {commit} of {file.size} bytes", expected=f"at most {_MOST_BYTES}"
        )
    with asking(repo, commit) as http:
        body = http.read_range(file_url(listing, name), 0, file.size, file.size)
    digest = hasher(file.size, file.digest)
    digest.update(body)
    if digest.hexdigest() != file.digest:
        raise InputError(
            f"{name} of {repo} at {commit} with digest {digest.hexdigest()}", expected=file.digest
        )
    return body


def download_file(
    listing: Listing, name: str, target: Path, halt: threading.Event | None = None
) -> Path:
    """Downloads a listed file to `target`, verified; see `transfer.Client.download`."""
    file = listing.file(name)
    with asking(listing.repo, listing.revision) as http:
        return http.download(file_url(listing, name), target, file.size, file.digest, halt=halt)


def reset():
    """Forgets answers, connections and the token, for when the endpoint or the token changed."""
    disconnect()
    _revisions.clear()


_revisions: dict[tuple[str, str], dict[str, str]] = {}
_locks: dict[tuple[str, str], threading.Lock] = {}


def _commit(repo: str, revision: str) -> str:
    try:
        commit = find_commit(repo, revision)
    except Absent as error:
        raise Absent(repo, revision, why=error.why) from error
    if commit is None:
        raise _unknown(repo, revision, list_revisions(repo))
    return commit


def _unknown(repo: str, revision: str, revisions: dict[str, str]) -> InputError:
    return InputError.unknown(f"revision of {repo}", revision, revisions)


def _read_revisions(answer: Any, repo: str) -> dict[str, str]:
    try:
        # A branch goes before a tag of its name, as on the hub.
        refs = [ref for kind in ("tags", "branches") for ref in answer.get(kind, [])]
        return {ref["name"]: commit_hash(ref["targetCommit"]) for ref in refs}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _foreign(f"a list of branches of {repo} that lacks or holds {error}") from error


def _foreign(answer: str) -> InputError:
    return InputError(
        f"{answer} from {endpoint()}", expected="what the hub answers", mend="Check HF_ENDPOINT."
    )
