"""How degenerate is the loss around each checkpoint? The local learning coefficient, with a
locality verdict.

    python -m experiments.llc --suite=nano
    python -m experiments.llc --suite=nano --target_error=.05 --draws=2000
    python -m experiments.llc --suite=nano --calibrate     # as experiments.calibration does
    python -m experiments.llc --suite=nano --parts=layers.1.attention.heads.0 --out=results/head

About two minutes on 2 cores. The ends of the Hessian's spectrum are measured first: they decide
whether a chain is stable. Estimates are comparable only at one (n beta, gamma, epsilon); those are
part of the results' configuration.
"""

import dataclasses

import jax
import numpy as np
from absl import flags, logging

from dynamics import slt
from dynamics.errors import InputError
from dynamics.measures import problem
from dynamics.questions.llc import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import calibration, common, llc_settings, number_flags, sampler_flags

FLAGS = flags.FLAGS
flags.DEFINE_bool(
    "calibrate", False, "try a grid of settings at a few checkpoints and recommend one"
)
flags.DEFINE_bool(
    "sensitivity", False, "also with half the step and twice the pull: four times the work"
)
flags.DEFINE_bool(
    "pull_exponent",
    True,
    "also with twice the pull where the LLC is positive, for d ln llc / d ln gamma: half again",
)
number_flags.whole(
    "reference_probes",
    3,
    "probes of the Hessian's spectrum on the chains' data: what a quadratic would give (0: none)",
    most=number_flags.MOST_CHAINS,
)
number_flags.whole(
    "reference_matvecs",
    8,
    "Hessian products of each probe",
    least=1,
    most=number_flags.MOST_PARTS,
)
number_flags.whole("reference_windows", 8, "windows of each probe's batch", least=1)
number_flags.real(
    "target_error",
    None,
    "standard error to sample to, as a share of the LLC; --draws is then the most that are taken",
    least=0,
    most=1e6,
    open=True,
)
number_flags.real(
    "error_floor", 0.0, "the least standard error that is worth the work", least=0, most=1e12
)
number_flags.whole(
    "repeats",
    1,
    "estimates of each checkpoint, of keys of their own: how far they differ against their errors",
    least=1,
    most=number_flags.MOST_CHAINS,
)
number_flags.whole(
    "llc_every", 1, "of a model's checkpoints take the last and every n-th before it", least=1
)
number_flags.whole("llc_from", 0, "the first step whose checkpoints are taken", most=2**63 - 1)
flags.DEFINE_bool("common_noise", True, "the same noise and batches at every checkpoint")


def experiments(study: Study) -> list[common.Experiment]:
    """The LLC at every checkpoint of the chosen seeds, or the calibration of its sampler."""
    sampler_flags.settle(study)
    if FLAGS.calibrate:
        return calibration.experiments(study)
    config = sampler_flags.config(study)
    config |= {"sensitivity": FLAGS.sensitivity, "common_noise": FLAGS.common_noise}
    config |= {"target_error": FLAGS.target_error, "error_floor": FLAGS.error_floor}
    config |= {"pull_exponent": FLAGS.pull_exponent, "reference": _reference_settings()}
    if FLAGS.repeats > 1:
        config["repeats"] = FLAGS.repeats
    if FLAGS.suggest:
        llc_settings.ensure(study)
        config["suggested"] = {
            model: dataclasses.asdict(llc_settings.of_model(study, model))
            for model in study.suite.models
        }
    steps = {step for step in study.suite.steps[:: -FLAGS.llc_every] if step >= FLAGS.llc_from}
    units = [
        unit
        for unit in study.single_units(record.MEASURE, sampler_flags.seeds(study))
        if unit.step in steps
    ]
    # Only a sampler with a Metropolis test has an acceptance.
    nowhere = _WITHOUT_LLC if FLAGS.sampler == "mala" else ("acceptance", *_WITHOUT_LLC)
    return [
        common.Experiment(record.MEASURE, config, units, learning_coefficient, may_be_nan=nowhere)
    ]


def _reference_settings() -> tuple[int, int, int] | None:
    if not FLAGS.reference_probes:
        return None
    return FLAGS.reference_probes, FLAGS.reference_matvecs, FLAGS.reference_windows


# A logarithm needs an LLC, or what a quadratic would give, that is above 0.
_WITHOUT_LLC = (
    "pull_exponent",
    "pull_exponent_sem",
    "pull_bound",
    "reference_pull_exponent",
    "reference_pull_exponent_sem",
)


