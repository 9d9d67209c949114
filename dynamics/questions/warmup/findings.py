"""Where the divergence turns and phases begin in models that differ in their warm-up alone.

Axes: K steps. Steps are of the optimiser; with one batch size they are tokens too.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.moves import Move, move
from dynamics.analysis.phases import Estimate
from dynamics.analysis.turns import turns
from dynamics.errors import InputError
from dynamics.questions.committed import Committed
from dynamics.questions.convergence.findings import Convergence
from dynamics.questions.convergence.findings import find as find_convergence

LOWEST, PEAK = "lowest divergence before the peak", "peak of the divergence"


@dataclass(frozen=True, kw_only=True, eq=False)
class WarmedUp:
    """One model and its warm-up.

    Attributes:
        model: its name.
        warmup: the measured step at which the learning rate is highest.
        seeds: how many.
        seed_kl: pair mean of the KL, with its interval over seeds.
        boundaries: event -> the step at which it lies, with its interval: the turning points of the
            divergence, and the beginning of each phase where all models go through the same ones.
        phases: names of its phases, in order.
        no_phases: why there are none; "" where there are.
    """

    model: str
    warmup: int
    seeds: int
    seed_kl: Curve
    boundaries: Mapping[str, Estimate]
    phases: tuple[str, ...]
    no_phases: str


@dataclass(frozen=True, kw_only=True, eq=False)
class BoundaryMove:
    """How an event moves from one warm-up to the next longer one."""

    event: str
    shorter: WarmedUp
    longer: WarmedUp
    move: Move


@dataclass(frozen=True, kw_only=True, eq=False)
class WarmUps:
    """Models of one size and one highest rate, by their warm-up, and what moves between them.

    Attributes:
        models: by their warm-up.
        moves: of every event that two neighbours share.
        alike: whether all go through the same phases; boundaries of others are not comparable.
    """

    models: tuple[WarmedUp, ...]
    moves: tuple[BoundaryMove, ...]
    alike: bool


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
    alike = len({model.phases for model in models}) == 1
    if not alike:
        models = tuple(_without_phases(model) for model in models)
    return WarmUps(models=models, moves=tuple(_moves(models)), alike=alike)


def _without_phases(model: WarmedUp) -> WarmedUp:
    events = {name: at for name, at in model.boundaries.items() if name in (LOWEST, PEAK)}
    return dataclasses.replace(model, boundaries=events)


def _warmed(model: Convergence, rate: Curve) -> WarmedUp:
    boundaries = _turns(model)
    for phase in model.phases.boundaries if model.phases else ():
        if phase.begin is not None:
            boundaries.setdefault(f"beginning of the {phase.name}", phase.begin)
    return WarmedUp(
        model=model.model,
        warmup=int(rate.steps[int(np.argmax(rate.value))]),
        seeds=len(model.divergence.seeds),
        seed_kl=model.divergence.seed_kl,
        boundaries=boundaries,
        phases=tuple(phase.name for phase in model.phases.phases) if model.phases else (),
        no_phases=model.no_phases,
    )


def _turns(model: Convergence) -> dict[str, Estimate]:
    seeds = model.divergence
    try:
        found = turns(seeds.steps, seeds.kl, seeds.tokens)
    except InputError:  # too few steps, seeds or documents
        return {}
    events = {LOWEST: found.lowest, PEAK: found.peak}
    return {name: at for name, at in events.items() if at is not None}


def _moves(models: Sequence[WarmedUp]) -> list[BoundaryMove]:
    return [
        BoundaryMove(
            event=event,
            shorter=shorter,
            longer=longer,
            move=move(
                shorter.boundaries[event],
                longer.boundaries[event],
                float(np.log1p(longer.warmup) - np.log1p(shorter.warmup)),
            ),
        )
        for shorter, longer in itertools.pairwise(models)
        for event in shorter.boundaries
        if event in longer.boundaries
    ]
