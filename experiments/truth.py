"""Do seeds that converge to one another converge to the truth? Divergence from a known truth.

    python -m experiments.truth --suite=truth

The suite is trained, in half a minute on 2 cores, on text of a hidden Markov chain
(dynamics/data/synthetic.py), whose exact next-token distribution the forward algorithm gives.
Expect the frequencies of tokens first, where seeds are closest to one another and still far from
the truth.
"""

import functools

import numpy as np
from absl import flags

from dynamics.data import synthetic
from dynamics.errors import InputError
from dynamics.measures import truth
from dynamics.questions.truth import record
from dynamics.results import Unit
from dynamics.study import Study
from dynamics.training import nano
from experiments import common

FLAGS = flags.FLAGS
_WINDOWS_SEED = 2  # of the windows that models are measured on; the corpus has another


def experiments(study: Study) -> list[common.Experiment]:
    """The divergence of every model's seeds from the truth, and from one another, at every step."""
    if FLAGS.suite not in nano.KNOWN_TRUTH:
        suites = " or ".join(nano.KNOWN_TRUTH)
        raise InputError(
            f"--suite={FLAGS.suite}", expected=f"one trained on text of a known truth: {suites}"
        )
    if FLAGS.corpus:
        raise InputError(
            f"--corpus={FLAGS.corpus}",
            expected="none: of another text the true distribution is not known",
        )
    # No further than the models were trained to read.
    length = min(FLAGS.context, nano.RECIPES[FLAGS.suite][0].context)
    config = {
        **study.text_config(),
        "context": length,
        "windows": FLAGS.windows,
        "windows_seed": _WINDOWS_SEED,
    }
    units = study.seed_set_units(record.MEASURE, fewest=2)
    compute = functools.partial(known_truth, length)
    return [common.Experiment(record.MEASURE, config, units, compute)]


def known_truth(length: int, study: Study, unit: Unit):
    """`truth.divergence_from_truth` of the unit's seeds on windows of the process."""
    seeds = study.load_seeds(unit)
    hmm = synthetic.draw_hmm()
    tokens = synthetic.windows(hmm, FLAGS.windows, length, _WINDOWS_SEED)
    per_token = truth.divergence_from_truth(
        seeds.config,
        seeds.params,
        tokens,
        synthetic.log_predictive(hmm, tokens),
        np.log(hmm.unigram),
    )
    per_window = {name: values.mean(-1, dtype=np.float64) for name, values in per_token.items()}
    measured = record.Record(
        seeds=unit.seeds,
        tokens=np.full(len(tokens), length - 1),
        parameters=seeds.num_parameters,
        **per_window,
    )
    return record.to_dataset(measured), seeds.provenance


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
