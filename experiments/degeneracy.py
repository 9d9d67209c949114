"""Do collapsed weights count? Loss and LLC with them set exactly to 0, against random sets.

    python -m experiments.degeneracy --suite=.../suite.toml --degeneracy_at=1

Scales of layer norms below --collapsed are set to 0, and random scales of as many in their place;
the LLC is estimated at the settings of `llc`, with common noise. A minute of CPU time for each
checkpoint. Expect a loss that does not change, where random scales change it much. With `llc`
and `development` the page says what else of the structure goes with the LLC.
"""

import jax
import numpy as np
from absl import flags

from dynamics import models, slt
from dynamics.errors import InputError
from dynamics.measures import collapse, icl_development, problem, squared_error
from dynamics.questions.degeneracy import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags, sampler_flags

FLAGS = flags.FLAGS
number_flags.whole("degeneracy_at", 1, "checkpoints of each seed, the last ones", least=1)
number_flags.whole("random_sets", 2, "random sets of as many weights", least=1, most=1000)
number_flags.real(
    "collapsed", icl_development.COLLAPSED, "size below which a scale has collapsed",
    least=0, most=1e6,
)  # fmt: skip


def experiments(study: Study) -> list[common.Experiment]:
    """The last checkpoints of every seed that is sampled around. Raises InputError for text."""
    if study.regression is None:
        raise InputError(
            f"the suite {study.suite.name} of models of text",
            expected="models of in-context regression",
            mend="Train some: python -m experiments.icl_regression, which prints their suite.",
        )
    sampler_flags.settle(study)
    steps = study.suite.steps[-FLAGS.degeneracy_at :]
    units = [
        unit
        for unit in study.single_units(record.MEASURE, sampler_flags.seeds(study))
        if unit.step in steps
    ]
    config = sampler_flags.config(study)
    config |= {"random_sets": FLAGS.random_sets, "collapsed": FLAGS.collapsed}
    return [common.Experiment(record.MEASURE, config, units, set_to_zero)]


def set_to_zero(study: Study, unit: Unit):
    """Loss and LLC of one checkpoint with weights set to 0, less those without."""
    checkpoint = study.load(*unit.cells()[0])
    config, params = checkpoint.config, jax.device_put(checkpoint.params)
    assert isinstance(config, models.icl_regression.Config)  # as `experiments` has asked
    tokens = study.evaluation_windows.take(2048).tokens
    key, data, sampler = (
        sampler_flags.key(unit.seeds[0]), sampler_flags.data(study), sampler_flags.sampler(),
    )  # fmt: skip
    errors_of = common.jitted(squared_error.errors_fn(config))

    def errors(weights) -> np.ndarray:
        return np.asarray(errors_of(weights, tokens), np.float64).mean(1)

    def estimate(weights) -> slt.LLCEstimate:
        return slt.estimate_llc(
            problem.of(config).loss, weights, data, key, sampler,
            trivial_loss=problem.of(config, study.suite.num_tasks).trivial_loss,
            top_eigenvalue=None,
        )  # fmt: skip

    mask = collapse.collapsed(params, FLAGS.collapsed)
    num = collapse.count(mask)
    sets = [
        mask,
        *(collapse.random_like(jax.random.key(k), mask) for k in range(FLAGS.random_sets)),
    ]
    changes = np.zeros((len(sets), 4))
    if num:  # else nothing changes
        before, llc_before = errors(params), estimate(params)
        for row, chosen in zip(changes, sets, strict=True):
            changed = collapse.zeroed(params, chosen)
            loss = icl_development.mean_of(errors(changed) - before)
            llc = slt.difference(llc_before, estimate(changed))
            row[:] = loss.value, loss.sem, llc.llc, llc.sem
    own, random = changes[0], changes[1:]
    measured = record.Record(
        num_collapsed=num,
        num_candidates=collapse.count(collapse.collapsed(params, np.inf)),
        loss=own[0],
        loss_sem=own[1],
        llc=own[2],
        llc_sem=own[3],
        random_loss=random[:, 0],
        random_loss_sem=random[:, 1],
        random_llc=random[:, 2],
        random_llc_sem=random[:, 3],
        outputs_after_embedding=3 * config.hidden_size,
    )
    return record.to_dataset(measured), [checkpoint.provenance]


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
