"""File systems without links or locks, and servers that limit requests, as people have them."""

import errno
import fcntl
import os
import random

import pytest
from hub_server import git_sha1, serving
from raw_server import reply
from raw_server import serving as raw_serving

from dynamics import cache
from dynamics.checkpoints import hub
from dynamics.checkpoints.hub import retries, transfer
from dynamics.checkpoints.hub.client import client
from dynamics.errors import InputError

WEIGHTS = random.Random(0).randbytes(50_000)
FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}
REPOS = {"a/b": {"main": FILES, "step1": {**FILES, "config.json": b'{"a": 1}'}}}


@pytest.fixture
def server(monkeypatch, tmp_path):
    with serving(REPOS, monkeypatch, tmp_path) as server:
        yield server


def refuse(patch, module, name: str, number: int):
    def refusing(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    patch.setattr(module, name, refusing)


@pytest.mark.parametrize("code", ["EPERM", "ENOTSUP", "ENOSYS", "EINVAL", "EOPNOTSUPP", "EIO"])
@pytest.mark.parametrize("locks", ["locks", "no locks"])
def test_a_file_system_without_links_holds_copies(server, monkeypatch, code, locks, tmp_path):
    refuse(monkeypatch, os, "symlink", getattr(errno, code))
    if locks == "no locks":
        refuse(monkeypatch, fcntl, "flock", errno.ENOTSUP)
    for revision in ("main", "step1", "main"):
        folder = hub.fetch("a/b", revision)
        names = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert names.pop("complete") == b""
        assert names == REPOS["a/b"][revision]
    assert hub.find_local("a/b", "main") is not None
    store = tmp_path / "cache" / "hub" / "a--b"
    blobs = [path for path in store.glob("blobs/*") if path.suffix != ".lock"]
    if locks == "locks":  # what was copied is not kept twice, and evicted as anything else
        assert blobs == []
        hub.evict(0)
        assert hub.find_local("a/b", "main") is None


@pytest.mark.parametrize("code", ["ENOTSUP", "EOPNOTSUPP", "ENOLCK", "EINVAL"])
def test_a_file_system_without_locks_is_worked_on_without(server, monkeypatch, code, tmp_path):
    refuse(monkeypatch, fcntl, "flock", getattr(errno, code))
    with cache.locked(tmp_path / "lock") as held:
        assert not held
    budget = hub.Budget(0)
    folder = budget.fetch("a/b")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    budget.release("a/b")
    assert hub.find_local("a/b") == folder  # it cannot be known who needs it
    litter = [path for path in tmp_path.rglob("*") if path.suffix in (".incomplete", ".copy")]
    assert litter == []


def test_a_download_without_locks_leaves_another_alone(monkeypatch, tmp_path, server):
    refuse(monkeypatch, fcntl, "flock", errno.ENOTSUP)
    digest = git_sha1(b"{}")
    partial = tmp_path / f"{digest}.incomplete"
    partial.write_bytes(b"another process is at it")
    commit = server.commit("a/b", "main")
    url = f"{server.url}/a/b/resolve/{commit}/config.json"
    assert client().download(url, tmp_path / digest, 2, digest).read_bytes() == b"{}"
    assert partial.read_bytes() == b"another process is at it"


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), cache.locked(tmp_path / "file" / "lock"):
        pass


LIMITS = [
    ({"RateLimit": '"api";r=0;t=200'}, 200),
    ({"ratelimit": '"resolvers";r=0;t=55', "ratelimit-policy": '"fixed window";"x";q=5;w=300'}, 55),
    ({"RateLimit": '"burst";r=9;t=3, "daily, r=0;t=9";r=0;t=77'}, 77),
    ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50),
    ({"RateLimit-Limit": "100", "RateLimit-Remaining": "0", "RateLimit-Reset": "31"}, 31),
    ({"RateLimit": '"api";r=0', "RateLimit-Policy": '"api";q=500;w=250'}, 250),
    ({"RateLimit": '"api" ; r = 0 ; t = 12'}, 12),
    ({"RateLimit": '"api";r=0;t=55', "Retry-After": "7"}, 7),
    ({"RateLimit": '"api";r=0;t=55', "Retry-After": "soon"}, 55),
    ({"RateLimit": '"api";r=0;t=86400'}, retries.LONGEST_WAIT),
    ({"RateLimit": '"' * 3000}, None),
    ({"RateLimit": '"api";r=0;t=-5'}, None),
    ({"RateLimit": '"api";r=0;t=' + "9" * 400}, None),
    ({"RateLimit-Reset": "tomorrow"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("headers", "wait"), LIMITS, ids=lambda value: str(value)[:50])
def test_a_limit_on_requests_is_waited_for_as_it_says(headers, wait):
    """Without a stated time the wait is the first of the backoff, half a second to one and half."""
    slept: list[float] = []
    busy = reply(
        status="429 Too Many Requests", **{k.replace("-", "_"): v for k, v in headers.items()}
    )
    with raw_serving(busy, reply(b"{}")) as (url, _):
        http = transfer.Client(timeout=5, sleep=slept.append)
        assert http.json(f"{url}/f") == {}
        http.close()
    assert len(slept) == 1
    assert 0.5 <= slept[0] <= 1.5 if wait is None else slept == [wait]


def test_a_limit_that_stays_ends_within_a_total():
    slept: list[float] = []
    busy = reply(status="429 Too Many Requests", RateLimit='"api";r=0;t=86400')
    with raw_serving(busy) as (url, _):
        http = transfer.Client(timeout=5, sleep=slept.append)
        with pytest.raises(InputError, match="429, which asked to wait for 86400 s"):
            http.json(f"{url}/f")
        http.close()
    assert 0 < sum(slept) <= retries.LONGEST_TOTAL
