"""A server that answers with given bytes, or with whatever a function does to the connection."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

Reply = bytes | Callable[[socket.socket], object]


@contextlib.contextmanager
def serving(*replies: Reply) -> Iterator[tuple[str, list[bytes]]]:
    """(address, requests so far): the n-th request gets the n-th reply, later ones the last."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(connection: socket.socket):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(1 << 16)
            seen.append(request)
            reply = replies[min(len(seen), len(replies)) - 1]
            reply(connection) if callable(reply) else connection.sendall(reply)

    def listen():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=listener.accept()[:1], daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    listener.close()


def reply(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    fields = {
        "Content-Length": str(len(body)),
        "Connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def part(body: bytes, span: str, **headers: str) -> bytes:
    return reply(body, "206 Partial Content", Content_Range=span, **headers)


def endless(head: bytes, pause: float = 0.01) -> Callable[[socket.socket], object]:
    def send(connection: socket.socket):
        connection.sendall(head)
        while True:
            connection.sendall(b"x" * 10)
            time.sleep(pause)

    return send
