"""What an HTTP response says of itself, trusted only where it fits the request and earlier answers.

A status is a success, a passing failure or a refusal; a body has the range, the size and the ETag
that were expected, or raises an error.
"""

import contextlib
import email.utils
import re
import time
from collections.abc import Iterator

import httpx

from dynamics.checkpoints.hub.retries import Transient, not_too_slow
from dynamics.errors import InputError

MOST_JSON = 1 << 26  # bytes; a listing of 10,000 files has 3 MB
WHOLE = 600.0  # s for the body of an answer that is no file
BETWEEN = "A proxy or a login page probably stands between; check HTTPS_PROXY and HF_ENDPOINT."


class Refused(InputError):
    """An answer that would be the same again.

    `status` is HTTP's, `code` the hub's X-Error-Code, "" without one.
    """

    def __init__(self, why: str, status: int, code: str):
        super().__init__(why, expected="status 200")
        self.why, self.status, self.code = why, status, code


class FileIdentity:
    """The size and the ETag of a remote file, on which all responses must agree.

    Args:
        size: bytes, where it is known beforehand.
        verified: will a digest show whether the file was the same throughout? Then its ETag may
            change between responses.
    """

    def __init__(self, size: int | None, verified: bool):
        self._size, self._verified = size, verified
        self._etag = ""

    def bytes_before(self, response: httpx.Response, url: str, start: int, stop: int) -> int:
        """How many bytes of the body come before byte `start`, 0 where the server sent the range.

        A server may ignore the request for a range and send the whole file. Raises InputError for
        another range, another size, or an encoded body.
        """
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise InputError(
                f"{url} in the coding {coding[:40]!r}",
                expected="the file's own bytes",
                mend=BETWEEN,
            )
        if response.status_code == 200:
            size = response.headers.get("Content-Length", "")
        else:
            size = _size_of_range(response, url, start, stop)
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


def check(response: httpx.Response, url: str):
    """Raises Transient, Refused or InputError unless the body is what was asked for."""
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise Transient(f"status {status}", _asked_wait(response))
    if status not in (200, 206):
        reason = response.headers.get("X-Error-Message", response.reason_phrase)[:200]
        code = response.headers.get("X-Error-Code", "")
        raise Refused(f"status {status} from {url}: {reason}", status, code)
    if "text/html" in response.headers.get("Content-Type", ""):
        raise InputError(f"an html page from {url}", expected="a file or JSON", mend=BETWEEN)


def limited(response: httpx.Response, url: str) -> Iterator[bytes]:
    """A body of at most MOST_JSON bytes, decoded. Raises InputError for a longer one.

    Raises Transient for one that takes longer than WHOLE.
    """
    length, begun = 0, time.monotonic()
    for piece in not_too_slow(response.iter_bytes()):
        length += len(piece)
        if time.monotonic() - begun > WHOLE:
            raise Transient(f"a body of {length} bytes in {WHOLE:.0f} s, and no end")
        if length > MOST_JSON:
            raise InputError(
                f"an answer from {url} of more than {MOST_JSON} bytes",
                expected="JSON",
                mend=BETWEEN,
            )
        yield piece


def _size_of_range(response: httpx.Response, url: str, start: int, stop: int) -> str:
    """The file's size by the Content-Range, "*" if unknown. Raises InputError for another range."""
    header = response.headers.get("Content-Range", "")
    match = re.fullmatch(rf"bytes {start}-{stop - 1}/(\d{{1,19}}|\*)", header)
    if not match or (match[1].isdecimal() and int(match[1]) < stop):
        raise InputError(
            f"the range {header[:80]!r} from {url}",
            expected=f"bytes {start}-{stop - 1}",
            mend=BETWEEN,
        )
    return match[1]


def _asked_wait(response: httpx.Response) -> float:
    """s until the server wants to be asked again, 0 where it does not say."""
    return _retry_after(response.headers.get("Retry-After", "")) or _reset(response.headers)


def _retry_after(header: str) -> float:
    """s by a header that holds a number or a date; 0 for anything else."""
    with contextlib.suppress(ValueError):
        return float(header)
    with contextlib.suppress(ValueError, OverflowError):
        return email.utils.parsedate_to_datetime(header).timestamp() - time.time()
    return 0.0


def _reset(headers: httpx.Headers) -> float:
    """s until a used-up limit is lifted, by the RateLimit headers; 0 without them.

    The hub sends `RateLimit: "api";r=0;t=55`, as draft-ietf-httpapi-ratelimit-headers has it from
    version 8 on, sections 3 and 4: remaining requests and s until there are more. Version 7 wrote
    `limit=10, remaining=0, reset=55`, those before a header RateLimit-Reset. A limit without its
    reset has at most the window of its policy, `RateLimit-Policy: "api";q=500;w=300`.
    """
    limits = [_numbers(limit) for limit in _limits(headers.get("RateLimit", ""))]
    # Only what is used up must be waited for, where the server tells it apart.
    limits = [limit for limit in limits if limit.get("r", 0) == 0] or limits
    resets = [limit["t"] for limit in limits if "t" in limit]
    resets = resets or [_numbers(f"t={headers.get('RateLimit-Reset', '')}").get("t", 0)]
    policies = [_numbers(policy) for policy in _limits(headers.get("RateLimit-Policy", ""))]
    return float(max(resets) or max(policy.get("w", 0) for policy in policies))


def _limits(header: str) -> list[str]:
    """The limits of a RateLimit or RateLimit-Policy header, each with its parameters."""
    # A name in quotes may hold what separates limits elsewhere.
    header = re.sub(r'"(?:[^"\\]|\\.)*"', '""', header[:4000])
    return header.split(",") if '"' in header else [header]


def _numbers(parameters: str) -> dict[str, int]:
    """First letter or version 7's name of a parameter -> its number."""
    names = {"remaining": "r", "reset": "t", "window": "w"}
    pairs = re.finditer(r"([a-z]+)\s*=\s*(\d{1,9})(?!\d)", parameters.lower())
    return {names.get(pair[1], pair[1]): int(pair[2]) for pair in pairs}
