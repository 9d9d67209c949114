"""Whatever a server, a setting or a name does: one short printable sentence, in time.

Kind by kind: servers that hold a client, names and headers with escape bytes, settings that cannot
be used, names of a megabyte, requests that nobody asked for.
"""

import json
import os
import socket
import subprocess
import sys
import time

import huggingface_hub.constants
import pytest
from hub_server import serving as hub_serving
from raw_server import endless, reply, serving

from dynamics import checkpoints
from dynamics.checkpoints import hub
from dynamics.checkpoints.hub import responses, retries, transfer
from dynamics.checkpoints.hub.client import client
from dynamics.errors import InputError

ESCAPE, HIDDEN = "\x1b]0;owned\x07\x1b[31m", "\u202e\u200b\udc80"
LONG = "n" * 1_000_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def one_sentence(error: BaseException):
    message = str(error)
    assert message.startswith("got ")
    assert message.isprintable()
    assert len(message) < 3500


def floods(answer: bytes):
    def send(connection: socket.socket):
        while True:
            connection.sendall(answer * 100)

    return send


def refs(*names: str) -> bytes:
    branches = [{"name": name, "targetCommit": "0" * 40} for name in names]
    return reply(json.dumps({"branches": branches}).encode(), Content_Type="application/json")


def listing(*names: str) -> bytes:
    siblings = [{"rfilename": name, "size": 1, "blobId": "0" * 40} for name in names]
    return reply(json.dumps({"siblings": siblings}).encode(), Content_Type="application/json")


