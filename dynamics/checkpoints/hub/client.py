"""This process's connection to the hub: its endpoint and token, and what a refusal means.

Tokens, endpoint, offline mode and headers are huggingface_hub's; the transfer is ours.
"""

import contextlib
import functools
import os
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

import dynamics
from dynamics.checkpoints.hub.listing import Listing
from dynamics.checkpoints.hub.responses import Refused
from dynamics.checkpoints.hub.retries import Unreachable
from dynamics.checkpoints.hub.transfer import Client
from dynamics.errors import InputError


class Absent(InputError):
    """A revision that is neither on this machine nor within reach: the message says how to get it.

    `why` is the reason that it is out of reach.
    """

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
            mend=f"Where there is a network: `hf download {repo} --revision {name}` "
            f"(into the cache), or the same with `--local-dir {target}` "
            f"and then --weights={weights or 'weights'} here.",
        )
        self.why = why


class UnknownRevision(InputError):
    """The hub has the repository, and not the revision."""

    def __init__(self, repo: str, revision: str):
        super().__init__(
            f"{repo} at revision {revision}, which the hub does not have",
            expected="a branch, a tag or a commit",
        )


def check_names(repo: str, revision: str):
    """Raises InputError for what cannot name a repository or a revision.

    Both become parts of paths here.
    """
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


def endpoint() -> str:
    """The hub's address: $HF_ENDPOINT, else https://huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def api_url(repo: str, query: str) -> str:
    """The address of a question about a repository."""
    return f"{endpoint()}/api/models/{urllib.parse.quote(repo)}/{query}"


def file_url(listing: Listing, name: str) -> str:
    """The address of a file at the listing's commit."""
    repo, name = urllib.parse.quote(listing.repo), urllib.parse.quote(name)
    return f"{endpoint()}/{repo}/resolve/{listing.commit}/{name}"


def client() -> Client:
    """The only client of this process, with the user's token if there is one."""
    with _creating:  # threads that ask at once would each create one
        return _created()


@contextlib.contextmanager
def asking(repo: str, revision: str) -> Iterator[Client]:
    """The client, for requests about a revision.

    Refusals and silence raise InputError in terms of the revision: `Absent` where the hub is out of
    reach, `UnknownRevision` where it denies the revision.
    """
    if constants.is_offline_mode():
        raise Absent(repo, revision, why="HF_HUB_OFFLINE is set")
    try:
        yield client()
    except Unreachable as error:
        raise Absent(repo, revision, why=error.why) from error
    except Refused as error:
        if error.code == "RevisionNotFound":
            raise UnknownRevision(repo, revision) from error
        raise _refusal(repo, revision, error) from error


def disconnect():
    """Drops the connections and the token, to be read anew."""
    with _creating:
        if _created.cache_info().currsize:
            _created().close()
        _created.cache_clear()


_creating = threading.Lock()


@functools.cache
def _created() -> Client:
    token = huggingface_hub.get_token()
    if token and not token.isascii():
        raise InputError(
            "an HF_TOKEN with a character that no token has",
            expected="letters, digits and underscores",
        )
    headers = huggingface_hub.utils.build_hf_headers(
        token=token or False, library_name="dynamics", library_version=dynamics.__version__
    )
    return Client(headers)


def _refusal(repo: str, revision: str, error: Refused) -> InputError:
    if error.code == "GatedRepo":
        return InputError(
            f"{repo}, which is given only to those who accept its terms",
            expected="the token of an account that has",
            mend=f"Accept the terms at {endpoint()}/{repo}, "
            "then set HF_TOKEN or run `hf auth login`.",
        )
    if error.code == "RepoNotFound" or (error.status in (401, 404) and not error.code):
        return InputError(
            f"{repo}, which {endpoint()} does not know or does not show ({error.why})",
            expected="a hub id like EleutherAI/pythia-14m",
            mend="Check its spelling; where it is private, or HF_TOKEN has lapsed, set HF_TOKEN.",
        )
    return InputError(
        f"a refusal to give {repo} at revision {revision} ({error.why})", expected="its files"
    )