def learning_coefficient(study: Study, unit: Unit):
    """The estimate at one checkpoint. Noise and batches repeat at every checkpoint of a seed,
    unless asked otherwise.

    Seeds have noise of their own: with one key their errors would be common, and a mean over seeds
    no surer than one of them.
    """
    cell = unit.cells()[0]
    checkpoint = study.load(*cell)
    params = jax.device_put(checkpoint.params)
    first, *others = (
        key if FLAGS.common_noise else jax.random.fold_in(key, cell.step)
        for key in (sampler_flags.key(cell.seed, repeat) for repeat in range(FLAGS.repeats))
    )
    loss, data, sampler = (
        problem.of(checkpoint.config).loss,
        sampler_flags.data(study),
        llc_settings.sampler(study, cell.model),
    )
    mask = slt.part_mask(checkpoint.config, FLAGS.parts)
    landscape = _landscape(loss, params, data, sampler, mask)
    arguments = {
        "mask": mask,
        "trivial_loss": problem.of(checkpoint.config, study.suite.num_tasks).trivial_loss,
        "top_eigenvalue": "measure" if landscape is None else landscape.ends,
        "on_unstable": FLAGS.on_unstable,
    }
    effects, reference = None, _reference(landscape, sampler, len(data))
    if FLAGS.sensitivity:
        estimated = slt.sensitivity(loss, params, data, first, sampler, **arguments)
        estimate, effects = estimated.estimate, _effects(estimated)
    else:
        exponent = "where positive" if FLAGS.pull_exponent else None
        estimate = slt.estimate_llc(
            loss,
            params,
            data,
            first,
            sampler,
            pull_exponent=exponent,
            target_error=FLAGS.target_error,
            error_floor=FLAGS.error_floor,
            landscape=landscape,
            **arguments,
        )
        if estimate.target is not None:
            logging.info("%s: %s", unit, estimate.target.sentence)
    # The stability is the checkpoint's, and measured once.
    arguments |= {"top_eigenvalue": None}
    if not FLAGS.sensitivity:
        arguments |= {"target_error": FLAGS.target_error, "error_floor": FLAGS.error_floor}
    again = [slt.estimate_llc(loss, params, data, key, sampler, **arguments) for key in others]
    repeated = record.Repeats.of([(e.llc, e.error) for e in again]) if again else None
    measured = dataclasses.replace(as_record(estimate, effects, reference), repeats=repeated)
    return record.to_dataset(measured), [checkpoint.provenance]


def _landscape(loss, params, data, sampler: slt.Sampler, mask) -> slt.Landscape | None:
    """Spectrum and slope on the chains' own data; None where no reference is asked for."""
    settings = _reference_settings()
    if settings is None:
        return None
    num_probes, num_matvecs, probe_items = settings
    return slt.measure_landscape(
        loss,
        params,
        data,
        jax.random.key(0),
        num_probes=num_probes,
        num_matvecs=num_matvecs,
        probe_items=probe_items,
        scale_by=sampler.scale_by,
        mask=mask,
    )


def _reference(
    landscape: slt.Landscape | None, sampler: slt.Sampler, num_data: int
) -> record.Reference | None:
    """What a quadratic would give; None without a landscape or a closed form."""
    if landscape is None or not sampler.has_quadratic_form:
        return None
    try:
        reference = slt.quadratic_llc(landscape.density, sampler, num_data, landscape.slope)
    except InputError:  # the stiffest direction is unstable: the estimate's own verdict says so
        return None
    return record.Reference(
        llc=reference.llc,
        sem=reference.sem,
        slope=reference.slope,
        pull_exponent=reference.pull_exponent,
        pull_exponent_sem=reference.pull_exponent_sem,
        unconfined=reference.unconfined,
        smallest=reference.smallest,
        largest=reference.largest,
    )


def _effects(sensitivity: slt.Sensitivity) -> record.Sensitivity:
    return record.Sensitivity(
        step_effect=sensitivity.step_effect,
        step_effect_sem=sensitivity.step_effect_sem,
        pull_effect=sensitivity.pull_effect,
        pull_effect_sem=sensitivity.pull_effect_sem,
    )


def as_record(
    estimate: slt.LLCEstimate,
    sensitivity: record.Sensitivity | None = None,
    reference: record.Reference | None = None,
) -> record.Record:
    """All that a reader needs to believe or doubt an estimate."""
    after_burn_in = estimate.loss_trace[:, estimate.burn_in :]
    chain_losses = after_burn_in.mean(1, dtype=np.float64)
    verdict, stability = estimate.verdict, estimate.stability
    assert verdict.trivial_loss is not None  # every problem has one
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
        pull_exponent=estimate.pull_exponent.value,
        pull_exponent_sem=estimate.pull_exponent.sem,
        pull_bound=estimate.pull_exponent.bound,
        reference=reference,
    )


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
