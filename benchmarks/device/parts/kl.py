"""Divergence: KL between seeds against a plain torch pipeline, and memory as tokens grow."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks import kl, setting
from benchmarks.device import memory, peers

TOLERANCE = 1e-3  # of a token's KL, relative to the mean KL
LENGTH = 129  # tokens of a window: 128 predictions


class Sizes(NamedTuple):
    """One comparison; passes are those of `benchmarks.kl`."""

    model: str  # of `setting.MODELS`
    seeds: int
    windows: int
    pairs: int
    more_windows: tuple[int, ...]  # of ours alone: our memory should not grow over these


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Times of a pass, how far the two sides' divergences differ, our peak at more tokens."""
    peaks, config = memory.Peaks(), setting.MODELS[sizes.model]
    seeds = kl.seeds_of(config, sizes.seeds)
    numbers = compared(sizes, seeds, peaks)
    growth = [peak_at(config, seeds, windows) for windows in sizes.more_windows]
    peaks_of_growth = [
        f"{row['tokens']:,} tokens: {row['seconds']:.3g} s, {_gigabytes(row['peak_bytes'])}"
        for row in growth
    ]
    return {**numbers, "growth": growth, "remarks": [*numbers["remarks"], *peaks_of_growth]}


def compared(sizes: Sizes, seeds: list, peaks: memory.Peaks) -> dict:
    """Both sides; what they hold on the device is gone with the return."""
    tokens = setting.tokens_of(setting.MODELS[sizes.model], sizes.windows, LENGTH)
    ours, build_torch = kl.sides(setting.MODELS[sizes.model], seeds, tokens, device=peers.device())
    peer = peers.Peer("torch", build_torch)
    runs, numbers = peers.compare(ours, peer, sizes.pairs, peaks)
    remarks = [f"{sizes.seeds} seeds, {tokens[:, 1:].size:,} tokens", *numbers["remarks"]]
    if runs.peer:
        difference = kl.largest_difference(runs.ours, runs.peer)
        numbers["difference"], numbers["agrees"] = difference, difference < TOLERANCE
        remarks.append(f"tokens at most {difference:.1g} of the mean KL apart")
    return {**numbers, "remarks": remarks}


def peak_at(config, seeds: list, windows: int) -> dict:
    """Our seconds for that many windows, and the process's peak so far."""
    tokens = setting.tokens_of(config, windows, LENGTH)
    timed = kl.ours(config, seeds, tokens)
    timed(0)
    seconds = timed(1).seconds
    return {"tokens": tokens[:, 1:].size, "seconds": seconds, "peak_bytes": memory.peak()}


def _gigabytes(peak: int | None) -> str:
    return "peak not known" if peak is None else f"peak {peak / 1e9:.3g} GB"
