"""How single weights move over a run, when something changes, and when a rule would have stopped.

Axes: K checkpoints (ascending), P tensors. Units are those of the weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis import change_points, stopping
from dynamics.analysis.change_points import ChangePoint, Coincidence, Trend
from dynamics.analysis.curve import Curve
from dynamics.analysis.pairs import single_seed_curve
from dynamics.errors import InputError
from dynamics.questions.committed import Committed, Pairs, by_model
from dynamics.questions.mechanism import findings as mechanism
from dynamics.questions.paths import record
from dynamics.questions.paths.record import Record
from dynamics.questions.perplexity import findings as perplexity

FROM_FIRST = record.KINDS.index("from_first")
_DEDUPLICATED = "-deduped"
# Mean surprisals both: that they change together says nothing of two things that do.
_TWINS = {"loss", "ln perplexity"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Together:
    """Two series of one run, and whether they change together."""

    first: str
    second: str
    coincidence: Coincidence


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One seed of a model.

    Attributes:
        seed: which one.
        record: all of its numbers.
        stops: [P] when a rule that watches each tensor would have stopped.
        costs: [P] of obeying; None where it would not have stopped.
        changes: series of the main tensor, the loss, and what other questions measured at this
            seed alone -> where it changes.
        together: every pair of series that both change; loss and perplexity are none.
    """

    seed: int
    record: Record
    stops: tuple[stopping.Stop, ...]
    costs: tuple[stopping.Cost | None, ...]
    changes: Mapping[str, ChangePoint]
    together: tuple[Together, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Movement:
    """One model's runs.

    Attributes:
        model, num_parameters: which one.
        main: the tensor that is spoken of: the centred unembedding where there is one.
        runs: seeds ascending.
        moved: root mean square displacement from the first checkpoint over the initial standard
            deviation.
        exponent: d ln displacement / d ln step; 1 is diffusion, 2 drift.
        rate: of movement over its highest so far, at the end of each gap.
        depth: of the deepest valley of the density, in standard errors.
    """

    model: str
    num_parameters: int
    main: int
    runs: tuple[Run, ...]
    moved: Curve
    exponent: Curve
    rate: Curve
    depth: Curve

    @property
    def tensor(self) -> str:
        """Name of the main tensor."""
        return self.runs[0].record.tensors[self.main]


@dataclass(frozen=True, kw_only=True, eq=False)
class Paths:
    """All models.

    Attributes:
        models: by size.
        trends: series -> how its change goes with parameters, over first seeds; None under two
            sizes that have changed.
        deduplicated: (series, model, its change against that of the same model on deduplicated
            data).
    """

    models: tuple[Movement, ...]
    trends: Mapping[str, Trend | None]
    deduplicated: tuple[tuple[str, str, Coincidence], ...]


def find(committed: Committed) -> Paths | None:
    """All models, by size; None without results."""
    groups = by_model(committed.of(record.MEASURE))
    if not groups:
        return None
    others = _of_other_questions(committed)
    models = tuple(_movement(model, pairs, others) for model, pairs in groups.items())
    return Paths(models=models, trends=_trends(models), deduplicated=_deduplicated(models))


def series_of(data: Record, tensor: int) -> dict[str, np.ndarray]:
    """Name -> [K] of what may change: of one tensor, and the loss. Sizes are on a log scale."""
    count = len(data.steps)
    displacement = data.movement.value[tensor, :, :count]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(displacement > 0, displacement, np.nan))
    series = {
        "ln variance": logs[record.KINDS.index("variance")],
        "ln displacement": logs[FROM_FIRST],
        "excess kurtosis": data.spread.excess_kurtosis[tensor],
        "entropy rank": data.rank.entropy[tensor],
        "loss": data.loss.value,
    }
    return {name: values for name, values in series.items() if np.isfinite(values).any()}


# (model, seed) -> name -> a curve of that seed alone.
Others = Mapping[tuple[str, int], Mapping[str, Curve]]


def _of_other_questions(committed: Committed) -> Others:
    """Perplexity and the highest prefix-matching score, where they are of one seed.

    Of results that cannot be used the page of their own question says why.
    """
    others: dict[tuple[str, int], dict[str, Curve]] = {}
    for answer in _usable(committed, perplexity.find):
        if len(answer.seeds) == 1:
            others.setdefault((answer.model, answer.seeds[0]), {})["ln perplexity"] = answer.nats
    for answer in _usable(committed, mechanism.find):
        if len(answer.seeds) == 1:
            score = answer.scores["prefix_matching"].highest
            others.setdefault((answer.model, answer.seeds[0]), {})["prefix matching"] = score
    return others


def _usable(committed: Committed, find: Callable[[Committed], list | None]) -> list:
    try:
        return committed.findings(find) or []
    except InputError:
        return []


def _at(steps: np.ndarray, curve: Curve) -> np.ndarray:
    """[K] values of a curve, NaN at steps that it lacks."""
    table = dict(zip(curve.steps.tolist(), curve.value.tolist(), strict=True))
    return np.array([table.get(step, np.nan) for step in steps.tolist()])


