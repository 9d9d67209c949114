"""Weights: the density of one large matrix."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.device import memory, peers
from dynamics.measures import weights


class Sizes(NamedTuple):
    """The matrix, and how often."""

    rows: int
    columns: int
    repeats: int


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Times of a histogram with moments, and whether every bin counts what NumPy counts."""
    peaks = memory.Peaks()
    values = 0.02 * jax.random.normal(jax.random.key(0), (sizes.rows, sizes.columns))
    edges = weights.edges(0.16, 512)

    def timed() -> tuple[float, weights.Density]:
        start = time.perf_counter()
        density = jax.block_until_ready(weights.density(values, edges))
        return time.perf_counter() - start, density

    (first, density), *later = (timed() for _ in range(sizes.repeats + 1))
    seconds = peers.spread([run[0] for run in later])
    assert seconds is not None
    reference = np.histogram(np.asarray(values), edges)[0]
    same = bool(np.array_equal(np.asarray(density.counts), reference))
    rate = values.nbytes / seconds["median"]
    return {
        "ours_s": seconds,
        "start_s": {"ours": first - seconds["median"], "peer": None},
        "peak_bytes": peaks.read(),
        "bytes_per_s": rate,
        "agrees": same,
        "remarks": [
            f"{sizes.rows} x {sizes.columns} weights in 512 bins at {rate / 1e9:.3g} GB/s",
            "counts are NumPy's" if same else "counts are not NumPy's",
        ],
    }
