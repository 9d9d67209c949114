"""A comparison with a peer as numbers: times, ratio, start-up, memory, and why a peer is absent."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.device import memory, worker
from benchmarks.pairs import Pairs, interleave


class Peer:
    """A peer's side that, where it cannot run, says why in `absent` instead of raising.

    Attributes:
        absent: "" while it runs, else the reason.
    """

    def __init__(self, name: str, build: Callable[[], Callable[[int], Any]]):
        """`build` makes the side, at the first run: that is where a package is missing."""
        self.name, self.absent = name, ""
        self._build, self._side = build, None

    def __call__(self, number: int):
        if self.absent:
            return None
        try:
            if self._side is None:
                self._side = self._build()
            return self._side(number)
        except Exception as error:
            self.absent = ": ".join(word for word in worker.classify(error) if word)
            return None


def device() -> str:
    """Where the torch side runs: "cuda" where torch has one, else "cpu"."""
    try:
        import torch
    except ModuleNotFoundError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def compare(
    ours: Callable[[int], Any], peer: Peer, count: int, peaks: memory.Peaks
) -> tuple[Pairs, dict]:
    """`count` pairs of runs, and their numbers; `peaks` is from before the sides were built."""
    runs = interleave(ours, peer, count)
    return runs, {
        "ours_s": spread([run.seconds for run in runs.ours]),
        "peer_s": spread([run.seconds for run in runs.peer]),
        "ratio": spread(runs.ratios()),
        "start_s": {
            "ours": start(runs.first_ours, runs.ours),
            "peer": start(runs.first_peer, runs.peer) if runs.peer else None,
        },
        "peak_bytes": peaks.read(),
        "peer": peer.name,
        "peer_absent": peer.absent,
        "remarks": [f"{peer.name} {peer.absent}"] if peer.absent else [],
    }


def start(first: Any, later: Sequence[Any]) -> float:
    """Seconds that the first run takes and later ones do not: compilation, above all.

    0 where noise between runs is larger than that.
    """
    if hasattr(first, "start"):
        return first.start
    return max(0.0, first.seconds - float(np.median([run.seconds for run in later])))


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median, least and most; None of nothing."""
    if not values:
        return None
    return {"median": float(np.median(values)), "least": min(values), "most": max(values)}
