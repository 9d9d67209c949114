"""Numbers that are measured one seed at a time, as curves of a model over training.

`llc`, `curvature`, `perplexity` and `mechanism` share this form: a unit is of one seed at one step.
Axes: K steps (ascending).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import xarray as xr

from dynamics.analysis.curve import Curve
from dynamics.analysis.pairs import single_seed_curve
from dynamics.questions.committed import Pairs, by_step, check_configs
from dynamics.report import words

Record = TypeVar("Record")
Steps = Mapping[int, Mapping[int, Record]]  # step -> seed -> what its unit holds


def records_by_step(pairs: Pairs, read: Callable[[xr.Dataset], Record]) -> Steps[Record]:
    """step -> seed -> record, steps and seeds ascending, of one model.

    Raises InputError for seeds that were measured with other settings: their mean would be of
    neither, and a list of settings, such as bits of a weight, would be read by the first's.
    """
    for _, data in pairs[1:]:
        check_configs(pairs[0][1], data)
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


def one_seed_warning(seeds_by_model: Mapping[str, Sequence[int]]) -> str:
    """A sentence on the models of which a single seed was measured; "" where there are none.

    Example:
        >>> print(one_seed_warning({"small": [0, 1], "large": [0]}))
        One seed of large: its error bars say nothing of other seeds, which may differ by more.
        >>> one_seed_warning({"small": [0, 1]})
        ''
    """
    single = [model for model, seeds in seeds_by_model.items() if len(seeds) == 1]
    if not single:
        return ""
    every = "every model" if len(single) == len(seeds_by_model) > 1 else words.listed(single)
    return (
        f"One seed of {every}: its error bars say nothing of other seeds, which may differ by more."
    )


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


def of_whole_runs(curve: Curve, runs: Sequence[Curve]) -> Curve:
    """A mean over seeds, of those alone that were measured at all of its steps.

    A seed that joins late or leaves early makes a step in the mean that no run has. Where none has
    all steps, the curve as it is.

    Example:
        >>> short = Curve.with_sem("toy", [0], [9.0], [0.1], "")
        >>> whole = Curve.with_sem("toy", [0, 8], [1.0, 1.0], [0.1, 0.1], "")
        >>> mean = Curve.with_sem("toy", [0, 8], [5.0, 1.0], [4.0, 0.1], "")
        >>> of_whole_runs(mean, [short, whole]).value.tolist()
        [1.0, 1.0]
    """
    whole = [run for run in runs if len(run.steps) == len(curve.steps)]
    if len(whole) in (0, len(runs)):
        return curve
    values = [list(of_step) for of_step in zip(*(run.value for run in whole), strict=True)]
    return single_seed_curve(curve.model, curve.steps, values, whole[0].sem)


def over_seeds_or_clusters(
    model: str,
    steps: Steps[Record],
    estimate: Callable[[Record], tuple[float, float]],
    clusters: str,
) -> Curve:
    """Mean over seeds of the first of `estimate`; one seed alone has the second as its error.

    That error is over what `clusters` says, such as "12 documents".
    """
    curve = over_seeds(model, steps, lambda r: estimate(r)[0], lambda r: estimate(r)[1])
    if len(seeds_of(steps)) == 1 and curve.has_errors:
        rests_on = f"± standard error over {clusters}, one seed"
        curve = dataclasses.replace(curve, rests_on=rests_on)
    return curve
