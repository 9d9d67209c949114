"""How curved the loss is over training: whole and by part, beside the LLC, against the learning
rate.

Axes: K checkpoints (ascending), M parts. Units are nats per squared weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.agreement import RankCorrelation, rank_correlation
from dynamics.analysis.curve import Curve
from dynamics.questions.committed import Committed, Pairs, by_model
from dynamics.questions.curvature import record
from dynamics.questions.curvature.record import Record
from dynamics.questions.llc import findings as llc
from dynamics.questions.single_seeds import Steps, of_seed, over_seeds, records_by_step, seeds_of

TRACE = "Hessian trace"
LARGEST = "largest eigenvalue"


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """Curvature of a single seed.

    Attributes:
        seed: which one.
        trace: with its standard error over probes.
        largest: largest eigenvalue, with the solver's bound on its error.
    """

    seed: int
    trace: Curve
    largest: Curve


@dataclass(frozen=True, kw_only=True, eq=False)
class PartTraces:
    """The trace by part of the model.

    Attributes:
        names: [M].
        trace, sem: [K,M] with the standard error over probes.
        is_partition: whether the parts sum to the whole.
    """

    names: tuple[str, ...]
    trace: np.ndarray
    sem: np.ndarray
    is_partition: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrum:
    """The density of the Hessian's eigenvalues at one checkpoint, smoothed. X points.

    Attributes:
        step: the checkpoint.
        points: [X] eigenvalues.
        density, sem: [X] per unit of eigenvalue, of all eigenvalues 1; standard error over probes,
            NaN for one.
        width: standard deviation of the Gaussian that each node is widened to.
        num_probes: that the error rests on.
    """

    step: int
    points: np.ndarray
    density: np.ndarray
    sem: np.ndarray
    width: float
    num_probes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class BesideLlc:
    """Curvature against the LLC of the same seed.

    Attributes:
        llc: at the checkpoints of the curvature, NaN where it was not measured.
        agreement: name of a statistic -> its rank correlation with the LLC over checkpoints.
        local: bool [K] which of these LLCs are local: the others say nothing of the landscape.
        set_by_pull: whether a setting of the chains decides what any of these LLCs is of.
    """

    llc: Curve
    agreement: Mapping[str, RankCorrelation]
    local: np.ndarray
    set_by_pull: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstSeed:
    """What is shown of one seed alone.

    Attributes:
        model, seed: which one.
        steps: [K].
        statistics: name -> curve; a statistic is absent where older results lack it.
        parts: None where it was not measured by part.
        sharpness: [K] learning rate times largest eigenvalue over 2; NaN where no rate is known.
        sharpness_scatter: [K] its standard deviation over seeds; NaN where one seed was measured.
        block: names of the parts whose block of the Hessian this is of; "" for the whole.
        beside_llc: None where the LLC was measured at fewer than three of these checkpoints.
        spectrum: at the last checkpoint that has one; None where none was asked for.
        between: how far batches differ at the last checkpoint; None where one batch was taken.
    """

    model: str
    seed: int
    steps: np.ndarray
    statistics: Mapping[str, Curve]
    parts: PartTraces | None
    sharpness: np.ndarray
    sharpness_scatter: np.ndarray
    block: str
    beside_llc: BesideLlc | None
    spectrum: Spectrum | None
    between: record.BetweenBatches | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Curvature:
    """Curvature of one model over training.

    Attributes:
        model: name of the model.
        num_probes: of the traces.
        trace, largest, smallest: mean over seeds.
        runs: the seeds one by one.
        first: more of the first seed.
    """

    model: str
    num_probes: int
    trace: Curve
    largest: Curve
    smallest: Curve
    runs: tuple[Run, ...]
    first: FirstSeed


def find(committed: Committed) -> list[Curvature] | None:
    """One per model, models by size."""
    groups = by_model(committed.of(record.MEASURE))
    estimates = {e.model: e for e in committed.findings(llc.find) or ()} if groups else {}
    return [
        _curvature(model, pairs, estimates.get(model)) for model, pairs in groups.items()
    ] or None


def _curvature(model: str, pairs: Pairs, estimates: llc.Estimates | None) -> Curvature:
    steps = records_by_step(pairs, record.from_dataset)
    seeds = seeds_of(steps)
    return Curvature(
        model=model,
        num_probes=max(r.num_probes for of_step in steps.values() for r in of_step.values()),
        trace=_trace(model, steps),
        largest=_largest(model, steps),
        smallest=over_seeds(
            model, steps, lambda r: r.ends.smallest[0], lambda r: r.ends.smallest_error[0]
        ),
        runs=tuple(_run(model, seed, of_seed(steps, seed)) for seed in seeds),
        first=_first_seed(model, seeds[0], steps, estimates),
    )


def _trace(model: str, steps: Steps[Record]) -> Curve:
    return over_seeds(model, steps, lambda r: r.hessian.trace, lambda r: r.hessian.trace_sem)


def _largest(model: str, steps: Steps[Record]) -> Curve:
    return over_seeds(model, steps, lambda r: r.ends.largest[0], lambda r: r.ends.largest_error[0])


def _run(model: str, seed: int, steps: Steps[Record]) -> Run:
    return Run(seed=seed, trace=_trace(model, steps), largest=_largest(model, steps))


def _first_seed(
    model: str, seed: int, steps: Steps[Record], estimates: llc.Estimates | None
) -> FirstSeed:
    own = of_seed(steps, seed)
    records, places = [of_step[seed] for of_step in own.values()], np.array(list(own))
    statistics = _statistics(model, own)
    rates = np.array([np.nan if r.learning_rate is None else r.learning_rate for r in records])
    return FirstSeed(
        model=model,
        seed=seed,
        steps=places,
        statistics=statistics,
        parts=_parts(records),
        sharpness=rates * np.array([r.ends.largest[0] for r in records]) / 2,
        sharpness_scatter=rates * np.array([_scatter(steps[step]) for step in own]) / 2,
        block=records[0].block,
        beside_llc=_beside_llc(seed, places, statistics, estimates),
        between=records[-1].between,
        spectrum=_spectrum({step: of_step[seed] for step, of_step in own.items()}),
    )


_POINTS, _WIDTH = 200, 0.01  # of a smoothed density; the width is a share of the spectrum's range


def _spectrum(records: Mapping[int, Record]) -> Spectrum | None:
    """Every node of every probe widened to a Gaussian, the mean over probes."""
    measured = {step: r.density for step, r in records.items() if r.density is not None}
    if not measured:
        return None
    step = max(measured)
    density = measured[step]
    assert density is not None
    low, high = float(density.nodes.min()), float(density.nodes.max())
    width = _WIDTH * (high - low) or 1.0
    points = np.linspace(low - 3 * width, high + 3 * width, _POINTS)
    away = (points[:, None, None] - density.nodes) / width
    bells = np.exp(-0.5 * np.square(away)) / (width * np.sqrt(2 * np.pi))
    per_probe = (density.weights * bells).sum(2)  # [X,P]
    count = per_probe.shape[1]
    sem = per_probe.std(1, ddof=1) / count**0.5 if count > 1 else np.full(_POINTS, np.nan)
    return Spectrum(
        step=step,
        points=points,
        density=per_probe.mean(1),
        sem=sem,
        width=width,
        num_probes=count,
    )


def _scatter(of_step: Mapping[int, Record]) -> float:
    """Standard deviation over seeds of the largest eigenvalue at one step; NaN for one seed."""
    largest = [r.ends.largest[0] for r in of_step.values()]
    return float(np.std(largest, ddof=1)) if len(largest) > 1 else np.nan


def _statistics(model: str, steps: Steps[Record]) -> dict[str, Curve]:
    def newton_trace(r: Record) -> float:
        return r.gauss_newton.trace if r.gauss_newton is not None else np.nan

    def newton_sem(r: Record) -> float:
        return r.gauss_newton.trace_sem if r.gauss_newton is not None else np.nan

    curves = {
        TRACE: _trace(model, steps),
        "Gauss–Newton trace": over_seeds(model, steps, newton_trace, newton_sem),
        LARGEST: _largest(model, steps),
        "effective rank": over_seeds(
            model,
            steps,
            lambda r: r.hessian.effective_rank,
            lambda r: r.hessian.effective_rank_sem,
        ),
    }
    return {name: curve for name, curve in curves.items() if np.isfinite(curve.value).any()}


def _parts(records: Sequence[Record]) -> PartTraces | None:
    measured = [r.parts for r in records if r.parts is not None]
    if len(measured) < len(records):
        return None
    trace = np.stack([parts.trace for parts in measured])
    whole, size = [r.hessian.trace for r in records], float(np.abs(trace).sum(1).max())
    return PartTraces(
        names=measured[0].names,
        trace=trace,
        sem=np.stack([parts.trace_sem for parts in measured]),
        is_partition=bool(np.allclose(trace.sum(1), whole, rtol=1e-3, atol=1e-3 * size)),
    )


def _beside_llc(
    seed: int, steps: np.ndarray, statistics: Mapping[str, Curve], estimates: llc.Estimates | None
) -> BesideLlc | None:
    """Where the seed's LLC was measured at three of these checkpoints or more; else None."""
    runs = [run for run in estimates.runs if run.seed == seed] if estimates is not None else []
    if estimates is None or not runs:
        return None
    run = runs[0]
    shared = np.isin(run.llc.steps, steps)
    if shared.sum() < 3:
        return None
    measured, at = run.llc.where(shared), np.isin(steps, run.llc.steps)
    curve = _aligned(measured, steps, at)
    return BesideLlc(
        llc=curve,
        agreement={name: _agreement(curve, other) for name, other in statistics.items()},
        local=_placed(run.local[shared], at, False),
        set_by_pull=bool(estimates.set_by_pull[np.isin(estimates.steps, steps)].any()),
    )


def _placed(values: np.ndarray, at: np.ndarray, absent: float) -> np.ndarray:
    """[K] the values where `at` [K] is True, in order, and `absent` elsewhere."""
    placed = np.full(len(at), absent, values.dtype)
    placed[at] = values
    return placed


def _aligned(curve: Curve, steps: np.ndarray, at: np.ndarray) -> Curve:
    """The curve over all of `steps`, NaN where it was not measured."""
    value, low, high = (_placed(x, at, np.nan) for x in (curve.value, curve.low, curve.high))
    return Curve.with_limits(curve.model, steps, value, low, high, curve.rests_on)


def _agreement(llc_curve: Curve, other: Curve) -> RankCorrelation:
    """Over the checkpoints at which both are finite: zeros have no effective rank."""
    both = np.isfinite(llc_curve.value) & np.isfinite(other.value)
    if both.sum() < 3:
        return RankCorrelation(rho=np.nan, low=np.nan, high=np.nan, count=int(both.sum()))
    errors = llc_curve.sem[both], other.sem[both]
    return rank_correlation(llc_curve.value[both], other.value[both], *errors)
