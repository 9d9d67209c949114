"""This process's connection to the hub: its endpoint and token, and what a refusal means.

Tokens, endpoint and offline mode are huggingface_hub's; headers and transfer are ours.
"""

import contextlib
import functools
import os
import platform
import re
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import httpx

import dynamics
from dynamics.checkpoints.hub import huggingface
from dynamics.checkpoints.hub.huggingface import HFValidationError, constants, validate_repo_id
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
    """The hub's address: $HF_ENDPOINT, else https://huggingface.co.

    Raises InputError for what is no address of a web server.
    """
    address = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    try:
        url = httpx.URL(address)
        host, port = url.raw_host.decode("ascii"), 443 if url.port is None else url.port
    except (httpx.InvalidURL, ValueError):
        host, port = "", 0
    if not (_ADDRESS.fullmatch(address) and _HOST.fullmatch(host) and 0 < port < 1 << 16):
        raise InputError(
            f"{address!r} for HF_ENDPOINT",
            expected="the address of a hub, such as https://huggingface.co",
            mend="Set it right, or unset it.",
        )
    return address


def api_url(repo: str, query: str) -> str:
    """The address of a question about a repository."""
    return f"{endpoint()}/api/models/{urllib.parse.quote(repo)}/{query}"


def file_url(listing: Listing, name: str) -> str:
    """The address of a file at the listing's commit."""
    repo, name = urllib.parse.quote(listing.repo), urllib.parse.quote(name)
    return f"{endpoint()}/{repo}/resolve/{listing.commit}/{name}"


def is_offline() -> bool:
    """Does HF_HUB_OFFLINE forbid requests?"""
    return constants.is_offline_mode()


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
    if is_offline():
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


_ADDRESS = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]{2,45}")
_TOKEN = re.compile(r"[!-~]{1,16000}")  # printable ASCII; what an OAuth login gives is long


@functools.cache
def _created() -> Client:
    # huggingface_hub's own headers are not used: to make them it asks the hub for a list of coding
    # agents, from an address that nobody named.
    versions = f"hf_hub/{huggingface.__version__}; python/{platform.python_version()}"
    headers = {"User-Agent": f"dynamics/{dynamics.__version__}; {versions}"}
    if token := _token():
        headers["Authorization"] = f"Bearer {token}"
    return Client(headers)


def _token() -> str | None:
    """The user's token, if there is one. Raises InputError where it cannot be read or sent."""
    try:
        token = huggingface.get_token()
    except Exception as error:  # of files, of text, and of a login that is renewed over the network
        raise InputError(
            f"a login that huggingface_hub cannot read ({type(error).__name__})",
            expected="a token in HF_TOKEN, or one that `hf auth login` has stored",
            mend="Set HF_TOKEN, or log in again.",
        ) from error
    if token and not _TOKEN.fullmatch(token):
        raise InputError(
            "an HF_TOKEN with a character that no token has",
            expected="letters, digits and underscores",
        )
    return token


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
