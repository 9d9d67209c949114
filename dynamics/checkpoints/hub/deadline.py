"""A limit on how long a thread waits for the server, however many bytes it is sent meanwhile.

httpx limits each read by itself. A server that sends a byte of a header now and then, or one
interim answer (status 1xx) after another, would hold a request for ever.
"""

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpcore
import httpx

_thread = threading.local()  # of `end`, the time.monotonic() at which this thread's wait is over


@contextlib.contextmanager
def reads_within(seconds: float) -> Iterator[None]:
    """Reads of this thread raise httpx.ReadTimeout once the block has lasted for `seconds`.

    Clients that went through `obey` keep to it. The block inside another one counts alone.

    Example:
        >>> client = httpx.Client()
        >>> obey(client)
        >>> with client, reads_within(60.0):  # doctest: +SKIP
        ...     response = client.get("https://huggingface.co")
    """
    before = _end()
    _thread.end = time.monotonic() + seconds
    try:
        yield
    finally:
        _thread.end = before


def obey(client: httpx.Client):
    """Has every connection of a new client, direct or by a proxy, keep to `reads_within`."""
    # httpx has no public way to give a transport its network, so that it is set where the
    # transports keep it. None stands for a host that no proxy serves.
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Network()


def _end() -> float:
    return getattr(_thread, "end", math.inf)


class _Network(httpcore.NetworkBackend):
    """TCP connections as httpcore makes them, whose reads end in time."""

    def __init__(self):
        self._network = httpcore.SyncBackend()

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Stream(self._network.connect_tcp(*args, **kwargs))

    def sleep(self, seconds: float):
        self._network.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream):
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _end() - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer took longer than its limit")
        least = min(left, math.inf if timeout is None else timeout)
        return self._stream.read(max_bytes, None if math.isinf(least) else least)

    def write(self, buffer: bytes, timeout: float | None = None):
        self._stream.write(buffer, timeout)

    def close(self):
        self._stream.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(*args, **kwargs))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
