"""Estimates that compare by variance between repeats times time.

The halves of `benchmarks.llc_error_vs_devinterp` that need neither side.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """One estimate: the value, the error that is stated for it, and the seconds of its chains."""

    llc: float
    stated: float
    seconds: float


def product(estimates: Sequence[Estimate]) -> float:
    """Variance between repeats times the median seconds."""
    variance = np.var([estimate.llc for estimate in estimates], ddof=1)
    return float(variance * np.median([estimate.seconds for estimate in estimates]))


def line(name: str, estimates: Sequence[Estimate]) -> str:
    """Value, true and stated error, seconds and their product."""
    values = np.array([estimate.llc for estimate in estimates])
    stated = np.sqrt(np.mean([estimate.stated**2 for estimate in estimates]))
    seconds = np.median([estimate.seconds for estimate in estimates])
    return (
        f"{name}: LLC {values.mean():.4g} +- {values.std(ddof=1) / len(values) ** 0.5:.2g};"
        f" SD between repeats {values.std(ddof=1):.3g}, stated {stated:.3g}; {seconds:.3g} s;"
        f" variance x s {product(estimates):.3g}"
    )


def search(peer: Callable[..., Estimate], windows: int, repeats: int) -> dict:
    """devinterp's setting of the least product; each that was tried is printed.

    `peer`(seed, batch, init_batches, matched) makes an estimate from so many `windows`.
    """
    grid = itertools.product((2, 8), (32, "all"), (True, False))
    tried = []
    for batch, init, matched in grid:
        init_batches = windows // batch if init == "all" else init
        settings = {"batch": batch, "init_batches": init_batches, "matched": matched}
        estimates = [peer(seed, **settings) for seed in range(repeats)]
        print(line(f"  search, {settings}", estimates), flush=True)
        tried.append((product(estimates), settings))
    return min(tried, key=lambda pair: pair[0])[1]
