"""When a rule that watches movement would have stopped training, and what that would have cost.

Axes: K checkpoints, K-1 gaps between them, G documents.

Nicolini et al. (2024, section 4.1) propose to stop where weights no longer
fluctuate. As a detector: the rate of movement over each gap, squared displacement per step, is set
against the highest rate so far; the alarm is raised once the rate is SURELY under a stated share of
that peak for some gaps in a row. The null is a rate that stays at that share: the false-alarm rate
is bounded by Bonferroni's inequality over all gaps. Nothing here says that training is done: a
learning rate that falls slows every weight.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float64, Real
from scipy.special import stdtrit

from dynamics.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is fixed in advance.

    Attributes:
        share: of the highest rate so far, under which movement counts as none.
        level: of a false alarm anywhere in the run, under a rate that stays at `share`.
        hold: gaps in a row that must be under it.
        exponent: of the gap that displacement grows with: 1 for diffusion, 2 for drift. It matters
            where gaps differ.
    """

    share: float = 0.1
    level: float = 0.05
    hold: int = 2
    exponent: float = 1.0


RULE = Rule()


@dataclass(frozen=True, kw_only=True, eq=False)
class Stop:
    """When the rule would have stopped.

    Attributes:
        step: at which the alarm is raised, the end of the last gap of `rule.hold`; None where it
            is not raised.
        since: the step at whose gap the quiet stretch begins; None likewise.
        ends: [K-1] the step at which each gap ends.
        rate: [K-1] over the highest so far.
        bound: [K-1] its upper limit, which has to be under `rule.share`.
        rule: that it was found by.
    """

    step: int | None
    since: int | None
    ends: Float64[np.ndarray, " gaps"]
    rate: Float64[np.ndarray, " gaps"]
    bound: Float64[np.ndarray, " gaps"]
    rule: Rule


class Cost(NamedTuple):
    """What obeying would have saved and cost."""

    steps_saved: int
    share_saved: float  # of the last step
    loss: float  # at the stop less that at the last checkpoint, nats per token
    loss_sem: float  # over documents


def find_stop(
    steps: Real[npt.ArrayLike, " K"],
    squared: Float[npt.ArrayLike, " gaps"],
    sem: Float[npt.ArrayLike, " gaps"],
    rule: Rule = RULE,
    df: float = 19,
) -> Stop:
    """When the rule raises its alarm.

    Args:
        steps: [K] of the checkpoints, ascending.
        squared: [K-1] mean square displacement from each checkpoint to the next; a gap where it
            or its error is NaN is not quiet.
        sem: [K-1] its standard error, such as over groups of weights.
        rule: see `Rule`.
        df: degrees of freedom of `sem`.

    Raises:
        InputError: other shapes, steps that do not ascend, a negative displacement.

    Example:
        >>> steps, moved = np.arange(7), np.array([1.0, 4.0, 4.0, 0.1, 0.1, 0.1])
        >>> stop = find_stop(steps, moved, 0.01 * moved)
        >>> stop.since, stop.step
        (3, 5)
    """
    steps, squared, sem = (np.asarray(v, np.float64) for v in (steps, squared, sem))
    gaps = np.diff(steps)
    if not (squared.shape == sem.shape == gaps.shape and len(gaps)) or not (gaps > 0).all():
        raise InputError(
            f"{len(steps)} steps beside displacements {squared.shape} and errors {sem.shape}",
            expected="ascending steps [K], a displacement and an error for each gap [K-1]",
        )
    if (squared < 0).any():
        raise InputError("a negative squared displacement", expected="0 or more")
    measured, judged = np.isfinite(squared), np.isfinite(squared) & np.isfinite(sem)
    squared, sem = np.where(measured, squared, 0.0), np.where(judged, sem, 0.0)
    rate = squared / gaps**rule.exponent
    peak = np.maximum.accumulate(rate)
    moved = np.where(peak > 0, peak, 1.0)
    ratio = np.where(peak > 0, rate / moved, 1.0)  # before anything has moved nothing has stopped
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(squared > 0, sem / squared, 0.0)
    at_peak = np.maximum.accumulate(np.where(rate == peak, np.arange(len(rate)), 0))
    error = np.hypot(relative, relative[at_peak])
    bound = ratio * np.exp(-stdtrit(df, rule.level / len(gaps)) * error)
    ratio, bound = np.where(measured, ratio, np.nan), np.where(judged, bound, np.inf)
    quiet = np.convolve(bound < rule.share, np.ones(rule.hold, int), "full")[: len(gaps)]
    raised = np.flatnonzero(quiet == rule.hold)
    last = int(raised[0]) if len(raised) else None
    return Stop(
        step=None if last is None else int(steps[last + 1]),
        since=None if last is None else int(steps[last + 1 - rule.hold]),
        ends=steps[1:],
        rate=ratio,
        bound=bound,
        rule=rule,
    )


def cost(
    steps: Real[npt.ArrayLike, " K"],
    excess: Float[npt.ArrayLike, " K"],
    excess_sem: Float[npt.ArrayLike, " K"],
    stop: Stop,
) -> Cost | None:
    """What a stop saves in steps and costs in loss; None where none was raised.

    Args:
        steps: [K] of the checkpoints, ascending.
        excess: [K] loss less that at the last checkpoint, nats per token.
        excess_sem: [K] its standard error; paired over documents, since both read one text.
        stop: of the same run.

    Example:
        >>> steps, moved = np.arange(7), np.array([1.0, 4.0, 4.0, 0.1, 0.1, 0.1])
        >>> stop = find_stop(steps, moved, 0.01 * moved)
        >>> cost(steps, np.linspace(3, 0, 7), np.full(7, 0.1), stop)
        Cost(steps_saved=1, share_saved=0.16666666666666666, loss=0.5, loss_sem=0.1)
    """
    if stop.step is None:
        return None
    steps = np.asarray(steps)
    at = int(np.flatnonzero(steps == stop.step)[0])
    saved = int(steps[-1] - stop.step)
    share = saved / max(int(steps[-1]), 1)
    return Cost(saved, share, float(np.asarray(excess)[at]), float(np.asarray(excess_sem)[at]))
