"""Runs of two sides in turn, so that what else the machine does meets both alike."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Run(Protocol):
    """What a side returns: its time, and whatever the two sides are compared by."""

    @property
    def seconds(self) -> float: ...


class Pairs(NamedTuple):
    """Runs of both sides after the first of each, which compiles or warms up."""

    first_ours: Any
    first_peer: Any  # None where the peer cannot run
    ours: list
    peer: list  # as many as ours, or none

    def ratios(self) -> list[float]:
        """Seconds of the peer over ours, pair by pair: more than 1 is faster here.

        An empty list where the peer cannot run.
        """
        if not self.peer:
            return []
        return [
            theirs.seconds / mine.seconds for mine, theirs in zip(self.ours, self.peer, strict=True)
        ]


def interleave(ours: Callable[[int], Run], peer: Callable[[int], Run | None], count: int) -> Pairs:
    """`count` pairs of runs, and one before them: side(number) for numbers 0 to `count`.

    A peer that returns None cannot run; its runs so far are dropped, and ours goes on alone.
    """
    mine: list[Any] = []
    theirs: list[Any] = []
    for number in range(count + 1):
        mine.append(ours(number))
        if len(theirs) == number and (run := peer(number)) is not None:
            theirs.append(run)
    if len(theirs) < len(mine):
        return Pairs(mine[0], None, mine[1:], [])
    return Pairs(mine[0], theirs[0], mine[1:], theirs[1:])


def standard_errors_apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many standard errors the means of two sets of independent estimates lie apart.

    >>> round(standard_errors_apart([1.0, 3.0], [3.0, 5.0]), 3)
    1.414
    """
    error = np.hypot(
        np.std(ours, ddof=1) / np.sqrt(len(ours)), np.std(theirs, ddof=1) / np.sqrt(len(theirs))
    )
    return float(abs(np.mean(ours) - np.mean(theirs)) / error)
