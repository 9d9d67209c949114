"""Curvature: a Hessian-vector product against PyHessian's."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks import hvp, setting
from benchmarks.device import memory, peers

TOLERANCE = 1e-3  # relative difference of the two products


class Sizes(NamedTuple):
    """One comparison; products are those of `benchmarks.hvp`, made anew on both sides."""

    model: str  # of `setting.MODELS`
    windows: int
    length: int  # predicted tokens of a window
    pairs: int


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Times of a product, and how far the two sides' products differ."""
    peaks, config = memory.Peaks(), setting.MODELS[sizes.model]
    ours, build_pyhessian = hvp.sides(config, sizes.windows, sizes.length, peers.device())
    peer = peers.Peer("PyHessian", build_pyhessian)
    runs, numbers = peers.compare(ours, peer, sizes.pairs, peaks)
    remarks = [f"{sizes.windows * sizes.length:,} tokens", *numbers["remarks"]]
    if runs.peer:
        difference = max(
            hvp.relative_difference(mine.product, theirs.product)
            for mine, theirs in zip(runs.ours, runs.peer, strict=True)
        )
        numbers["difference"], numbers["agrees"] = difference, difference < TOLERANCE
        remarks.append(f"products {difference:.1g} apart, relative")
    return {**numbers, "remarks": remarks}
