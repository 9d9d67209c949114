"""LLC: the variance between repeated estimates times their time, on both sides.

An estimator that takes half the time for twice the variance is as good, so this product is what
two of them compare by.
"""

from collections.abc import Mapping

import numpy as np

from benchmarks import llc
from benchmarks.device import memory, peers
from benchmarks.device.parts.llc import Sizes


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Variance over `sizes.pairs` repeats, and with it the seconds that an estimate takes once its
    steps go at their pace."""
    peaks = memory.Peaks()
    ours, build_devinterp = llc.sides(sizes.case(), device=peers.device())
    peer = peers.Peer("devinterp", build_devinterp)
    runs, numbers = peers.compare(ours, peer, sizes.pairs, peaks)
    products = {
        name: variance_times_seconds(side, sizes.draws)
        for name, side in (("ours", runs.ours), ("peer", runs.peer))
        if side
    }
    remarks = [f"{sizes.pairs} repeats of {sizes.draws} draws", *numbers["remarks"]]
    if runs.peer:
        low, high = interval(products["peer"] / products["ours"], sizes.pairs)
        numbers["efficiency"] = {"low": low, "high": high}
        remarks.append(
            f"variance x seconds {products['ours']:.3g} against {products['peer']:.3g}:"
            f" {products['peer'] / products['ours']:.3g} times less, 90 % interval"
            f" {low:.3g} to {high:.3g}"
        )
    else:
        remarks.append(f"variance x seconds {products['ours']:.3g}")
    return {**numbers, "variance_times_seconds": products, "remarks": remarks}


def variance_times_seconds(estimates: list[llc.Timed], draws: int) -> float:
    """Of one side."""
    variance = np.var([estimate.llc for estimate in estimates], ddof=1)
    return float(variance * np.median([estimate.seconds for estimate in estimates]) * draws)


def interval(ratio: float, repeats: int) -> tuple[float, float]:
    """90 % of a ratio of two variances of normal estimates, by the F distribution: six repeats say
    little."""
    from scipy import stats

    reach = float(stats.f.ppf(0.95, repeats - 1, repeats - 1))
    return ratio / reach, ratio * reach
