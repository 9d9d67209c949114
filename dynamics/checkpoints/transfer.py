"""The one place of HTTP: requests that are repeated where that may help, byte ranges, downloads
that resume.

A download grows in FILE.incomplete beside its target, goes on from there in whichever process comes
next, and is renamed into place once its digest is the promised one; a file of another digest is set
aside as FILE.rejected.
"""

import contextlib
import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from filelock import FileLock

from dynamics.checkpoints.answer import (
    BETWEEN,
    Refused,
    Told,
    Transient,
    check,
    limited,
    not_too_slow,
)
from dynamics.errors import InputError

__all__ = ["Client", "Halted", "Refused", "Unreachable", "hasher"]

ATTEMPTS_TO_CONNECT = 3  # no network is told sooner than a busy server
LONGEST_WAIT = 300.0  # s; a limit on requests is over by then
_GAIN = 4096  # bytes that make an attempt no failure


class Unreachable(InputError):
    """No answer, or no whole one, however often it was asked for."""

    def __init__(self, why: str):
        mend = "Check the network, HTTPS_PROXY and HF_ENDPOINT, or try again later."
        super().__init__(why, expected="a server that answers", mend=mend)
        self.why = why


class Halted(Exception):
    """The download was told to stop; what came so far is kept for the next."""


class Client:
    """HTTP GET of JSON, byte ranges and files; threads may share one.

    Args:
        headers: sent with every request; Authorization does not follow a redirect to another host.
        timeout: s without a byte before a request is given up and repeated.
        sleep: how to wait before a repetition.

    Raises InputError: `Refused`, `Unreachable`, or for an answer that is not what was asked for.
    """

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 30.0,
        sleep: Callable[[float], object] = time.sleep,
    ):
        # A compressed body has no byte ranges of the file.
        headers = {**(headers or {}), "Accept-Encoding": "identity"}
        limits = httpx.Timeout(timeout, connect=min(timeout, 10.0), pool=None)
        self._http = httpx.Client(headers=headers, timeout=limits, follow_redirects=True)
        self.sleep = sleep

    def close(self):
        self._http.close()

    def json(self, url: str) -> Any:
        """The parsed body, of at most MOST_JSON bytes."""
        body = self._whole(url)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{url} that is not JSON ({body[:40]!r})", expected="JSON", mend=BETWEEN
            ) from error

    def read_range(self, url: str, start: int, stop: int, size: int | None = None) -> bytes:
        """Bytes [start, stop) of a file of `size` bytes, if that is known."""
        found = bytearray()
        self.copy(url, start, stop, found.extend, Told(size, verified=False))
        return bytes(found)

    def copy(self, url: str, start: int, stop: int, sink: Callable[[bytes], object], told: Told):
        """Hands bytes [start, stop) to `sink`, each once and in order, over as many requests as it
        takes."""
        at, failures = start, 0
        while at < stop:
            before = at
            try:
                with contextlib.closing(self._pieces(url, at, stop, told)) as pieces:
                    for piece in pieces:
                        sink(piece)
                        at += len(piece)
            except Transient as error:
                failures = 1 if at - before >= _GAIN else failures + 1
                if at < stop:
                    self._pause(url, failures, error)

    def download(
        self, url: str, target: Path, size: int, digest: str, *, halt: threading.Event | None = None
    ) -> Path:
        """The file at `target`: `size` bytes of this digest, and on disk, or not there at all.

        Args:
            digest: sha256 (64 hex digits), or the sha1 of the git blob (40).
            halt: once set, raises `Halted` at the next piece.

        Also raises OSError where the disk is full or not to be written; what came so far is kept.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.exists():
                self._download(url, target, size, digest, halt or threading.Event())
        return target

    def _download(self, url: str, target: Path, size: int, digest: str, halt: threading.Event):
        partial, rejected = (
            target.with_name(target.name + end) for end in (".incomplete", ".rejected")
        )
        # A wrong digest may come of what lay there before, or of the way here; from a fresh start
        # it is the server's.
        for _ in range(2):
            self._complete(url, partial, size, halt)
            got = _digest_of(partial, size, digest)
            if got == digest:
                return _put_in_place(partial, target)
            os.replace(partial, rejected)
        raise InputError(
            f"{url} with digest {got}",
            expected=digest,
            mend=f"The server or something on the way serves another file; it is set aside as {rejected}.",
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

            self.copy(url, file.tell(), size, write, Told(size, verified=True))
            file.flush()
            os.fsync(file.fileno())

    def _whole(self, url: str) -> bytes:
        failures = 0
        while True:
            try:
                with self._answer(url, {}) as response:
                    return b"".join(limited(response, url))
            except Transient as error:
                failures += 1
                self._pause(url, failures, error)

    def _pieces(self, url: str, start: int, stop: int, told: Told) -> Generator[bytes, None, None]:
        """Bytes [start, stop) by one request, in pieces; Transient where they end early."""
        at = start
        with self._answer(url, {"Range": f"bytes={start}-{stop - 1}"}) as response:
            skip = told.bytes_before(response, url, start, stop)
            for body in not_too_slow(response.iter_raw()):
                piece, rest = body[skip : skip + stop - at], len(body) - skip
                skip = max(0, skip - len(body))
                if piece:
                    yield piece
                    at += len(piece)
                if at == stop and (response.status_code == 200 or rest > len(piece)):
                    return  # the rest is what nobody asked for, and may never end
        if at < stop:
            raise Transient(f"a body that ends {stop - at} bytes early")

    @contextlib.contextmanager
    def _answer(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """A good answer, its body still to be read."""
        try:
            with self._http.stream("GET", url, headers=headers) as response:
                check(response, url)
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Transient(_told(error), attempts=ATTEMPTS_TO_CONNECT) from error
        except _UNASKABLE as error:
            raise InputError(
                f"{url}, which cannot be asked for ({_told(error)})",
                expected="an address that answers",
                mend="Check HF_ENDPOINT, HF_TOKEN and HTTPS_PROXY.",
            ) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Transient(_told(error)) from error

    def _pause(self, url: str, failures: int, error: Transient):
        if failures >= error.attempts:
            raise Unreachable(
                f"no whole answer from {url} in {failures} attempts: {error}"
            ) from error
        # Jitter, so that many jobs that were turned away together do not come back together.
        backoff = min(2.0 ** (failures - 1), 60.0) * random.uniform(0.5, 1.5)
        self.sleep(min(max(backoff, error.wait), LONGEST_WAIT))


_UNASKABLE = (
    *(
        httpx.InvalidURL,
        httpx.UnsupportedProtocol,
        httpx.LocalProtocolError,
        httpx.TooManyRedirects,
    ),
    UnicodeError,  # a host that is no name: of the endpoint, or of where it redirects to
)


def hasher(size: int, digest: str):
    """What hashes a file of `size` bytes to be compared with `digest`: sha256, or as git does (sha1
    with a head)."""
    return (
        hashlib.sha256()
        if len(digest) == 64
        else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    )


def _digest_of(path: Path, size: int, like: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hasher(size, like)).hexdigest()


def _put_in_place(partial: Path, target: Path):
    os.replace(partial, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _told(error: Exception) -> str:
    if isinstance(error, httpx.LocalProtocolError):
        return "a header that cannot be sent"  # its own words may hold the token
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
