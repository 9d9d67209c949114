"""LLC: an SGLD step against devinterp's, and the share of the floor that it reaches."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import llc, pairs, setting
from benchmarks.device import floor, memory, peers
from dynamics import models

LEAST_CHANCE = 6e-5  # of the estimates' distance: four standard errors of many chains


class Sizes(NamedTuple):
    """One comparison; steps are those of `benchmarks.llc`."""

    model: str  # of `setting.MODELS`
    windows: int
    length: int
    chains: int
    draws: int
    step_size: float
    pairs: int

    def case(self) -> llc.Case:
        return llc.Case(
            config=setting.MODELS[self.model],
            windows=self.windows,
            length=self.length,
            chains=self.chains,
            draws=self.draws,
            step_size=self.step_size,
            localization=100.0,
        )


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Times of a step of all chains, estimates of both sides, and the floor from the rates of the
    part `rates`."""
    peaks = memory.Peaks()
    ours, build_devinterp = llc.sides(sizes.case(), device=peers.device())
    peer = peers.Peer("devinterp", build_devinterp)
    runs, numbers = peers.compare(ours, peer, sizes.pairs, peaks)
    parameters = num_parameters(setting.MODELS[sizes.model])
    remarks = [f"{parameters:,} parameters, {sizes.chains} chains", *numbers["remarks"]]
    if runs.peer:
        mine, theirs = (
            np.concatenate([run.per_chain for run in side]) for side in (runs.ours, runs.peer)
        )
        errors = pairs.standard_errors_apart(mine.tolist(), theirs.tolist())
        chance = chance_of_distance(mine, theirs)
        numbers["llc"] = {"ours": float(mine.mean()), "peer": float(theirs.mean())}
        numbers["standard_errors_apart"], numbers["p_value"] = errors, chance
        numbers["agrees"] = chance > LEAST_CHANCE
        remarks.append(f"estimates {errors:.1f} standard errors apart")
    numbers["floor"] = share_of_floor(sizes, parameters, numbers["ours_s"]["median"], earlier)
    remarks.append(_floor_sentence(numbers["floor"]))
    return {**numbers, "remarks": remarks}


def chance_of_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Welch's: the chance of means this far apart from chains of one mean, however few they are."""
    from scipy import stats

    _, p_value = np.asarray(stats.ttest_ind(ours, theirs, equal_var=False))
    return float(p_value)


def num_parameters(config) -> int:
    """P, without making them."""
    shapes = jax.eval_shape(lambda: models.init(jax.random.key(0), config))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


def share_of_floor(
    sizes: Sizes, parameters: int, seconds: float, earlier: Mapping
) -> dict[str, float] | None:
    """The floor of a step and how near `seconds` comes to it; None where the rates are not
    known."""
    rates, case = earlier.get("rates"), sizes.case()
    if not rates:
        return None
    work = floor.sgld_step(case.config, parameters, case.windows, case.length, case.chains)
    least = work.seconds(rates["flops_per_s_highest"], rates["bytes_per_s"])
    return {
        "flops": work.flops,
        "bytes": work.bytes,
        "seconds": least,
        "share": least / seconds,
    }


def _floor_sentence(numbers: dict[str, float] | None) -> str:
    if numbers is None:
        return "no floor, since the rates are not known"
    return (
        f"floor {numbers['seconds']:.3g} s from {numbers['flops'] / 1e9:.3g} GFLOP and"
        f" {numbers['bytes'] / 1e9:.3g} GB, reached to {numbers['share']:.1%}"
    )
