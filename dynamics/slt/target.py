"""Sampling to a stated error: how long chains must be, and whether they were.

Axes: C chains, T draws after the burn-in, B batches of a chain.

The error is that of batch means over all chains: it sees what chains differ by, how draws hang
together, and the error of an l(w*) that all chains share. A pilot foretells the length, and the
chains run to it before the error is looked at again: looking after every segment would stop where
the error happens to be small.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.errors import InputError
from dynamics.slt.chain import Run
from dynamics.slt.samplers.base import Sampler

BATCHES = 8  # of each chain
MARGIN = 1.2  # more draws than foretold, so that the first look after the pilot mostly suffices
PILOT = 20  # the pilot is at least one draw in so many of the budget
_LEAST_BATCH = 8  # draws of a batch mean

Excess = Float[np.ndarray, "C T"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a target.

    Attributes:
        target: the standard error that was asked for: a share of |llc|, or the floor if more.
        error: that of the estimate, over batch means of all chains and of a shared l(w*).
        dof: degrees of freedom of `error`.
        met: whether error <= target.
        draws: of each chain, burn-in included.
        foretold_draws: what the pilot foretold; the budget where that is less.
        foretold_seconds: likewise, compilation left out.
        seconds: that the chains took, compilation left out.
        sentence: which of target, budget, shared baseline or float32 ended the run.
    """

    target: float
    error: float
    dof: int
    met: bool
    draws: int
    foretold_draws: int
    foretold_seconds: float
    seconds: float
    sentence: str

    def interval(self, llc: float, level: float = 0.95) -> tuple[float, float]:
        """Student's t interval around the estimate, by `error` and `dof`."""
        from scipy import stats

        reach = self.error * float(stats.t.ppf((1 + level) / 2, self.dof))
        return llc - reach, llc + reach


def check(target_error: float, floor: float) -> None:
    """Raises InputError for a target that is no share or a floor that is no error."""
    if not 0 < target_error < math.inf:
        raise InputError(
            f"target_error={target_error}", expected="a positive share of |llc|, such as 0.05"
        )
    if not 0 <= floor < math.inf:
        raise InputError(f"error_floor={floor}", expected="zero or a positive number")


def batch_error(excess: Excess) -> tuple[float, int]:
    """(standard error of the mean, degrees of freedom) from means over batches of every chain.

    Neighbouring batches of a chain hang together a little: their lag-1 correlation, where it is
    positive, widens the error as that of a first-order autoregression. Fewer than 8 draws a batch
    leave one batch a chain.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> error, dof = batch_error(rng.normal(size=(4, 800)))
        >>> dof, bool(0.7 < error * np.sqrt(4 * 800) < 1.4)
        (31, True)
    """
    chains, draws = excess.shape
    count = BATCHES if draws >= BATCHES * _LEAST_BATCH else 1
    if chains * count < 2:
        return math.nan, 0
    used = draws // count * count  # the remainder is left off at the start
    means = excess[:, draws - used :].reshape(chains, count, -1).mean(2)
    variance, correlation = means.var(ddof=1), 0.0
    if count > 1:
        away = means - means.mean()
        correlation = float((away[:, 1:] * away[:, :-1]).mean() / np.square(away).mean())
    correlation = min(max(correlation, 0.0), 0.9)
    widened = variance * (1 + correlation) / (1 - correlation) / means.size
    return math.sqrt(widened), means.size - 1


def run_to(
    runs: Callable[[Sampler], Iterator[Run]],
    sampler: Sampler,
    excess_of: Callable[[Run], tuple[Excess, float, float]],
    *,
    target_error: float,
    floor: float,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Run, Outcome]:
    """Runs segments until the target is met or all draws of the sampler are done.

    Args:
        runs: sampler -> the run after each of its segments, as `segments` yields them.
        sampler: its num_draws is the budget.
        excess_of: run -> (n beta (loss - baseline) after the burn-in [C,T], the error that all
            chains share, what float32 can tell of the LLC).
        target_error, floor: the standard error wanted, as a share of |llc| and at least.
        progress: called with (draws done, draws expected).
    """
    budget, burn_in = sampler.num_draws, sampler.burn_in
    pilot = min(budget, burn_in + max(BATCHES * _LEAST_BATCH, budget // PILOT))
    segment = sampler.segment or max(1, min(pilot, math.ceil(budget / 100)))
    look, foretold, marks = pilot, budget, []
    for run in runs(dataclasses.replace(sampler, segment=segment)):
        done = run.traces.loss.shape[1]
        marks.append((done, time.perf_counter()))
        if progress is not None:
            progress(done, max(done, min(look, budget)))
        if done < min(look, budget):
            continue
        excess, shared, resolution = excess_of(run)
        own, dof = batch_error(excess)
        target = max(target_error * abs(float(excess.mean())), floor)
        state = _State(math.hypot(own, shared), target, shared, resolution, done)
        needed = _needed(done - burn_in, own, state)
        if look == pilot and needed is not None:
            foretold = max(done, min(budget, burn_in + needed))
        if state.met or done >= budget or needed is None:
            return run, Outcome(
                target=target,
                error=state.error,
                dof=dof,
                met=state.met,
                draws=done,
                foretold_draws=foretold,
                foretold_seconds=_seconds(marks, pilot) * foretold / pilot,
                seconds=_seconds(marks, done),
                sentence=_sentence(state, budget),
            )
        look = burn_in + math.ceil(MARGIN * needed)
    raise AssertionError("the last segment ends at the budget")


class _State(NamedTuple):
    """A run at a look."""

    error: float
    target: float
    shared: float  # the part of the error that all chains share
    resolution: float  # of float32 losses, in units of the LLC
    draws: int

    @property
    def met(self) -> bool:
        return self.error <= self.target


def _needed(draws: int, own: float, state: _State) -> int | None:
    """Draws after the burn-in that the target takes; None where no number is enough."""
    left = state.target**2 - state.shared**2
    if left <= 0 or state.target < state.resolution or not math.isfinite(own):
        return None
    return math.ceil(draws * own**2 / left)


def _seconds(marks: list[tuple[int, float]], draws: int) -> float:
    """Wall time of so many draws at the pace after the first segment, which compiles."""
    if len(marks) < 2:
        return math.nan
    first, start = marks[0]
    last, end = [mark for mark in marks if mark[0] <= max(draws, marks[1][0])][-1]
    return (end - start) / (last - first) * draws


def _sentence(state: _State, budget: int) -> str:
    target = f"The target of {state.target:.3g}"
    reached = f"standard error {state.error:.3g} after {state.draws} draws a chain"
    if state.met:
        return f"{target} is met: {reached}."
    if state.target < state.resolution:
        return (
            f"{target} is below {state.resolution:.3g}, which is what float32 losses can tell of "
            f"the LLC: {reached}."
        )
    if state.shared >= state.target:
        return (
            f"{target} is below {state.shared:.3g}, the error of the l(w*) that all chains share: "
            f"{reached}. Take another baseline."
        )
    return (
        f"The budget of {budget} draws is spent before {target[0].lower()}{target[1:]}: {reached}."
    )
