"""A local hub: refs, listings, ranges, redirects, and every fault that a network has."""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants

from dynamics.checkpoints import hub
from dynamics.checkpoints.hub.client import client

Repos = dict[str, dict[str, dict[str, bytes]]]  # repo -> revision -> file -> content
LARGE = (".safetensors", ".bin")  # kept outside of git: sha256, and a redirect
PIECE = 1 << 14


@dataclasses.dataclass
class Fault:
    """What goes wrong with requests whose path contains `part`, `times` times.

    Kinds: cut (after `number` bytes), status (`number`, with `headers`), wrong (other bytes of the
        same length), slow (`number` s before every piece), html, whole (the range is ignored),
        shifted (a wrong Content-Range).
    """

    part: str
    kind: str
    number: float = 0
    times: float = 1
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


class HubServer:
    """Serves `repos` at `url` until closed.

    Large files are redirected to `elsewhere`, which may be this server.
    """

    def __init__(self, repos: Repos, elsewhere: "HubServer | None" = None):
        self.repos, self.gated = repos, set()
        self.faults: list[Fault] = []
        self.requests: collections.Counter[str] = collections.Counter()  # by path
        self.served: collections.Counter[str] = collections.Counter()  # bytes of bodies, by path
        self.tokens: dict[str, str | None] = {}  # Authorization by path
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self})
        )
        self._server.handle_error = lambda *_: None  # clients hang up here on purpose
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.elsewhere = elsewhere or self
        # A closing server waits for its next look: half a second each would be most of a test.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def fail(self, part: str, kind: str, number: float = 0, times: float = 1, **headers: str):
        self.faults.append(
            Fault(part, kind, number, times, {k.replace("_", "-"): v for k, v in headers.items()})
        )

    def heal(self):
        self.faults.clear()

    def commit(self, repo: str, revision: str) -> str:
        files = self.repos[repo][revision]
        return hashlib.sha1(
            repr((repo, sorted((n, sha256(c)) for n, c in files.items()))).encode()
        ).hexdigest()

    def count(self, part: str = "") -> int:
        return sum(count for path, count in self.requests.items() if part in path)

    def bytes_of(self, name: str) -> int:
        return sum(count for path, count in self.served.items() if path.endswith(name))

    def take_fault(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.part in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.requests[path] += 1
        self.hub.tokens[path] = self.headers["Authorization"]
        fault = self.hub.take_fault(path)
        with contextlib.suppress(OSError):  # the client hung up
            if fault and fault.kind == "status":
                return self._send(int(fault.number), b"{}", fault.headers)
            if fault and fault.kind == "html":
                return self._send(
                    200, b"<html>Please log in</html>", {"Content-Type": "text/html; charset=utf-8"}
                )
            self._route(path, fault)
        return None

    def _route(self, path: str, fault: Fault | None):
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self._api("/".join(parts[2:4]), parts[4:])
        if parts[0] == "cdn":
            return self._file(path, self._content("/".join(parts[1:3]), *parts[3:]), fault)
        repo, (_, commit, name) = "/".join(parts[:2]), parts[2:]
        if repo in self.hub.gated:
            return self._refuse(403, "GatedRepo")
        content = self._content(repo, commit, name)
        if content is not None and name.endswith(LARGE):
            return self._send(
                302, b"", {"Location": f"{self.hub.elsewhere.url}/cdn/{repo}/{commit}/{name}"}
            )
        return self._file(path, content, fault)

    def _api(self, repo: str, rest: list[str]):
        if repo not in self.hub.repos:
            return self._refuse(401, "RepoNotFound")
        commits = {revision: self.hub.commit(repo, revision) for revision in self.hub.repos[repo]}
        if rest == ["refs"]:
            branches = [
                {"name": r, "ref": f"refs/heads/{r}", "targetCommit": c}
                for r, c in commits.items()
                if not r.startswith("refs/pr/")
            ]
            return self._json({"branches": branches, "tags": [], "converts": []})
        for revision, commit in commits.items():
            if "/".join(rest[1:]) in (revision, commit):
                siblings = [_sibling(*file) for file in self.hub.repos[repo][revision].items()]
                return self._json({"id": repo, "sha": commit, "siblings": siblings})
        return self._refuse(404, "RevisionNotFound")

    def _content(self, repo: str, commit: str, name: str) -> bytes | None:
        for revision, files in self.hub.repos.get(repo, {}).items():
            if self.hub.commit(repo, revision) == commit:
                return files.get(name)
        return None

    def _file(self, path: str, content: bytes | None, fault: Fault | None):
        if content is None:
            return self._refuse(404, "EntryNotFound")
        kind = fault.kind if fault else ""
        if kind == "wrong":
            content = bytes(byte ^ 1 for byte in content)
        span, total = self.headers["Range"], len(content)
        status, headers = 200, {}
        if span and kind != "whole":
            start, stop = (int(end) for end in span.removeprefix("bytes=").split("-"))
            if start >= total:
                return self._send(416, b"", {"Content-Range": f"bytes */{total}"})
            content = content[start : stop + 1]
            start += kind == "shifted"
            status, headers = (
                206,
                {"Content-Range": f"bytes {start}-{start + len(content) - 1}/{total}"},
            )
        return self._send(status, content, headers, path, fault)

    def _json(self, answer):
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str):
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(
        self, status: int, body: bytes, headers: dict, path: str = "", fault: Fault | None = None
    ):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        end = fault.number if fault and fault.kind == "cut" else math.inf
        for at in range(0, len(body), PIECE):
            if fault and fault.kind == "slow":
                time.sleep(fault.number)
            piece = body[at : int(min(at + PIECE, end, len(body)))]
            # Counted before it is sent: a client may look at the count as soon as it has the last.
            self.hub.served[path] += len(piece)
            self.wfile.write(piece)
            if at + len(piece) >= end:
                self.close_connection = True
                return self.connection.shutdown(socket.SHUT_RDWR)
        return None


@contextlib.contextmanager
def serving(repos: Repos, patch, folder: Path) -> Iterator[HubServer]:
    """A server as the hub of this process, with caches of its own and no waits."""
    server = HubServer(repos)
    patch.setenv("HF_ENDPOINT", server.url)
    patch.setenv("HF_TOKEN", "secret")
    patch.setenv("DYNAMICS_CACHE", str(folder / "cache"))
    patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hf"))
    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    hub.reset()
    client().sleep = lambda seconds: None
    yield server
    hub.reset()
    server.close()


def _sibling(name: str, content: bytes) -> dict:
    sibling = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
    if name.endswith(LARGE):
        sibling["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
    return sibling


@functools.cache  # a listing of 150 branches asks for theirs again and again
def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
