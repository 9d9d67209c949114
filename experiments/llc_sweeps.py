"""What an LLC estimate depends on beside its settings: data, batches, noise, and which loss is
sampled.

    python -m experiments.llc_sweeps --suite=nano --models=nano-64

Appendix A of "Loss Landscape Degeneracy and Stagewise Development in Transformers" on any suite:
size of the data set (Fig. A.1), size of the batch with the loss taken on the step's batch and on a
fresh one (A.2), noise common to all checkpoints or each its own (A.3), loss- against
likelihood-based estimates (A.6). Every size is a program of its own: most of the minutes go into
compiling.
"""

import dataclasses

import jax
import numpy as np
from absl import flags

from dynamics import slt
from dynamics.errors import ChainError, InputError
from dynamics.measures import problem
from dynamics.questions.llc_sweeps import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags, sampler_flags

FLAGS = flags.FLAGS
number_flags.wholes(
    "data_sizes",
    None,
    "sizes of the data set, in windows; default 1/64, 1/8 and 1 of --llc_windows",
    least=1,
)
number_flags.wholes(
    "batch_sizes",
    None,
    "sizes of a batch, in windows; default 1, 2 and 4 times --llc_batch",
    least=1,
)
number_flags.whole(
    "sweep_at",
    3,
    "checkpoints of each model to try them at, log-spaced",
    least=1,
    most=number_flags.MOST_PARTS,
)

# Predictions that the likelihood takes of each window: one of each would be too small a data set.
_POSITIONS = 16
_WIDER = 8  # times as many predictions as windows in a batch: each says less

Estimate = slt.LLCEstimate | None  # None where chains went non-finite


def experiments(study: Study) -> list[common.Experiment]:
    """Sweeps at a few checkpoints, and the curve with and without common noise at all of them."""
    sampler_flags.settle(study)
    own = sampler_flags.config(study)
    config = {**own, "data_sizes": data_sizes(), "batch_sizes": batch_sizes()}
    steps = sampler_flags.spaced([step for step in study.suite.steps if step > 0], FLAGS.sweep_at)
    seeds = study.suite.seeds[:1]
    few = [unit for unit in study.single_units(record.MEASURE, seeds) if unit.step in steps]
    every = study.single_units(record.NOISE_MEASURE, seeds)
    return [
        common.Experiment(record.MEASURE, config, few, sweep),
        common.Experiment(record.NOISE_MEASURE, own, every, noise),
    ]