def _movement(model: str, pairs: Pairs, others: Others) -> Movement:
    records = {unit.seeds[0]: record.from_dataset(data) for unit, data in pairs}
    first = next(iter(records.values()))
    for seed, other in records.items():
        if other.tensors != first.tensors:
            raise InputError(
                f"paths of {model} seed {seed} of the tensors {', '.join(other.tensors)}",
                expected=f"{', '.join(first.tensors)}, as of its first seed",
                mend="Delete the results of one of them and run again.",
            )
    centred = [p for p, name in enumerate(first.tensors) if name.endswith(", centred")]
    main = centred[0] if centred else 0
    runs = tuple(
        _run(seed, data, main, others.get((model, seed), {})) for seed, data in records.items()
    )

    def over_runs(value: Callable[[Run], np.ndarray], sem: Callable[[Run], np.ndarray] | None):
        return _over_runs(model, runs, value, sem)

    return Movement(
        model=model,
        num_parameters=first.num_parameters,
        main=main,
        runs=runs,
        moved=over_runs(lambda run: _moved(run.record, main), None),
        exponent=over_runs(
            lambda run: _points(run.record, run.record.movement.exponent, main),
            lambda run: (
                (
                    _points(run.record, run.record.movement.exponent_high, main)
                    - _points(run.record, run.record.movement.exponent_low, main)
                )
                / 4
            ),
        ),
        rate=over_runs(lambda run: np.r_[np.nan, run.stops[main].rate], None),
        depth=over_runs(lambda run: run.record.fork.depth[main], None),
    )


def _points(data: Record, values: np.ndarray, tensor: int) -> np.ndarray:
    """[K] of the displacement from the first checkpoint."""
    return values[tensor, FROM_FIRST, : len(data.steps)]


def _moved(data: Record, tensor: int) -> np.ndarray:
    start = data.movement.value[tensor, record.KINDS.index("variance"), 0]
    squared = _points(data, data.movement.value, tensor)
    return np.sqrt(np.maximum(squared, 0) / start) if start > 0 else np.full(len(squared), np.nan)


def _over_runs(model: str, runs: Sequence[Run], value: Callable, sem: Callable | None) -> Curve:
    """Mean over the runs that have each step; a single one has its own error, where it has any."""
    tables = [dict(zip(run.record.steps.tolist(), value(run), strict=True)) for run in runs]
    steps = sorted({step for table in tables for step in table})
    values = [[table[step] for table in tables if step in table] for step in steps]
    own = np.full(len(steps), np.nan)
    if sem is not None:
        errors = dict(zip(runs[0].record.steps.tolist(), sem(runs[0]), strict=True))
        own = np.array([errors.get(step, np.nan) for step in steps])
    return single_seed_curve(model, steps, values, own)


def _run(seed: int, data: Record, main: int, others: Mapping[str, Curve]) -> Run:
    stops = tuple(_stop(data, tensor) for tensor in range(len(data.tensors)))
    costs = tuple(
        stopping.cost(data.steps, data.loss.excess, data.loss.excess_sem, stop) for stop in stops
    )
    series = series_of(data, main) | {name: _at(data.steps, c) for name, c in others.items()}
    changes = change_points.find_changes(data.steps, series)
    names = [name for name, change in changes.items() if change.exists]
    together = [
        Together(first=first, second=second, coincidence=both)
        for k, first in enumerate(names)
        for second in names[k + 1 :]
        if {first, second} != _TWINS
        and (both := change_points.coincidence(changes[first], changes[second], data.steps))
    ]
    return Run(
        seed=seed,
        record=data,
        stops=stops,
        costs=costs,
        changes=changes,
        together=tuple(together),
    )


def _stop(data: Record, tensor: int) -> stopping.Stop:
    """A gap whose movement or error is not known raises no alarm."""
    squared, sem = data.movement.gap[tensor, 1:], data.movement.gap_sem[tensor, 1:]
    measured = np.isfinite(squared) & np.isfinite(sem) & (squared >= 0)
    squared, sem = np.where(measured, squared, np.nan), np.where(measured, sem, np.nan)
    if len(squared) == 0:
        nothing = np.zeros(0)
        return stopping.Stop(
            step=None, since=None, ends=nothing, rate=nothing, bound=nothing, rule=stopping.RULE
        )
    return stopping.find_stop(data.steps, squared, sem)


def _trends(models: Sequence[Movement]) -> dict[str, Trend | None]:
    names = list(dict.fromkeys(name for m in models for name in m.runs[0].changes))
    trends = {}
    for name in names:
        having = [m for m in models if name in m.runs[0].changes]
        changes = [m.runs[0].changes[name] for m in having]
        trends[name] = change_points.against_size([m.num_parameters for m in having], changes)
    return trends


def _deduplicated(models: Sequence[Movement]) -> tuple[tuple[str, str, Coincidence], ...]:
    """Models of one size on the two forms of the data, and their changes beside each other."""
    by_name = {movement.model: movement.runs[0] for movement in models}
    pairs = []
    for name, run in by_name.items():
        other = by_name.get(name + _DEDUPLICATED)
        if other is None:
            continue
        for series, change in run.changes.items():
            if series in other.changes:
                beside = other.changes[series]
                both = change_points.coincidence(change, beside, run.record.steps)
                pairs += [(series, name, both)] if both else []
    return tuple(pairs)
