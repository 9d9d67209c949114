"""The hub as seen from here: revisions, listings, and files read in part or whole.

One request tells every branch of a repository; what a commit holds never changes and is kept on
disk, so that looking at all branches again costs that one request.
"""

import contextlib
import functools
import json
import os
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

import dynamics
from dynamics.cache import cache_root
from dynamics.checkpoints import transfer
from dynamics.checkpoints.hub_listing import (
    COMMIT,
    CONFIG,
    WEIGHTS,
    Listing,
    RemoteFile,
    is_commit,
    is_index,
    matching,
    read_files,
    shard_map,
)
from dynamics.errors import InputError

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "Absent",
    "Listing",
    "RemoteFile",
    "check_names",
    "client",
    "close",
    "content",
    "download",
    "is_commit",
    "is_index",
    "listed",
    "listing",
    "place",
    "refs",
    "shard_map",
    "told",
    "url",
    "write_whole",
]
_MOST_CONTENT = 1 << 26  # bytes of a file that is read into memory: a configuration, an index


class Absent(InputError):
    """A revision that is not on this machine and cannot be fetched from here: says how to bring
    it."""

    def __init__(
        self, repo: str, revision: str | None, weights: str | Path | None = None, why: str = ""
    ):
        name = revision or "main"
        target = Path(weights or "weights") / repo / name
        super().__init__(
            f"{repo} at revision {name}, whose weights are not on this machine"
            + (f" ({why})" if why else ""),
            expected="its files in the Hugging Face cache"
            + (f" or in {target}" if weights else ""),
            mend=f"Where there is a network: `hf download {repo} --revision {name}` (into the cache), or the same with "
            f"`--local-dir {target}` and then --weights={weights or 'weights'} here.",
        )
        self.why = why


def check_names(repo: str, revision: str):
    """Raises InputError for what cannot name a repository or a revision: both become parts of paths
    here."""
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise InputError(
            f"{repo!r:.120}, which is no hub id", expected="a hub id like owner/name"
        ) from error
    parts = revision.split("/")
    if (
        not all(parts)
        or {".", ".."} & set(parts)
        or not revision.isprintable()
        or len(revision) > 200
    ):
        raise InputError(
            f"{revision!r:.120} for a revision of {repo}", expected="a branch, a tag or a commit"
        )


def refs(repo: str) -> dict[str, str]:
    """The commit of every branch and tag. One request per process. Raises InputError for an unknown
    repository."""
    check_names(repo, "main")
    endpoint = _endpoint()
    # The first thread asks, the others wait for its answer.
    with _asking.setdefault((endpoint, repo), threading.Lock()):
        if (endpoint, repo) not in _refs:
            with told(repo, "main") as http:
                answer = http.json(_api(repo, "refs"))
            _refs[endpoint, repo] = _read_refs(answer, repo)
        return _refs[endpoint, repo]


