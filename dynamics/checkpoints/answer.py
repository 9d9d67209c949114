"""What an HTTP answer says of itself, believed only where it agrees with what was asked for and
said before."""

import contextlib
import email.utils
import re
import time
from collections.abc import Iterator

import httpx

from dynamics.errors import InputError

ATTEMPTS = 6  # in a row without a gain
MOST_JSON = 1 << 26  # bytes; a listing of 10,000 files has 3 MB
PATIENCE, SLOWEST = (
    60.0,
    1000.0,
)  # s, bytes/s: a body that is slower for that long is given up, and asked for again
BETWEEN = "A proxy or a login page probably stands between; check HTTPS_PROXY and HF_ENDPOINT."


class Refused(InputError):
    """An answer that would be the same again: its `status`, and the `code` in X-Error-Code, ""
    without one."""

    def __init__(self, why: str, status: int, code: str):
        super().__init__(why, expected="status 200")
        self.why, self.status, self.code = why, status, code


class Transient(Exception):
    """A failure that may pass. `wait`: s that the server asked for. `attempts`: how many are worth
    it."""

    def __init__(self, reason: str, wait: float = 0.0, attempts: int = ATTEMPTS):
        super().__init__(reason)
        self.wait, self.attempts = wait, attempts


class Told:
    """What answers said of one file, which all of them must say alike: its size, and its ETag.

    Args:
        size: bytes, where it is known beforehand.
        verified: will a digest tell whether the file was one and the same? Then its ETag may change
            on the way.
    """

    def __init__(self, size: int | None, verified: bool):
        self._size, self._verified = size, verified
        self._etag = ""

    def bytes_before(self, response: httpx.Response, url: str, start: int, stop: int) -> int:
        """How many bytes of the body come before byte `start`: a server may ignore that it was
        asked for a range."""
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in (
            "",
            "identity",
        ):
            coding = response.headers["Content-Encoding"][:40]
            raise InputError(
                f"{url} in the coding {coding!r}", expected="the file's own bytes", mend=BETWEEN
            )
        if response.status_code == 200:
            size = response.headers.get("Content-Length", "")
        else:
            told = response.headers.get("Content-Range", "")
            match = re.fullmatch(rf"bytes {start}-{stop - 1}/(\d{{1,19}}|\*)", told)
            if not match or (match[1].isdecimal() and int(match[1]) < stop):
                got, wanted = f"the range {told[:80]!r} from {url}", f"bytes {start}-{stop - 1}"
                raise InputError(got, expected=wanted, mend=BETWEEN)
            size = match[1]
        self._agree(url, int(size) if size.isdecimal() else None, response.headers.get("ETag", ""))
        return start if response.status_code == 200 else 0

    def _agree(self, url: str, size: int | None, etag: str):
        if size is not None and self._size is not None and size != self._size:
            raise InputError(f"{url} of {size} bytes", expected=f"{self._size} bytes", mend=BETWEEN)
        if etag and self._etag and etag != self._etag and not self._verified:
            raise InputError(
                f"{url}, which changed while it was read", expected="one file", mend="Run it again."
            )
        self._size, self._etag = self._size if size is None else size, etag or self._etag


def limited(response: httpx.Response, url: str) -> Iterator[bytes]:
    """A body of at most MOST_JSON bytes, decoded. Raises InputError for a longer one, compressed or
    not."""
    length = 0
    for piece in not_too_slow(response.iter_bytes()):
        length += len(piece)
        if length > MOST_JSON:
            raise InputError(
                f"an answer from {url} of more than {MOST_JSON} bytes",
                expected="JSON",
                mend=BETWEEN,
            )
        yield piece


def not_too_slow(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces; Transient once a body has come slower than SLOWEST for PATIENCE."""
    since, length = time.monotonic(), 0
    for piece in pieces:
        yield piece
        length += len(piece)
        elapsed = time.monotonic() - since
        if elapsed > PATIENCE:
            if length < SLOWEST * elapsed:
                raise Transient(f"a body of {length} bytes in {elapsed:.0f} s")
            since, length = time.monotonic(), 0


def check(response: httpx.Response, url: str):
    """Raises Transient, Refused or InputError unless the body is what was asked for."""
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise Transient(f"status {status}", _retry_after(response))
    if status not in (200, 206):
        told = response.headers.get("X-Error-Message", response.reason_phrase)[:200]
        code = response.headers.get("X-Error-Code", "")
        raise Refused(f"status {status} from {url}: {told}", status, code)
    if "text/html" in response.headers.get("Content-Type", ""):
        raise InputError(f"an html page from {url}", expected="a file or JSON", mend=BETWEEN)


def _retry_after(response: httpx.Response) -> float:
    """s to wait, told as a number or as a date."""
    told = response.headers.get("Retry-After", "")
    with contextlib.suppress(ValueError):
        return float(told)
    with contextlib.suppress(ValueError, OverflowError):
        return email.utils.parsedate_to_datetime(told).timestamp() - time.time()
    return 0.0
