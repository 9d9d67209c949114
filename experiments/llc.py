"""How degenerate is the loss around each checkpoint? The local learning coefficient, with a
locality verdict.

    python -m experiments.llc --suite=nano
    python -m experiments.llc --suite=nano --calibrate     # as experiments.calibration does
    python -m experiments.llc --suite=nano --parts=layers.1.attention.heads.0 --out=results/head

About two minutes on 2 cores. The ends of the Hessian's spectrum are measured first: they decide
whether a chain is stable. Estimates are comparable only at one (n beta, gamma, epsilon); those are
part of the results' configuration.
"""

import jax
import numpy as np
from absl import flags

from dynamics import slt
from dynamics.measures import surprisal
from dynamics.questions.llc import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import calibration, common, sampler_flags

FLAGS = flags.FLAGS
flags.DEFINE_bool(
    "calibrate", False, "try a grid of settings at a few checkpoints and recommend one"
)
flags.DEFINE_bool(
    "sensitivity", False, "also with half the step and twice the pull: four times the work"
)
flags.DEFINE_bool("common_noise", True, "the same noise and batches at every checkpoint")


def experiments(study: Study) -> list[common.Experiment]:
    """The LLC at every checkpoint of the chosen seeds, or the calibration of its sampler."""
    if FLAGS.calibrate:
        return calibration.experiments(study)
    config = sampler_flags.config(study)
    config |= {"sensitivity": FLAGS.sensitivity, "common_noise": FLAGS.common_noise}
    units = study.single_units(record.MEASURE, sampler_flags.seeds(study))
    return [common.Experiment(record.MEASURE, config, units, learning_coefficient)]


def learning_coefficient(study: Study, unit: Unit):
    """The estimate at one checkpoint; noise and batches repeat at every checkpoint, unless asked
    otherwise."""
    cell = unit.cells()[0]
    checkpoint = study.load(*cell)
    params, key = jax.device_put(checkpoint.params), jax.random.key(0)
    key = key if FLAGS.common_noise else jax.random.fold_in(key, cell.step)
    estimator = slt.sensitivity if FLAGS.sensitivity else slt.estimate_llc
    estimated = estimator(
        surprisal.loss_fn(checkpoint.config),
        params,
        sampler_flags.data(study),
        key,
        sampler_flags.sampler(),
        mask=slt.part_mask(checkpoint.config, FLAGS.parts),
        trivial_loss=slt.trivial_loss(checkpoint.config),
        top_eigenvalue="measure",
        on_unstable=FLAGS.on_unstable,
    )
    if isinstance(estimated, slt.LLCEstimate):
        return record.to_dataset(as_record(estimated)), [checkpoint.provenance]
    effects = record.Sensitivity(
        step_effect=estimated.step_effect,
        step_effect_sem=estimated.step_effect_sem,
        pull_effect=estimated.pull_effect,
        pull_effect_sem=estimated.pull_effect_sem,
    )
    return record.to_dataset(as_record(estimated.estimate, effects)), [checkpoint.provenance]


def as_record(
    estimate: slt.LLCEstimate, sensitivity: record.Sensitivity | None = None
) -> record.Record:
    """All that a reader needs to believe or doubt an estimate."""
    after_burn_in = estimate.loss_trace[:, estimate.burn_in :]
    chain_losses = after_burn_in.mean(1, dtype=np.float64)
    verdict, stability = estimate.verdict, estimate.stability
    assert verdict.trivial_loss is not None  # every language model has one
    return record.Record(
        llc=estimate.llc,
        sem=estimate.sem,
        shared_sem=estimate.shared_sem,
        init_loss=estimate.init_loss,
        init_loss_sem=estimate.init_loss_sem,
        trivial_loss=verdict.trivial_loss,
        chain_loss=verdict.chain_loss,
        chain_loss_sem=chain_losses.std(ddof=1) / len(chain_losses) ** 0.5,
        rhat=estimate.rhat,
        ess=estimate.ess,
        acceptance=estimate.acceptance,
        nbeta=estimate.nbeta,
        localization=estimate.localization,
        step_size=estimate.step_size,
        burn_in=estimate.burn_in,
        num_free=estimate.num_free,
        step_curvature=stability.step_curvature,
        relative_distance=verdict.relative_distance,
        localization_share=verdict.localization_share,
        loss_trace=estimate.loss_trace,
        baseline_trace=estimate.baseline_trace,
        per_chain=estimate.per_chain,
        distance=estimate.distance,
        grad_norm=estimate.grad_norm,
        drift_norm=estimate.drift_norm,
        pull_norm=estimate.pull_norm,
        noise_norm=estimate.noise_norm,
        verdict=verdict.state,
        warnings=verdict.warnings,
        stability=stability.state,
        sentence=f"{verdict.sentence} {stability.sentence}",
        sensitivity=sensitivity,
    )


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