def data_sizes() -> list[int]:
    whole, batch = FLAGS.llc_windows, sampler_flags.sampler().batch_size or 1
    sizes = _sizes("data_sizes") or sorted({max(whole // part, batch) for part in (64, 8, 1)})
    if sizes[0] < batch:
        raise InputError(
            f"--data_sizes={sizes[0]}",
            expected=f"at least --llc_batch={batch}, the items of a batch",
        )
    return sizes


def batch_sizes() -> list[int]:
    batch = sampler_flags.sampler().batch_size
    if batch is None:
        raise InputError("a sampler of whole data", expected="minibatches, to be varied")
    return _sizes("batch_sizes") or sorted(
        {min(batch * factor, FLAGS.llc_windows) for factor in (1, 2, 4)}
    )


def _sizes(flag: str) -> list[int]:
    sizes = FLAGS[flag].value or []
    if sizes and max(sizes) > FLAGS.llc_windows:
        raise InputError(
            f"--{flag}={','.join(map(str, sizes))}",
            expected=f"whole numbers from 1 to --llc_windows={FLAGS.llc_windows}",
        )
    return sorted(set(sizes))


def sweep(study: Study, unit: Unit):
    """Estimates at one checkpoint, one thing varied at a time; NaN where chains went non-finite."""
    checkpoint = study.load(*unit.cells()[0])
    params, sampler, data = (
        jax.device_put(checkpoint.params),
        sampler_flags.sampler(),
        sampler_flags.data(study),
    )
    if max(data_sizes()) > len(data):
        raise InputError(
            f"data_sizes={data_sizes()}",
            expected=f"at most the {len(data)} windows that the corpus has",
        )
    learned = problem.of(checkpoint.config)
    key = sampler_flags.key(unit.seeds[0])
    estimate = _estimator(checkpoint.config, params, study.suite.num_tasks)
    plain = estimate(learned.loss, data, key, sampler)  # a member of every sweep

    def with_batch(size: int, baseline: str) -> Estimate:
        changed = dataclasses.replace(sampler, batch_size=size, baseline=baseline)
        return plain if changed == sampler else estimate(learned.loss, data, key, changed)

    def with_data(size: int) -> Estimate:
        return plain if size == len(data) else estimate(learned.loss, data[:size], key, sampler)

    by_data_size = [with_data(size) for size in data_sizes()]
    by_batch = [[with_batch(size, name) for size in batch_sizes()] for name in record.BASELINES]
    predictions = learned.independent(jax.random.key(2), np.repeat(data, _POSITIONS, axis=0))
    wider = dataclasses.replace(sampler, batch_size=_WIDER * (sampler.batch_size or 1))
    likelihood = estimate(learned.independent_loss, predictions, key, wider)
    traces = np.stack([_trace(sampled, sampler) for sampled in (plain, likelihood)])  # [2,C,T]
    sweeps = record.Record(
        data_sizes=tuple(data_sizes()),
        llc_by_data_size=np.array([_llc(e) for e in by_data_size]),
        sem_by_data_size=np.array([_sem(e) for e in by_data_size]),
        batch_sizes=tuple(batch_sizes()),
        llc_by_batch=np.array([[_llc(e) for e in row] for row in by_batch]),
        sem_by_batch=np.array([[_sem(e) for e in row] for row in by_batch]),
        running=traces.mean(1),
        running_sem=traces.std(1, ddof=1) / sampler.num_chains**0.5,
        nbeta=sampler.nbeta or np.nan,
        num_chains=sampler.num_chains,
        predictions=_POSITIONS,
        batch_factor=_WIDER,
    )
    return record.to_dataset(sweeps), [checkpoint.provenance]


def noise(study: Study, unit: Unit):
    """The estimate with the noise and batches of all checkpoints, and with its own."""
    cell = unit.cells()[0]
    checkpoint = study.load(*cell)
    params, sampler, data = (
        jax.device_put(checkpoint.params),
        sampler_flags.sampler(),
        sampler_flags.data(study),
    )
    loss = problem.of(checkpoint.config).loss
    estimate = _estimator(checkpoint.config, params, study.suite.num_tasks)
    common_key = sampler_flags.key(cell.seed)
    keys = common_key, jax.random.fold_in(common_key, cell.step)
    estimates = [estimate(loss, data, key, sampler) for key in keys]
    both = record.NoiseRecord(
        llc=np.array([_llc(e) for e in estimates]),
        sem=np.array([_sem(e) for e in estimates]),
        nbeta=sampler.nbeta or np.nan,
        num_chains=sampler.num_chains,
    )
    return record.noise_to_dataset(both), [checkpoint.provenance]


def _estimator(config, params, num_tasks: int | None):
    """(loss, data, key, sampler) -> the estimate, or None where chains went non-finite.

    Without a stability bound: what varies here hardly moves it, and calibration is about it.
    """
    mask = slt.part_mask(config, FLAGS.parts)
    trivial_loss = problem.of(config, num_tasks).trivial_loss

    def estimate(loss, data, key, sampler: slt.Sampler) -> Estimate:
        try:
            return slt.estimate_llc(
                loss,
                params,
                data,
                key,
                sampler,
                mask=mask,
                trivial_loss=trivial_loss,
                on_unstable="report",
            )
        except ChainError:
            return None

    return estimate


def _llc(estimate: Estimate) -> float:
    return np.nan if estimate is None else estimate.llc


def _sem(estimate: Estimate) -> float:
    return np.nan if estimate is None else estimate.error


def _trace(estimate: Estimate, sampler: slt.Sampler) -> np.ndarray:
    """[C,T] running estimate of each chain after the burn-in, `LLCEstimate.llc_trace`."""
    if estimate is None:
        return np.full((sampler.num_chains, sampler.num_draws - sampler.burn_in), np.nan)
    return estimate.llc_trace


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
