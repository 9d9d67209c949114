"""When a request is repeated, how long is waited before, and when it is given up.

Every HTTP request of the package goes by this policy: exponential backoff with jitter, or the time
that the server asks for, over a limited number of failures and a limited time in a row. A failure
after some progress starts the count anew. A request that makes no progress ends within ATTEMPTS *
(ANSWER + PATIENCE) + LONGEST_TOTAL seconds.
"""

import random
import time
from collections.abc import Callable, Iterator

from dynamics.checkpoints.hub.deadline import reads_within
from dynamics.errors import InputError

ATTEMPTS = 6  # in a row without progress
ATTEMPTS_TO_CONNECT = 3  # a missing network is reported sooner than a busy server
LONGEST_WAIT = 300.0  # s; limits on requests are lifted within that time
LONGEST_TOTAL = 900.0  # s of waits in a row without progress; then the request is given up
# s from a request to the end of the headers of its answer, redirects included.
ANSWER = 60.0
# s, bytes/s: a body that is slower for that long is given up, and asked for again.
PATIENCE, SLOWEST = 60.0, 1000.0
_PROGRESS = 4096  # bytes


class Transient(Exception):
    """A failure that may pass.

    Args:
        wait: s that the server asked for.
        attempts: how many attempts are worth making in all.
    """

    def __init__(self, reason: str, wait: float = 0.0, attempts: int = ATTEMPTS):
        super().__init__(reason)
        self.wait, self.attempts = wait, attempts


class Unreachable(InputError):
    """No answer, or no whole answer, in any attempt."""

    def __init__(self, why: str):
        mend = "Check the network, HTTPS_PROXY and HF_ENDPOINT, or try again later."
        super().__init__(why, expected="a server that answers", mend=mend)
        self.why = why


class Attempts:
    """The failures of one request, with a pause after each.

    Args:
        url: for messages.
        sleep: how to wait, in s.
    """

    def __init__(self, url: str, sleep: Callable[[float], object]):
        self._url, self._sleep = url, sleep
        self._failures, self._waited = 0, 0.0

    def pause_after(self, error: Transient, received: int = 0):
        """Waits before the next attempt, after a failed one that brought `received` bytes.

        Raises Unreachable after too many failures in a row.
        """
        if received >= _PROGRESS:
            self._failures, self._waited = 0, 0.0
        self._failures += 1
        # Jitter, so that many jobs that were turned away together do not come back together.
        backoff = min(2.0 ** (self._failures - 1), 60.0) * random.uniform(0.5, 1.5)
        wait = min(max(backoff, error.wait), LONGEST_WAIT)
        self._waited += wait
        if self._failures >= error.attempts or self._waited > LONGEST_TOTAL:
            asked = f", which asked to wait for {error.wait:.0f} s" if error.wait > wait else ""
            raise Unreachable(
                f"no whole answer from {self._url} in {self._failures} attempts: {error}{asked}"
            ) from error
        self._sleep(wait)


def not_too_slow(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of a body; raises Transient once they came slower than SLOWEST for PATIENCE."""
    since, length = time.monotonic(), 0
    while True:
        # A server can also send what is no piece, such as the extension of a chunk's header.
        with reads_within(PATIENCE):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
        length += len(piece)
        elapsed = time.monotonic() - since
        if elapsed > PATIENCE:
            if length < SLOWEST * elapsed:
                raise Transient(f"a body of {length} bytes in {elapsed:.0f} s")
            since, length = time.monotonic(), 0
