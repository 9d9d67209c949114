"""A download arrives whole or fails with one clear error, whatever the network does."""

import errno
import math
import resource
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hub_server import HubServer, git_sha1, sha256

from dynamics.checkpoints.hub import retries, transfer
from dynamics.errors import InputError

BODY = bytes(range(256)) * 1000
WRONG = bytes(byte ^ 1 for byte in BODY)
SMALL = b'{"hidden_size": 3}'
COMMIT_FILES = {"model.bin": BODY, "config.json": SMALL, "empty.bin": b""}
CUT = 100_003


@pytest.fixture
def server():
    server = HubServer({"acme/tiny": {"main": COMMIT_FILES}})
    yield server
    server.close()


@pytest.fixture
def client():
    slept: list[float] = []
    client = transfer.Client(timeout=5, sleep=slept.append)
    client.slept = slept
    yield client
    client.close()


def where(server: HubServer, name: str = "model.bin") -> str:
    return f"{server.url}/acme/tiny/resolve/{server.commit('acme/tiny', 'main')}/{name}"


def bring(client, server, folder, **other):
    return client.download(
        where(server), folder / "blob", len(BODY), other.get("digest", sha256(BODY))
    )


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"blob.lock"}


def test_files_arrive_and_are_asked_for_once(client, server, tmp_path):
    for _ in range(2):
        assert bring(client, server, tmp_path).read_bytes() == BODY
    assert (
        client.download(where(server, "empty.bin"), tmp_path / "e", 0, sha256(b"")).read_bytes()
        == b""
    )
    small = client.download(
        where(server, "config.json"), tmp_path / "c", len(SMALL), git_sha1(SMALL)
    )
    assert small.read_bytes() == SMALL
    assert names(tmp_path) - {"e.lock", "c.lock"} == {"blob", "e", "c"}
    assert server.count("model.bin") == 2  # one, redirected
    assert server.count("empty.bin") == 0


@pytest.mark.parametrize(
    ("fault", "number", "times"),
    [("cut", CUT, 1), ("cut", 40_000, 5), ("cut", 0, 3), ("status", 500, 3), ("status", 503, 5),
     ("status", 429, 2), ("status", 408, 1), ("whole", 0, math.inf), ("wrong", 0, 1),
     ("slow", 0.005, 1)],
)  # fmt: skip
def test_a_fault_that_passes_costs_no_more_than_time(
    client, server, tmp_path, fault, number, times
):
    server.fail("/cdn/", fault, number, times)
    assert bring(client, server, tmp_path).read_bytes() == BODY
    assert names(tmp_path) == ({"blob", "blob.rejected"} if fault == "wrong" else {"blob"})


@pytest.mark.parametrize(
    ("fault", "number", "message"),
    [("cut", 0, "no whole answer .* 6 attempts"), ("status", 500, "6 attempts: status 500"),
     ("status", 429, "6 attempts: status 429"), ("status", 404, "status 404"),
     ("html", 0, "an html page"), ("shifted", 0, "got the range 'bytes 1-"),
     ("wrong", 0, f"with digest {sha256(WRONG)}; expected {sha256(BODY)}.*set aside")],
)  # fmt: skip
def test_a_fault_that_stays_is_one_clear_error(client, server, tmp_path, fault, number, message):
    server.fail("/cdn/", fault, number, math.inf)
    with pytest.raises(InputError, match=message):
        bring(client, server, tmp_path)
    assert not (tmp_path / "blob").exists()
    server.heal()
    assert bring(client, server, tmp_path).read_bytes() == BODY


def test_a_cut_download_goes_on_where_it_was(client, server, tmp_path):
    server.fail("/cdn/", "cut", CUT)
    bring(client, server, tmp_path)
    assert server.bytes_of("model.bin") == len(BODY)


def test_many_cuts_with_progress_are_no_failure(client, server, tmp_path):
    server.fail("/cdn/", "cut", 10_000, math.inf)
    assert bring(client, server, tmp_path).read_bytes() == BODY
    assert server.bytes_of("model.bin") == len(BODY)


def test_a_wrong_file_is_set_aside_and_never_used(client, server, tmp_path):
    server.fail("/cdn/", "wrong", times=2)
    with pytest.raises(InputError, match="digest"):
        bring(client, server, tmp_path)
    assert names(tmp_path) == {"blob.rejected"}
    assert server.bytes_of("model.bin") == 2 * len(BODY)


@pytest.mark.parametrize("left", [BODY[:CUT], BODY, b"other" * 30_000, BODY + b"more"])
def test_whatever_lies_there_from_before(client, server, tmp_path, left):
    (tmp_path / "blob.incomplete").write_bytes(left)
    assert bring(client, server, tmp_path).read_bytes() == BODY
    assert server.bytes_of("model.bin") <= len(BODY) + (len(BODY) - CUT)


