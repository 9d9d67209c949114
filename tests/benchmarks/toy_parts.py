"""Parts that go wrong in every way that a part can, and one after each that does not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.device import memory, peers
from benchmarks.device.part import Part


class Timed:
    seconds = 1.0


def fine(sizes, earlier) -> dict:
    return {"sizes": sizes, "earlier": sorted(earlier), "remarks": ["all is well"]}


def without_peer(sizes, earlier) -> dict:
    def build():
        import no_such_peer  # pyright: ignore[reportMissingImports]

        return no_such_peer.side

    peer = peers.Peer("NoSuchPeer", build)
    return peers.compare(lambda number: Timed(), peer, 2, memory.Peaks())[1]


def peer_out_of_memory(sizes, earlier) -> dict:
    def build():
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB\nand more words")

    peer = peers.Peer("Greedy", build)
    return peers.compare(lambda number: Timed(), peer, 2, memory.Peaks())[1]


def out_of_memory(sizes, earlier) -> dict:
    raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nA long story.")


def disagrees(sizes, earlier) -> dict:
    return {"agrees": False, "remarks": ["numbers are apart"]}


def killed(sizes, earlier) -> dict:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def hangs(sizes, earlier) -> dict:
    """Starts a process that would outlive it, notes its number, and never ends."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(os.environ["TOY_CHILD"]).write_text(str(child.pid))
    time.sleep(600)
    return {}


PARTS = (
    Part("fine", fine, "a", 60, "full", "dry"),
    Part("without_peer", without_peer, "a", 60, 0, 0),
    Part("peer_out_of_memory", peer_out_of_memory, "a", 60, 0, 0),
    Part("out_of_memory", out_of_memory, "a", 60, 0, 0),
    Part("disagrees", disagrees, "a", 60, 0, 0),
    Part("killed", killed, "a", 60, 0, 0),
    Part("hangs", hangs, "b", 12, 0, 0),
    Part("last", fine, "b", 60, "full", "dry"),
)
