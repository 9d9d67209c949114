"""Where phases begin in models that differ in their warm-up alone.

Axes: K steps. Steps are of the optimiser; with one batch size they are tokens too.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.moves import Move, move
from dynamics.analysis.phases import Estimate
from dynamics.questions.committed import Committed
from dynamics.questions.convergence.findings import Convergence
from dynamics.questions.convergence.findings import find as find_convergence


@dataclass(frozen=True, kw_only=True, eq=False)
class WarmedUp:
    """One model and its warm-up.

    Attributes:
        model: its name.
        warmup: the measured step at which the learning rate is highest.
        seeds: how many.
        seed_kl: pair mean of the KL, with its interval over seeds.
        boundaries: name of a phase -> the step at which it begins, with its interval.
        no_phases: why there are none; "" where there are.
    """

    model: str
    warmup: int
    seeds: int
    seed_kl: Curve
    boundaries: Mapping[str, Estimate]
    no_phases: str


@dataclass(frozen=True, kw_only=True, eq=False)
class BoundaryMove:
    """How the beginning of a phase moves from one warm-up to the next longer one."""

    phase: str
    shorter: WarmedUp
    longer: WarmedUp
    move: Move


@dataclass(frozen=True, kw_only=True, eq=False)
class WarmUps:
    """Models of one size and one highest rate, by their warm-up, and what moves between them."""

    models: tuple[WarmedUp, ...]
    moves: tuple[BoundaryMove, ...]


def find(committed: Committed) -> WarmUps | None:
    """None without two models that are alike but for their warm-up.

    Of several sizes or highest rates, that which most warm-ups were tried with.
    """
    convergence = committed.findings(find_convergence)
    groups: dict[tuple, dict[int, WarmedUp]] = {}
    for model in convergence.models if convergence else ():
        rate = model.learning_rate
        if rate is not None and model.size is not None:
            alike = model.size, round(float(rate.value.max()), 12), tuple(rate.steps.tolist())
            warmed = _warmed(model, rate)
            groups.setdefault(alike, {}).setdefault(warmed.warmup, warmed)
    largest = max(groups.values(), key=len, default={})
    if len(largest) < 2:
        return None
    models = tuple(largest[warmup] for warmup in sorted(largest))
    return WarmUps(models=models, moves=tuple(_moves(models)))


def _warmed(model: Convergence, rate: Curve) -> WarmedUp:
    boundaries: dict[str, Estimate] = {}
    for phase in model.phases.boundaries if model.phases else ():
        if phase.begin is not None:
            boundaries.setdefault(phase.name, phase.begin)
    return WarmedUp(
        model=model.model,
        warmup=int(rate.steps[int(np.argmax(rate.value))]),
        seeds=len(model.divergence.seeds),
        seed_kl=model.divergence.seed_kl,
        boundaries=boundaries,
        no_phases=model.no_phases,
    )


def _moves(models: Sequence[WarmedUp]) -> list[BoundaryMove]:
    return [
        BoundaryMove(
            phase=phase,
            shorter=shorter,
            longer=longer,
            move=move(
                shorter.boundaries[phase],
                longer.boundaries[phase],
                float(np.log1p(longer.warmup) - np.log1p(shorter.warmup)),
            ),
        )
        for shorter, longer in itertools.pairwise(models)
        for phase in shorter.boundaries
        if phase in longer.boundaries
    ]
