"""What the LLC of one model depends on beside its sampler's settings.

Axes: K checkpoints (ascending), X values of what is varied, T draws after the burn-in. LLCs have no
unit; changes are in standard errors of the two estimates that they compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.significance import in_errors, is_sure
from dynamics.questions.committed import Committed, Pairs, by_model, by_step
from dynamics.questions.llc_sweeps import record
from dynamics.questions.llc_sweeps.record import NoiseRecord, Record

MOST_POINTS = 200  # of one running estimate: a curve of more points than pixels is only heavy


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """Estimates where one thing is varied.

    Attributes:
        values: [X] of what is varied, ascending.
        llc, sem: [K,X] estimate and standard error between chains.
    """

    values: np.ndarray
    llc: np.ndarray
    sem: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class RunningEstimate:
    """Mean over chains of the estimate so far, [K,T], with its standard error."""

    llc: np.ndarray
    sem: np.ndarray

    @property
    def drawn(self) -> np.ndarray:
        """Places of the draws that figure and table show: all, or `MOST_POINTS` of many."""
        last = self.llc.shape[1] - 1
        return np.unique(np.linspace(0, last, MOST_POINTS).round().astype(int))

    @property
    def order(self) -> list[int]:
        """Places of the checkpoints by their estimate after the last draw, ascending."""
        return np.argsort(self.llc[:, -1]).tolist()

    @property
    def order_is_sure(self) -> bool:
        """Whether neighbours in this order are surely apart; False for a single checkpoint."""
        llc, sem = self.llc[self.order, -1], self.sem[self.order, -1]
        return is_sure(np.diff(llc), np.hypot(sem[1:], sem[:-1]))


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseCurves:
    """The LLC over all checkpoints with one noise for all, and with noise of each its own."""

    common: Curve
    own: Curve


@dataclass(frozen=True, kw_only=True, eq=False)
class Move:
    """How far one change of the sampling moves the estimate.

    Attributes:
        steps: [K].
        size: [K] in standard errors of the two estimates; NaN where chains went non-finite.
    """

    steps: np.ndarray
    size: np.ndarray

    @property
    def largest(self) -> float:
        """Over checkpoints; NaN where none is known."""
        return float(_largest(self.size))

    @property
    def is_sure(self) -> bool:
        """Whether the largest is surely a move."""
        return is_sure(self.largest, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweeps:
    """All sweeps of one model's first seed.

    Attributes:
        model, seed: whose checkpoints.
        num_chains: of each estimate; 0 where the files do not say.
        steps: [K].
        data_size: over the windows that batches are drawn from.
        own_batch, fresh_batch: over the windows of a batch, by where the loss is taken.
        by_loss: running estimate that samples the loss of windows.
        by_likelihood: running estimate that samples the likelihood of single predictions.
        noise: None where that was not measured.
        moves: what is changed -> how far the estimate moves.
        same_order: whether loss and likelihood rank the checkpoints alike.
        order_is_sure: whether neighbours in rank are surely apart in both.
        predictions: of each window that the likelihood takes; None where the files do not say.
        batch_factor: predictions of a batch for each of its windows; None as above.
    """

    model: str
    seed: int
    num_chains: int
    steps: np.ndarray
    data_size: Sweep
    own_batch: Sweep
    fresh_batch: Sweep
    by_loss: RunningEstimate
    by_likelihood: RunningEstimate
    noise: NoiseCurves | None
    moves: Mapping[str, Move]
    same_order: bool
    order_is_sure: bool
    predictions: int | None
    batch_factor: int | None


def find(committed: Committed) -> list[Sweeps] | None:
    """One per model, of its first seed; models by size."""
    noise = by_model(committed.of(record.NOISE_MEASURE))
    groups = by_model(committed.of(record.MEASURE))
    return [_sweeps(model, pairs, noise.get(model, ())) for model, pairs in groups.items()] or None


def roughness(curve: Curve) -> float:
    """Root mean square second difference along checkpoints: what common noise should lower."""
    return float(np.sqrt(np.mean(np.diff(curve.value, 2) ** 2)))


def _sweeps(model: str, pairs: Pairs, noise: Pairs) -> Sweeps:
    seed = min(unit.seeds for unit, _ in pairs)[0]
    units = by_step([(unit, data) for unit, data in pairs if unit.seeds == (seed,)])
    records = [record.from_dataset(data) for ((_, data),) in units.values()]
    steps = np.array(list(units))
    data_size = Sweep(
        values=np.array(records[0].data_sizes),
        llc=np.stack([r.llc_by_data_size for r in records]),
        sem=np.stack([r.sem_by_data_size for r in records]),
    )
    own_batch, fresh_batch = (_batch_sweep(records, place) for place in range(2))
    by_loss, by_likelihood = (_running(records, place) for place in range(2))
    curves = _noise(model, [(unit, data) for unit, data in noise if unit.seeds == (seed,)])
    moves = {
        "size of the data set": Move(steps=steps, size=_last_move(data_size)),
        "size of the batch": Move(steps=steps, size=_last_move(own_batch)),
        "fresh batch for the loss": Move(steps=steps, size=_baseline_move(own_batch, fresh_batch)),
    }
    if curves is not None:
        moves["noise of its own"] = Move(steps=curves.common.steps, size=_noise_move(curves))
    return Sweeps(
        model=model,
        seed=seed,
        num_chains=records[0].num_chains,
        steps=steps,
        data_size=data_size,
        own_batch=own_batch,
        fresh_batch=fresh_batch,
        by_loss=by_loss,
        by_likelihood=by_likelihood,
        noise=curves,
        moves=moves,
        same_order=by_loss.order == by_likelihood.order,
        order_is_sure=by_loss.order_is_sure and by_likelihood.order_is_sure,
        predictions=records[0].predictions,
        batch_factor=records[0].batch_factor,
    )


def _batch_sweep(records: Sequence[Record], baseline: int) -> Sweep:
    return Sweep(
        values=np.array(records[0].batch_sizes),
        llc=np.stack([r.llc_by_batch[baseline] for r in records]),
        sem=np.stack([r.sem_by_batch[baseline] for r in records]),
    )


def _running(records: Sequence[Record], sampled: int) -> RunningEstimate:
    return RunningEstimate(
        llc=np.stack([r.running[sampled] for r in records]),
        sem=np.stack([r.running_sem[sampled] for r in records]),
    )


def _noise(model: str, pairs: Pairs) -> NoiseCurves | None:
    units = by_step(pairs)
    if not units:
        return None
    records = {step: record.noise_from_dataset(data) for step, ((_, data),) in units.items()}
    common, own = (_noise_curve(model, records, place) for place in range(2))
    return NoiseCurves(common=common, own=own)


def _noise_curve(model: str, records: Mapping[int, NoiseRecord], kind: int) -> Curve:
    llc = [r.llc[kind] for r in records.values()]
    sem = [r.sem[kind] for r in records.values()]
    return Curve.with_sem(model, list(records), llc, sem, "± standard error over chains")


Estimates = tuple[np.ndarray, np.ndarray]  # LLCs and their standard errors


def _move(before: Estimates, after: Estimates) -> np.ndarray:
    """Differences in standard errors of the two."""
    return in_errors(after[0] - before[0], np.hypot(before[1], after[1]))


def _last_move(sweep: Sweep) -> np.ndarray:
    """[K] between the last two values, NaN for a single value."""
    if len(sweep.values) < 2:
        return np.full(len(sweep.llc), np.nan)
    before = sweep.llc[:, -2], sweep.sem[:, -2]
    return _move(before, (sweep.llc[:, -1], sweep.sem[:, -1]))


def _baseline_move(own: Sweep, fresh: Sweep) -> np.ndarray:
    """[K] between the two places to take the loss, the largest over batch sizes."""
    return _largest(_move((own.llc, own.sem), (fresh.llc, fresh.sem)))


def _noise_move(curves: NoiseCurves) -> np.ndarray:
    """[K] between the two kinds of noise."""
    common = curves.common.value, curves.common.sem
    return _move(common, (curves.own.value, curves.own.sem))


def _largest(values: np.ndarray) -> np.ndarray:
    """The largest of the last axis, leaving out what is not finite; NaN where nothing is."""
    largest = np.where(np.isfinite(values), values, -np.inf).max(-1)
    return np.where(np.isfinite(largest), largest, np.nan)