# Every answer to list_files(repo, "main"), whose first request is for the branches.
ANSWERS = {
    "header bytes that drip": [endless(b"HTTP/1.1 200 OK\r\nA: ")],
    "a status line that drips": [endless(b"HTTP/1.1 200 O")],
    "a chunk's header that drips": [endless(CHUNKED + b"1;a=")],
    "a trailer that drips": [endless(CHUNKED + b"0\r\nA: ")],
    "interim answers without end": [floods(b"HTTP/1.1 100 Continue\r\n\r\n")],
    "early hints without end": [floods(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")],
    "interim answers that drip": [endless(b"HTTP/1.1 102 Processing\r\n", 0.001)],
    "a redirect whose body never ends": [
        endless(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9999999999\r\n\r\n")
    ],
    "redirects that drip": [endless(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nA: ")],
    "silence": [lambda connection: time.sleep(1)],
    "a reason with escapes": [reply(status=f"404 {ESCAPE}")],
    "an error message with escapes": [reply(status="404 No", X_Error_Message=f"\x9b31m{ESCAPE}")],
    "an error code of 60,000 bytes": [reply(status="404 No", X_Error_Code="x" * 60_000)],
    "a redirect with escapes": [reply(status="302 Found", Location=f"http://127.0.0.1:1/{ESCAPE}")],
    "a redirect to no port": [reply(status="302 Found", Location="http://127.0.0.1:99999/")],
    "JSON that goes on and on": [endless(b"HTTP/1.1 200 OK\r\n\r\n[", 0.001)],
    "branches with escapes": [refs(ESCAPE, f"a{HIDDEN}")],
    "a branch of a megabyte": [refs(LONG)],
    "text with escapes in place of JSON": [reply(ESCAPE.encode())],
    "files with escapes": [refs("main"), listing(f"{ESCAPE}.safetensors", HIDDEN)],
    "files of a megabyte": [refs("main"), listing(LONG)],
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with empty caches, whose client waits for no one."""
    monkeypatch.setenv("DYNAMICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transfer, "ANSWER", 0.1)
    monkeypatch.setattr(retries, "PATIENCE", 0.1)
    monkeypatch.setattr(responses, "WHOLE", 0.1)
    hub.reset()
    yield monkeypatch
    hub.reset()


@pytest.mark.parametrize("answer", ANSWERS)
def test_hub_answers_end_in_time_and_in_one_sentence(machine, answer):
    begun = time.monotonic()
    with serving(*ANSWERS[answer]) as (url, _):
        machine.setenv("HF_ENDPOINT", url)
        client().sleep = lambda seconds: None
        with pytest.raises(InputError) as raised:
            hub.list_files("a/b").file("config.json")
    one_sentence(raised.value)
    assert time.monotonic() - begun < 10


def test_a_slow_server_is_given_its_time(machine):
    """The limit holds for an answer's headers and for each piece of a body, not for the whole."""

    def slow(connection: socket.socket):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for byte in b"0123456789":
            time.sleep(0.05)
            connection.sendall(bytes([byte]))

    machine.setattr(retries, "SLOWEST", 1.0)
    machine.setattr(retries, "PATIENCE", 2.0)
    with serving(slow) as (url, seen):
        http = transfer.Client(timeout=5)
        assert http.read_range(f"{url}/f", 0, 10) == b"0123456789"
        http.close()
    assert len(seen) == 1


SETTINGS = [
    *(("HF_ENDPOINT", address) for address in ("nonsense", "http://", "ftp://x", "file:///etc")),
    *(("HF_ENDPOINT", address) for address in ("http://[::1", "http://exa mple", "https://x:0")),
    *(("HF_ENDPOINT", address) for address in ("http://x:99999", "http://x:abc", f"http://{LONG}")),
    *(
        ("HF_ENDPOINT", address)
        for address in ("http://\x1b[31m", "http://x/?a=1", "http://\udc80")
    ),
    *(("HTTP_PROXY", address) for address in ("ftp://x", "http://[::", "http://\x1b[31m")),
    *(("all_proxy", address) for address in ("socks9://x", "http://user:secret@[::")),
    ("NO_PROXY", "http://[::"),
    *(("SSL_CERT_FILE", path) for path in ("/nowhere", "/", "/dev/null")),
    *(("HF_TOKEN", token) for token in ("a secret", "secret\x1b[31m", "secreté", "secret" * 9999)),
]


@pytest.mark.parametrize(("name", "value"), SETTINGS, ids=lambda text: ascii(text)[:40])
def test_a_setting_that_cannot_be_used_is_one_sentence(machine, name, value):
    machine.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    machine.setenv(name, value)
    with pytest.raises(InputError) as raised:
        hub.list_revisions("a/b")
    one_sentence(raised.value)
    assert name in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_address_that_cannot_be_parsed_is_no_error_of_an_import():
    """huggingface_hub parses HF_ENDPOINT when it is imported."""
    script = "from dynamics.checkpoints import hub\nhub.list_revisions('a/b')"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HF_ENDPOINT": "http://[\x1b"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "InputError: got 'http://[\\x1b' for HF_ENDPOINT" in run.stderr.splitlines()[-1]


def test_a_password_in_an_address_is_not_shown(machine):
    machine.setenv("HF_ENDPOINT", "http://me:secret@127.0.0.1:1")
    client().sleep = lambda seconds: None
    with pytest.raises(InputError, match=r"http://\.\.\.@127\.0\.0\.1") as raised:
        hub.list_revisions("a/b")
    assert "secret" not in str(raised.value)


NAMES = [
    *(LONG, f"a/{LONG}", "/" * 9999, "", "a/b\0", "a\0b"),
    *(f"{ESCAPE}/x", f"a/{ESCAPE}", f"a/b{HIDDEN}", "a/b\n", "~nobody/x"),
]


@pytest.mark.parametrize("name", NAMES, ids=lambda text: ascii(text)[:20])
def test_a_name_of_any_kind_is_one_short_sentence(machine, name):
    machine.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    for refused in (
        lambda: checkpoints.load(name),
        lambda: checkpoints.load("a/b", name),
        lambda: checkpoints.config("a/b", name),
        lambda: hub.fetch("a/b", "main", weights=name),
    ):
        client().sleep = lambda seconds: None
        with pytest.raises(InputError) as raised:
            refused()
        one_sentence(raised.value)


def test_nothing_is_asked_of_the_hub_but_what_is_needed(machine, tmp_path):
    """huggingface_hub's own headers would ask /api/agent-harnesses first."""
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    with hub_serving({"a/b": {"main": files}}, machine, tmp_path) as server:
        hub.fetch("a/b")
        asked = {path.split("/")[1] for path in server.requests}
        assert asked == {"api", "a", "cdn"}
        assert {path for path in server.requests if path.startswith("/api/")} == {
            "/api/models/a/b/refs",
            f"/api/models/a/b/revision/{server.commit('a/b', 'main')}",
        }
