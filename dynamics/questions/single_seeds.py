"""Numbers that are measured one seed at a time, as curves of a model over training.

`llc` and `curvature` share this form: a unit is of one seed at one step. Axes: K steps (ascending).
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import xarray as xr

from dynamics.analysis.curve import Curve
from dynamics.analysis.pairs import single_seed_curve
from dynamics.questions.committed import Pairs, by_step

Record = TypeVar("Record")
Steps = Mapping[int, Mapping[int, Record]]  # step -> seed -> what its unit holds


def records_by_step(pairs: Pairs, read: Callable[[xr.Dataset], Record]) -> Steps[Record]:
    """step -> seed -> record, steps and seeds ascending."""
    return {
        step: {unit.seeds[0]: read(data) for unit, data in units}
        for step, units in by_step(pairs).items()
    }


def seeds_of(steps: Steps) -> list[int]:
    """Every seed that was measured at any step, ascending."""
    return sorted({seed for of_step in steps.values() for seed in of_step})


def of_seed(steps: Steps[Record], seed: int) -> Steps[Record]:
    """The steps at which one seed was measured, without the other seeds."""
    return {step: {seed: of_step[seed]} for step, of_step in steps.items() if seed in of_step}


def over_seeds(
    model: str,
    steps: Steps[Record],
    value: Callable[[Record], float],
    error: Callable[[Record], float],
) -> Curve:
    """Mean over seeds; errors are over seeds, or the first seed's own `error` where it is alone."""
    values = [[value(record) for record in of_step.values()] for of_step in steps.values()]
    own = [error(next(iter(of_step.values()))) for of_step in steps.values()]
    return single_seed_curve(model, list(steps), values, own)