def test_a_server_is_given_the_time_it_asks_for(client, server):
    server.fail("/config.json", "status", 429, 1, Retry_After="17")
    server.fail("/config.json", "status", 503, 1, Retry_After="100000")
    server.fail("/config.json", "status", 503, 1, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    assert client.json(where(server, "config.json")) == {"hidden_size": 3}
    assert client.slept[:2] == [17.0, retries.LONGEST_WAIT]
    assert 2 <= client.slept[2] <= 6


def test_waits_grow_and_end(client, server):
    server.fail("/config.json", "status", 500, math.inf)
    with pytest.raises(retries.Unreachable):
        client.json(where(server, "config.json"))
    assert [round(math.log2(wait)) in (k - 1, k, k + 1) for k, wait in enumerate(client.slept)] == [
        True
    ] * 5


def test_ranges(client, server):
    for start, stop in ((0, 10), (77, 100_077), (len(BODY) - 1, len(BODY)), (5, 5)):
        assert client.read_range(where(server), start, stop) == BODY[start:stop]
    server.fail("/cdn/", "cut", 50_000)
    assert client.read_range(where(server), 3, 100_003) == BODY[3:100_003]


def test_a_server_that_ignores_ranges_is_not_read_to_its_end(client, server):
    big = bytes(30_000_000)
    server.repos["acme/tiny"]["main"] = {"model.bin": big}
    server.fail("/cdn/", "whole", times=math.inf)
    assert client.read_range(where(server), 70_000, 70_010) == big[:10]
    assert server.bytes_of("model.bin") < 15_000_000  # what is under way in the sockets' buffers


@pytest.mark.parametrize("span", [(0, len(BODY) + 1), (len(BODY), len(BODY) + 5)])
def test_a_range_beyond_the_end_is_refused(client, server, span):
    with pytest.raises(InputError, match=r"got the range 'bytes|status 416"):
        client.read_range(where(server), *span)


def test_a_page_in_place_of_json(client, server):
    server.fail("config.json", "html")
    with pytest.raises(InputError, match=r"an html page .* proxy or a login page"):
        client.json(where(server, "config.json"))
    with pytest.raises(InputError, match="not JSON"):
        client.json(where(server))


def test_a_stalled_body_is_asked_for_again(server, tmp_path):
    server.fail("/cdn/", "slow", 0.5, 1)
    client = transfer.Client(timeout=0.2, sleep=lambda seconds: None)
    assert bring(client, server, tmp_path).read_bytes() == BODY
    client.close()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "nonsense", "ftp://host/x", "http://host:port/x"]
)
def test_no_server(client, url):
    with pytest.raises(InputError, match=r"127.0.0.1:1/x in 3 attempts|cannot be asked for"):
        client.json(url)


def test_the_token_stays_with_the_endpoint(tmp_path):
    other = HubServer({"acme/tiny": {"main": COMMIT_FILES}})
    server = HubServer(other.repos, elsewhere=other)
    client = transfer.Client({"Authorization": "Bearer secret"})
    bring(client, server, tmp_path)
    assert set(server.tokens.values()) == {"Bearer secret"}
    assert set(other.tokens.values()) == {None}
    for each in (client, server, other):
        each.close()


def test_a_token_that_cannot_be_sent_is_not_shown(server):
    client = transfer.Client({"Authorization": "Bearer hf_secret\n"})
    with pytest.raises(InputError, match=r"cannot be asked for .*HF_TOKEN") as raised:
        client.json(where(server, "config.json"))
    assert "hf_secret" not in str(raised.value)
    client.close()


def test_a_full_disk_is_told_and_the_next_attempt_goes_on(client, server, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CUT, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            bring(client, server, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert raised.value.errno == errno.EFBIG
    partial = (tmp_path / "blob.incomplete").read_bytes()
    assert BODY.startswith(partial)
    assert len(partial) > CUT // 2
    before = server.bytes_of("model.bin")
    assert bring(client, server, tmp_path).read_bytes() == BODY
    assert server.bytes_of("model.bin") - before == len(BODY) - len(partial)


def test_threads_that_want_one_file_write_it_once(client, server, tmp_path):
    server.fail("/cdn/", "slow", 0.01, 1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: bring(client, server, tmp_path), range(4)))
    assert server.bytes_of("model.bin") == len(BODY)


def test_a_halted_download_keeps_what_it_has(client, server, tmp_path):
    halt = threading.Event()
    server.fail("/cdn/", "slow", 0.02, 1)
    timer = threading.Timer(0.1, halt.set)
    timer.start()
    with pytest.raises(transfer.Halted):
        client.download(where(server), tmp_path / "blob", len(BODY), sha256(BODY), halt=halt)
    timer.join()
    assert 0 < (tmp_path / "blob.incomplete").stat().st_size < len(BODY)
