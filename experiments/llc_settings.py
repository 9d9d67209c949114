"""Which settings of the chains mean something? One setting per model, from its landscape.

    python -m experiments.llc_settings --suite=nano                # says what it finds, and why
    python -m experiments.llc --suite=nano --suggest               # the same, and samples with it
    python -m experiments.calibration --suite=nano --suggest       # the same, and a grid about it

The Hessian's spectrum at the stated checkpoints foretells how much of the LLC the pull would
decide; chains at the last of them try it. Where no setting within --most_steps leaves the LLC to
the landscape, it says so, and what stands in the way.
"""

import dataclasses

import jax
import numpy as np
from absl import flags

from dynamics import slt
from dynamics.errors import InputError
from dynamics.measures import problem
from dynamics.questions.llc import record_settings as settings
from dynamics.questions.llc.record_settings import Settings
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags, sampler_flags

FLAGS = flags.FLAGS
flags.DEFINE_bool(
    "suggest", False, "one sampler per model from its landscape (experiments/llc_settings.py)"
)
number_flags.wholes(
    "suggest_at",
    None,
    "steps whose landscapes the setting must serve; default the middle and the last",
)
number_flags.real(
    "wanted_exponent", -0.5, "d ln llc / d ln gamma that is allowed at most", least=-1, most=0
)
number_flags.whole("most_steps", 5000, "steps of a chain that a setting may take", least=2)


def experiments(study: Study) -> list[common.Experiment]:
    """A unit for each model, of the first seed that is sampled around."""
    sampler_flags.settle(study)
    seed = sampler_flags.seeds(study)[:1]
    units = [Unit.of_run(settings.MEASURE, model, seed) for model in study.suite.models]
    config = {
        **study.text_config(),
        "steps": _steps(study),
        "wanted_exponent": FLAGS.wanted_exponent,
        "most_steps": FLAGS.most_steps,
        "chains": FLAGS.chains,
        "llc_batch": FLAGS.llc_batch,
        "llc_windows": FLAGS.llc_windows,
        "parts": list(FLAGS.parts),
    }
    nowhere = (
        "step_size", "nbeta", "localization", "foretold_exponent", "measured_exponent",
    )  # fmt: skip
    return [common.Experiment(settings.MEASURE, config, units, suggested, may_be_nan=nowhere)]


def suggested(study: Study, unit: Unit):
    """The setting of one model, tried at the last of its stated checkpoints."""
    *others, last = [study.load(unit.model, unit.seeds[0], step) for step in _steps(study)]
    suggestion = slt.suggest(
        problem.of(last.config).loss,
        jax.device_put(last.params),
        sampler_flags.data(study),
        jax.random.key(0),
        further=[jax.device_put(other.params) for other in others],
        trivial_loss=problem.of(last.config, study.suite.num_tasks).trivial_loss,
        pull_exponent=FLAGS.wanted_exponent,
        max_steps=FLAGS.most_steps,
        batch_size=FLAGS.llc_batch,
        num_chains=FLAGS.chains,
        mask=slt.part_mask(last.config, FLAGS.parts),
    )
    weights = [checkpoint.provenance for checkpoint in (*others, last)]
    return settings.to_dataset(_settings(suggestion)), weights


def _settings(suggestion: slt.Suggestion) -> Settings:
    measured = suggestion.tries[-1].pull_exponent.value if suggestion.tries else np.nan
    sampler = suggestion.sampler
    if sampler is None:
        return Settings(measured_exponent=measured, sentence=suggestion.sentence)
    assert sampler.nbeta is not None
    return Settings(
        step_size=sampler.step_size,
        nbeta=sampler.nbeta,
        localization=sampler.localization,
        num_draws=sampler.num_draws,
        burn_in=sampler.burn_in,
        thinning=sampler.thinning,
        foretold_exponent=min(r.pull_exponent for r in suggestion.references),
        measured_exponent=measured,
        sentence=suggestion.sentence,
    )


def _steps(study: Study) -> list[int]:
    steps = [step for step in study.suite.steps if step > 0]
    if not FLAGS.suggest_at:
        return sorted({steps[len(steps) // 2], steps[-1]}) if steps else []
    absent = sorted(set(FLAGS.suggest_at) - set(study.suite.steps))
    if absent:
        raise InputError(
            f"--suggest_at with step {absent[0]}",
            expected=f"steps of the suite, {list(study.suite.steps)}",
        )
    return sorted(set(FLAGS.suggest_at))


def of_model(study: Study, model: str) -> Settings:
    """The committed setting of a model. Raises InputError where none serves."""
    (experiment,) = experiments(study)
    (unit,) = [unit for unit in experiment.units if unit.model == model]
    read = settings.from_dataset(study.store.read(unit))
    if not read.serve:
        raise InputError(
            f"--suggest for {model}: {read.sentence}",
            expected=f"a setting that leaves the LLC to the landscape within {FLAGS.most_steps} "
            "steps",
            mend="Allow more with --most_steps or --wanted_exponent, take a part with --parts, or "
            "leave --suggest out: the page then says what decides each value.",
        )
    return read


def ensure(study: Study):
    """Finds the settings that are not committed yet, in every shard: all find the same."""
    for experiment in experiments(study):
        common.run(dataclasses.replace(study, shard="0/1"), experiment)


def sampler(study: Study, model: str) -> slt.Sampler:
    """The sampler of the flags; with --suggest at the model's setting, which `ensure` has found.

    Raises:
        InputError: --suggest where no setting serves.
    """
    if not FLAGS.suggest:
        return sampler_flags.sampler()
    setting = of_model(study, model)
    return dataclasses.replace(
        sampler_flags.sampler(),
        step_size=setting.step_size,
        nbeta=setting.nbeta,
        localization=setting.localization,
        num_draws=setting.num_draws,
        burn_in=setting.burn_in,
        thinning=setting.thinning,
    )


def body():
    study = common.open_suite()
    ensure(study)
    for experiment in experiments(study):
        for unit in experiment.units:
            setting = settings.from_dataset(study.store.read(unit))
            print(f"{unit.model}: {setting.sentence}")
            if setting.serve:
                print(f"  {_flags(setting)}")


def _flags(setting: Settings) -> str:
    """The setting as flags of every script that runs chains."""
    return (
        f"--step_size={setting.step_size:g} --nbeta={setting.nbeta:g} "
        f"--localization={setting.localization:g} --draws={setting.num_draws} "
        f"--burn_in={setting.burn_in} --thinning={setting.thinning}"
    )


if __name__ == "__main__":
    common.main(body)
