"""Is it the initialisation or the data order that sets seeds apart? Their divergence by cause.

    python -m experiments.causes --suite=nano-causes

The suite crosses 4 initialisations with 4 data orders in three architectures, 48 small runs, which
are trained on first use. At step 0 all divergence is of the initialisation, .40 nats. Expect its
part to be least where models are nearest to the frequencies of tokens (.12 nats of .17 for
causes-32x2 at step 32), and to stay larger than that of the data order to the end (.18 and .08 of
.40). `python -m experiments.report` with the same flags writes the page.
"""

import dataclasses
import functools

import numpy as np
from absl import flags

from dynamics.errors import InputError
from dynamics.measures import divergence
from dynamics.questions.causes import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole(
    "cause_windows",
    64,
    "windows to measure crossed runs on: their pairs grow as the square of the runs",
    least=1,
)


def experiments(study: Study) -> list[common.Experiment]:
    """The divergence of every model's runs at every step, beside what the runs share."""
    if study.suite.causes is None:
        raise InputError(
            f"the suite {study.suite.name}, whose seeds share nothing",
            expected="one whose seeds share initialisations and data orders, such as nano-causes",
            mend="Its divergence without causes: python -m experiments.convergence.",
        )
    # No further than the models were trained to read.
    length = min(study.window_length, study.suite.trained_context or study.window_length)
    study = dataclasses.replace(study, window_length=length)
    text = {**study.text_config(), "windows": FLAGS.cause_windows}
    units = study.seed_set_units(record.MEASURE, fewest=2, crossed=True)
    return [
        common.Experiment(
            record.MEASURE, text, units, functools.partial(divergence_by_cause, study)
        )
    ]


def divergence_by_cause(study: Study, _: Study, unit: Unit):
    """`measures.divergence.seed_divergence` of the unit's runs, and the causes of each."""
    assert study.suite.causes is not None
    runs, text = study.load_seeds(unit), study.evaluation_windows.take(FLAGS.cause_windows)
    causes = [study.suite.causes(seed) for seed in unit.seeds]
    numbers = divergence.seed_divergence(
        runs.config, runs.params, text.tokens, documents=text.document, js=False
    )
    measured = record.Record(
        seeds=unit.seeds,
        init=np.array([cause.init for cause in causes]),
        order=np.array([cause.order for cause in causes]),
        tokens=numbers["document_tokens"],
        kl=numbers["kl_documents"],
        surprisal=numbers["surprisal_documents"],
        parameters=runs.num_parameters,
    )
    return record.to_dataset(measured), runs.provenance


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
