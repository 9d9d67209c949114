"""The only place of HTTP: JSON, byte ranges, and downloads that resume.

A download grows in FILE.incomplete beside its target, so that any later process can go on from
there. It is renamed into place once its digest is the promised one; a file of another digest is set
aside as FILE.rejected. Which failures are repeated, `retries` says; what a response must look like,
`responses`.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from dynamics.cache import locked
from dynamics.checkpoints.hub.deadline import obey, reads_within
from dynamics.checkpoints.hub.responses import BETWEEN, FileIdentity, check, limited
from dynamics.checkpoints.hub.retries import (
    ANSWER,
    ATTEMPTS_TO_CONNECT,
    Attempts,
    Transient,
    not_too_slow,
)
from dynamics.errors import InputError
from dynamics.files import rename_durably


class Halted(Exception):
    """The download was halted; what it has so far is there for the next one."""


class Client:
    """HTTP GET of JSON, byte ranges and files; threads may share one client.

    Args:
        headers: sent with every request; Authorization does not follow a redirect to another host.
        timeout: s without a byte before a request is given up and repeated.
        sleep: how to wait before a repetition.

    Every method raises InputError: `responses.Refused`, `retries.Unreachable`, or a plain one for
    an answer that is not what was asked for. So does the constructor where the environment names a
    proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 30.0,
        sleep: Callable[[float], object] = time.sleep,
    ):
        # The byte ranges of a compressed body are not those of the file.
        headers = {**(headers or {}), "Accept-Encoding": "identity"}
        limits = httpx.Timeout(timeout, connect=min(timeout, 10.0), pool=None)
        try:
            self._http = httpx.Client(headers=headers, timeout=limits)
        except (httpx.InvalidURL, ValueError, ImportError, OSError) as error:
            raise _unusable_settings(error) from error
        obey(self._http)
        self.sleep = sleep

    def close(self):
        self._http.close()

    def json(self, url: str) -> Any:
        """The parsed body, of at most `responses.MOST_JSON` bytes."""
        body = self._whole(url)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{url} that is not JSON ({body[:40]!r})", expected="JSON", mend=BETWEEN
            ) from error

    def read_range(self, url: str, start: int, stop: int, size: int | None = None) -> bytes:
        """Bytes [start, stop) of a file, of `size` bytes if that is known."""
        body = bytearray()
        self._copy(url, start, stop, body.extend, FileIdentity(size, verified=False))
        return bytes(body)

    def download(
        self, url: str, target: Path, size: int, digest: str, *, halt: threading.Event | None = None
    ) -> Path:
        """Downloads a file to `target`, whole and durable or not at all, and returns `target`.

        Args:
            size: bytes.
            digest: sha256 (64 hex digits), or the sha1 of the git blob (40).
            halt: once set, raises `Halted` at the next piece.

        Also raises OSError where the disk is full or not writable; what it has so far is kept.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(target.name + ".lock")) as held:
            # Without a lock another process may be at it too: the partial file is private then.
            own = "" if held else f".{os.getpid()}-{threading.get_native_id()}"
            partial = target.with_name(f"{target.name}{own}.incomplete")
            if not target.exists():
                self._download(url, target, partial, size, digest, halt or threading.Event())
        return target

    def _download(
        self, url: str, target: Path, partial: Path, size: int, digest: str, halt: threading.Event
    ):
        rejected = target.with_name(target.name + ".rejected")
        # A wrong digest may come of what the partial file held before, or of the transfer; after a
        # fresh start it is the server's.
        for _ in range(2):
            self._complete(url, partial, size, halt)
            actual = _digest_of(partial, size, digest)
            if actual == digest:
                rename_durably(partial, target)
                return
            partial.replace(rejected)
        raise InputError(
            f"{url} with digest {actual}",
            expected=digest,
            mend="The server or something on the way serves another file; "
            f"it is set aside as {rejected}.",
        )

    def _complete(self, url: str, partial: Path, size: int, halt: threading.Event):
        with open(partial, "ab") as file:
            if file.tell() > size:
                file.truncate(0)
                file.seek(0)

            def write(piece: bytes):
                if halt.is_set():
                    raise Halted(url)
                file.write(piece)

            self._copy(url, file.tell(), size, write, FileIdentity(size, verified=True))

    def _copy(
        self,
        url: str,
        start: int,
        stop: int,
        sink: Callable[[bytes], object],
        identity: FileIdentity,
    ):
        """Passes bytes [start, stop) to `sink`, each once and in order, in one or more requests."""
        at, attempts = start, Attempts(url, self.sleep)
        while at < stop:
            before = at
            try:
                with contextlib.closing(self._pieces(url, at, stop, identity)) as pieces:
                    for piece in pieces:
                        sink(piece)
                        at += len(piece)
            except Transient as error:
                if at < stop:
                    attempts.pause_after(error, received=at - before)

    def _whole(self, url: str) -> bytes:
        attempts = Attempts(url, self.sleep)
        while True:
            try:
                with self._response(url, {}) as response:
                    return b"".join(limited(response, url))
            except Transient as error:
                attempts.pause_after(error)

    def _pieces(
        self, url: str, start: int, stop: int, identity: FileIdentity
    ) -> Generator[bytes, None, None]:
        """Bytes [start, stop) of one request, in pieces; Transient where they end early."""
        at = start
        with self._response(url, {"Range": f"bytes={start}-{stop - 1}"}) as response:
            skip = identity.bytes_before(response, url, start, stop)
            for body in not_too_slow(response.iter_raw()):
                piece, rest = body[skip : skip + stop - at], len(body) - skip
                skip = max(0, skip - len(body))
                if piece:
                    yield piece
                    at += len(piece)
                if at == stop and (response.status_code == 200 or rest > len(piece)):
                    return  # the rest was not asked for, and may never end
        if at < stop:
            raise Transient(f"a body that ends {stop - at} bytes early")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        """The answer at the end of all redirects.

        httpx itself would read the whole body of a redirect, however long.
        """
        for _ in range(_MOST_REDIRECTS):
            response = self._http.send(request, stream=True)
            if response.next_request is None:
                return response
            request = response.next_request
            length = response.headers.get("Content-Length", "")
            if length.isdecimal() and len(length) < 5:  # a short body ends its connection's turn
                response.read()
            response.close()
        raise httpx.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects", request=request)

    @contextlib.contextmanager
    def _response(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """A response of a good status, whose body is not read yet."""
        try:
            with reads_within(ANSWER):
                response = self._answer(self._http.build_request("GET", url, headers=headers))
            with contextlib.closing(response):
                check(response, url)
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Transient(_described(error), attempts=ATTEMPTS_TO_CONNECT) from error
        except _UNASKABLE as error:
            raise InputError(
                f"{url}, which cannot be asked for ({_described(error)})",
                expected="an address that answers",
                mend="Check HF_ENDPOINT, HF_TOKEN and HTTPS_PROXY.",
            ) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Transient(_described(error)) from error


_MOST_REDIRECTS = 20
# What httpx reads of the environment when it makes connections.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_UNASKABLE = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.TooManyRedirects,
    UnicodeError,  # a host that is no name: the endpoint's, or that of a redirect
    OverflowError,  # a port that no host has
)


def _unusable_settings(error: Exception) -> InputError:
    """The error for an environment with which httpx makes no client."""
    of_files = isinstance(error, OSError)
    names = _CERTIFICATES if of_files else (*_PROXIES, *map(str.lower, _PROXIES))
    setting = " or ".join(name for name in names if name in os.environ) or "the system's proxy"
    return InputError(
        f"a setting of {setting} that cannot be used ({_described(error)})",
        expected="certificates in PEM form" if of_files else "an address like http://host:3128",
        mend="Set it right, or unset it.",
    )


def hasher(size: int, digest: str):
    """The hash by which a file of `size` bytes is compared with `digest`.

    It is sha256 for 64 hex digits, and for 40 git's sha1, which begins with a header.
    """
    return (
        hashlib.sha256()
        if len(digest) == 64
        else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    )


def _digest_of(path: Path, size: int, like: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hasher(size, like)).hexdigest()


def _described(error: Exception) -> str:
    if isinstance(error, httpx.LocalProtocolError):
        return "a header that cannot be sent"  # its own message may hold the token
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
