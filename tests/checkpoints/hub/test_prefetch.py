"""The next fetch runs beside the use of this one; errors come in turn; nothing is left behind."""

import subprocess
import sys
import threading
import time

import pytest
from hub_server import PIECE, serving

from dynamics.checkpoints import hub
from dynamics.checkpoints.hub import prefetched


@pytest.mark.parametrize(("compute", "fetching"), [(0.3, 0.2), (0.2, 0.3), (0.25, 0.25)])
def test_a_slow_download_hides_behind_computing(compute, fetching):
    begun = time.monotonic()
    for key, _ in prefetched(range(8), lambda key: time.sleep(fetching)):
        assert key >= 0
        time.sleep(compute)
    assert time.monotonic() - begun < 1.2 * 8 * max(compute, fetching)


@pytest.mark.alone
@pytest.mark.parametrize("compute", [0.4, 1.0])
def test_a_slow_hub_hides_behind_computing(compute, tmp_path, monkeypatch):
    """A revision takes 0.6 s over HTTP: 40 pieces of a file come 15 ms apart."""
    branches = {
        f"step{k}": {"config.json": b"{}", "model.safetensors": bytes([k]) * 40 * PIECE}
        for k in range(8)
    }
    with serving({"me/slow": branches}, monkeypatch, tmp_path) as server:
        server.fail("/cdn/", "slow", 0.015, 99)
        begun, waited = time.monotonic(), 0.0
        hub.list_files("me/slow", "step0")

        def bring(revision: str):
            nonlocal waited
            since = time.monotonic()
            hub.fetch("me/slow", revision)
            waited += time.monotonic() - since

        for _ in prefetched(branches, bring):
            time.sleep(compute)
        assert time.monotonic() - begun < 1.2 * max(waited, len(branches) * compute)
        assert waited > len(branches) * 0.5


def test_items_come_in_order_with_their_results():
    assert list(prefetched("abc", str.upper)) == [("a", "A"), ("b", "B"), ("c", "C")]
    assert list(prefetched([], str.upper)) == []


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_more_than_depth_items_are_ahead_of_the_one_in_use(depth):
    fetched = []
    for key, _ in prefetched(range(8), fetched.append, depth):
        time.sleep(0.03)
        assert len(fetched) == min(8, key + 1 + depth)


def test_an_error_waits_for_its_turn():
    def fetch(key):
        if key == 2:
            raise ValueError("the third")
        return key

    seen, released = [], []
    pairs = prefetched(range(5), fetch, depth=3, release=released.append)
    for _ in range(2):
        seen.append(next(pairs)[0])
        time.sleep(0.02)
    with pytest.raises(ValueError, match="the third"):
        next(pairs)
    assert seen == released == [0, 1]


def test_every_item_is_released_once_after_its_use():
    fetched, released = [], []
    for key, _ in prefetched(range(5), fetched.append, release=released.append):
        assert released == list(range(key))
    assert released == fetched == list(range(5))


@pytest.mark.parametrize("pause", [0, 0.1])
def test_a_consumer_that_stops_early_leaves_no_thread_and_nothing_unreleased(pause):
    fetched, released, threads = [], [], threading.active_count()

    def fetch(key):
        time.sleep(0.03)
        fetched.append(key)

    pairs = prefetched(range(100), fetch, depth=2, release=released.append)
    next(pairs)
    time.sleep(pause)
    pairs.close()
    time.sleep(0.1)
    assert threading.active_count() == threads
    assert sorted(released) == sorted(fetched)
    assert len(fetched) <= 3


def test_an_interrupt_does_not_wait_for_the_download_under_way():
    program = (
        "import time; from dynamics.checkpoints.hub import prefetched\n"
        "for key, _ in prefetched(range(3), lambda key: time.sleep(60 * key)):\n"
        "    raise KeyboardInterrupt"
    )
    begun = time.monotonic()
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert b"KeyboardInterrupt" in run.stderr
    assert time.monotonic() - begun < 40