def listing(repo: str, revision: str = "main") -> Listing:
    """The files of a branch, tag or commit. Raises InputError for an unknown one, near ones
    named."""
    check_names(repo, revision)
    commit = revision if is_commit(revision) else _commit(repo, revision)
    kept = place(repo) / "listings" / f"{commit}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return Listing(repo, revision, commit, read_files(json.loads(kept.read_text())))
    with told(repo, revision) as http:
        answer = http.json(_api(repo, f"revision/{commit}?blobs=true"))
    try:
        if answer.get("sha", commit) != commit:
            raise ValueError(f"the commit {answer['sha']!r:.60}, not {commit}")
        files = read_files(answer["siblings"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _foreign(f"a listing of {repo} that lacks or holds {error}") from error
    write_whole(kept, json.dumps(answer["siblings"]))
    return Listing(repo, revision, commit, files)


def content(repo: str, commit: str, name: str) -> bytes:
    """A small file's bytes, verified. Raises InputError if the commit has no such file."""
    found = listing(repo, commit)
    file = listed(found, name)
    if file.size > _MOST_CONTENT:
        raise InputError(
            f"{name} of {repo} at {commit} of {file.size} bytes",
            expected=f"at most {_MOST_CONTENT}",
        )
    with told(repo, commit) as http:
        body = http.read_range(url(found, name), 0, file.size, file.size)
    hasher = transfer.hasher(file.size, file.digest)
    hasher.update(body)
    if hasher.hexdigest() != file.digest:
        raise InputError(
            f"{name} of {repo} at {commit} with digest {hasher.hexdigest()}", expected=file.digest
        )
    return body


def download(found: Listing, name: str, target: Path, halt: threading.Event | None = None) -> Path:
    """A listed file at `target`, verified; see `transfer.Client.download`."""
    file = listed(found, name)
    with told(found.repo, found.revision) as http:
        return http.download(url(found, name), target, file.size, file.digest, halt=halt)


def place(repo: str) -> Path:
    """The folder where everything of a repository is kept."""
    return cache_root() / "hub" / repo.replace("/", "--")


def write_whole(path: Path, text: str):
    """Writes a small file that readers see whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_native_id()}")
    partial.write_text(text)
    partial.replace(path)


def close():
    """Forgets what was asked for, and the connections; for tests, and after the endpoint or the
    token changed."""
    if _made.cache_info().currsize:
        _made().close()
    _made.cache_clear()
    _refs.clear()


_refs: dict[tuple[str, str], dict[str, str]] = {}
_asking: dict[tuple[str, str], threading.Lock] = {}
_making = threading.Lock()


def client() -> transfer.Client:
    """The one client of this process, with the user's token if there is one."""
    with _making:  # threads that ask at once would each make one
        return _made()


@functools.cache
def _made() -> transfer.Client:
    token = huggingface_hub.get_token()
    if token and not token.isascii():
        raise InputError(
            "an HF_TOKEN with a character that no token has",
            expected="letters, digits and underscores",
        )
    headers = huggingface_hub.utils.build_hf_headers(
        token=token or False, library_name="dynamics", library_version=dynamics.__version__
    )
    return transfer.Client(headers)


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _api(repo: str, what: str) -> str:
    return f"{_endpoint()}/api/models/{urllib.parse.quote(repo)}/{what}"


def url(found: Listing, name: str) -> str:
    return f"{_endpoint()}/{urllib.parse.quote(found.repo)}/resolve/{found.commit}/{urllib.parse.quote(name)}"


def _commit(repo: str, revision: str) -> str:
    try:
        known = refs(repo)
    except Absent as error:
        raise Absent(repo, revision, why=error.why) from error
    if revision not in known:
        raise InputError.unknown(f"revision of {repo}", revision, known)
    return known[revision]


def listed(found: Listing, name: str) -> RemoteFile:
    if name not in found.files:
        raise InputError.unknown(
            f"file of {found.repo} at revision {found.revision}", name, found.files
        )
    return found.files[name]


def _read_refs(answer: Any, repo: str) -> dict[str, str]:
    try:
        # A branch goes before a tag of its name, as on the hub.
        listed = [ref for kind in ("tags", "branches") for ref in answer.get(kind, [])]
        return {ref["name"]: matching(COMMIT, ref["targetCommit"]) for ref in listed}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _foreign(f"a list of branches of {repo} that lacks or holds {error}") from error


def _foreign(what: str) -> InputError:
    return InputError(
        f"{what} from {_endpoint()}", expected="what the hub answers", mend="Check HF_ENDPOINT."
    )


@contextlib.contextmanager
def told(repo: str, revision: str) -> Iterator[transfer.Client]:
    """The client of this process; refusals and silence are told in terms of what was asked for."""
    if constants.is_offline_mode():
        raise Absent(repo, revision, why="HF_HUB_OFFLINE is set")
    try:
        yield client()
    except transfer.Unreachable as error:
        raise Absent(repo, revision, why=error.why) from error
    except transfer.Refused as error:
        raise _refusal(repo, revision, error) from error


def _refusal(repo: str, revision: str, error: transfer.Refused) -> InputError:
    if error.code == "GatedRepo":
        return InputError(
            f"{repo}, which is given only to those who accept its terms",
            expected="the token of an account that has",
            mend=f"Accept the terms at {_endpoint()}/{repo}, then set HF_TOKEN or run `hf auth login`.",
        )
    if error.code == "RevisionNotFound":
        return InputError.unknown(f"revision of {repo}", revision, refs(repo))
    if error.code == "RepoNotFound" or (error.status in (401, 404) and not error.code):
        return InputError(
            f"{repo}, which {_endpoint()} does not know or does not show ({error.why})",
            expected="a hub id like EleutherAI/pythia-14m",
            mend="Check its spelling; where it is private, or HF_TOKEN has lapsed, set HF_TOKEN.",
        )
    return InputError(
        f"a refusal to give {repo} at revision {revision} ({error.why})", expected="its files"
    )
