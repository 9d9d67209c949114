"""Answers that lie, never end or lead elsewhere: one clear error, no wrong byte, no token."""

import contextlib
import gzip
import hashlib

import pytest
from raw_server import endless, part, reply, serving

from dynamics.checkpoints.hub import responses, retries, transfer
from dynamics.errors import InputError


@pytest.fixture
def client():
    client = transfer.Client(
        {"Authorization": "Bearer secret"}, timeout=5, sleep=lambda seconds: None
    )
    yield client
    client.close()


TEN = b"0123456789"
FAR = "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"
PACKED = gzip.compress(TEN)[:10]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (reply(b"no gzip", Content_Encoding="gzip"), "6 attempts: DecodingError"),
        (reply(b"[" * 200_000), "not JSON"),
        (reply(b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
        (reply(status="429 Wait", Retry_After=FAR), "6 attempts: status 429"),
        (reply(status="429 Wait", Retry_After="nan"), "6 attempts: status 429"),
        (reply(status="404 " + "x" * 9000), r"status 404 from .{,300}$"),
        (reply(status="302 There", Location="/f"), "cannot be asked for .TooManyRedirects"),
        (
            reply(status="302 There", Location="file:///etc/passwd"),
            "cannot be asked for .UnsupportedProtocol",
        ),
        (reply(status="302 There", Location="http://xn--a/"), "cannot be asked for"),
        (reply(status="302 There", Location=f"http://{'a' * 300}/"), "cannot be asked for"),
        (reply(status="302 There"), "status 302"),
        (b"\0garbage\r\n\r\n", "6 attempts: RemoteProtocolError"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
            "6 attempts: RemoteProtocolError",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            "6 attempts: RemoteProtocolError",
        ),
    ],
)
def test_an_answer_that_is_no_json(client, answer, message):
    with serving(answer) as (url, _), pytest.raises(InputError, match=message):
        client.json(f"{url}/f")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (part(PACKED, "bytes 0-9/10", Content_Encoding="gzip"), "in the coding 'gzip'"),
        (reply(TEN, Content_Encoding="br"), "in the coding 'br'"),
        (part(TEN, "bytes 0-9/3"), "the range 'bytes 0-9/3'"),
        (part(TEN, "bytes 0-9/11"), "of 11 bytes; expected 10 bytes"),
        (part(TEN, "bytes 0-8/10"), "the range 'bytes 0-8/10'"),
        (part(TEN, "x" * 5000), "the range 'x{80}'"),
        (reply(TEN, "206 Partial Content"), "the range ''"),
        (reply(b"Please sign in", Content_Type="text/plain"), "of 14 bytes; expected 10 bytes"),
        (reply(status="416 No"), "status 416"),
    ],
)
def test_a_range_that_is_another(client, answer, message):
    with serving(answer) as (url, _), pytest.raises(InputError, match=message) as raised:
        client.read_range(f"{url}/f", 0, 10, 10)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("head", [part(b"", "bytes 0-9/10"), reply()])
def test_what_comes_beyond_the_range_is_not_waited_for(client, head):
    unlimited = head.replace(b"Content-Length: 0\r\n", b"")
    with serving(endless(unlimited)) as (url, _):
        assert client.read_range(f"{url}/f", 0, 10) == b"x" * 10


def test_a_body_without_an_end_is_not_kept(client, monkeypatch):
    monkeypatch.setattr(responses, "MOST_JSON", 1000)
    with serving(endless(b"HTTP/1.1 200 OK\r\n\r\n", 0)) as (url, seen):
        with pytest.raises(InputError, match="more than 1000 bytes"):
            client.json(f"{url}/f")
        assert len(seen) == 1
    bomb = reply(gzip.compress(b" " * 5000 + b"{}"), Content_Encoding="gzip")
    with serving(bomb) as (url, _), pytest.raises(InputError, match="more than 1000 bytes"):
        client.json(f"{url}/f")


def test_a_body_that_trickles_is_given_up(client, tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "PATIENCE", 0.2)
    slow = endless(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 0.05)
    with serving(slow) as (url, seen):
        with pytest.raises(InputError, match=r"6 attempts: a body of \d+ bytes"):
            client.json(f"{url}/f")
        with pytest.raises(InputError, match=r"6 attempts: a body of \d+ bytes"):
            client.download(f"{url}/f", tmp_path / "blob", 100_000, "0" * 64)
        assert len(seen) == 12
    assert not (tmp_path / "blob").exists()


def cut(etag: str) -> bytes:
    return (
        part(TEN, "bytes 0-9/20", ETag=etag)
        .replace(b"bytes 0-9/", b"bytes 0-19/")
        .replace(b": 10", b": 20")
    )


def test_a_file_that_changes_between_two_requests(client, tmp_path):
    """The ETag of a range must stay; a whole file is checked by its digest and begun anew."""
    rest = part(TEN, "bytes 10-19/20", ETag="b")
    with (
        serving(cut("a"), rest) as (url, _),
        pytest.raises(InputError, match="changed while it was read"),
    ):
        client.read_range(f"{url}/f", 0, 20)
    with serving(cut("b"), rest) as (url, _):
        assert client.read_range(f"{url}/f", 0, 20) == TEN * 2
    whole = part(b"abcdefghij" * 2, "bytes 0-19/20", ETag="b")
    digest = hashlib.sha256(b"abcdefghij" * 2).hexdigest()
    with serving(cut("a"), rest, whole) as (url, seen):
        assert (
            client.download(f"{url}/f", tmp_path / "f", 20, digest).read_bytes()
            == b"abcdefghij" * 2
        )
        assert len(seen) == 3


def test_a_longer_file_than_was_promised_is_not_fetched(client, tmp_path):
    long = endless(reply(Content_Length=str(10**15)))
    with (
        serving(long) as (url, _),
        pytest.raises(InputError, match=r"of 10{15} bytes; expected 10 bytes"),
    ):
        client.download(f"{url}/f", tmp_path / "f", 10, "0" * 64)
    assert not (tmp_path / "f").exists()


def test_the_token_goes_nowhere_by_any_chain_of_redirects(client):
    with contextlib.ExitStack() as open_:
        last, seen_last = open_.enter_context(serving(reply(b"{}")))
        other, seen_other = open_.enter_context(
            serving(reply(status="307 On", Location=f"{last}/x"))
        )
        chain = reply(status="302 On", Location="/y"), reply(status="301 On", Location=f"{other}/z")
        first, seen_first = open_.enter_context(serving(*chain))
        assert client.json(f"{first}/f") == {}
    assert all(b"Bearer secret" in request for request in seen_first)
    assert len(seen_first) == 2
    assert len(seen_other) == len(seen_last) == 1
    assert b"secret" not in seen_other[0] + seen_last[0]
