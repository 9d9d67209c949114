"""Do the seeds of an in-context regression suite predict the same? Their divergence over training.

    python -m experiments.convergence --suite=.../suite.toml

`convergence` comes here for suites that read contexts. Seconds on 2 cores. All seeds read the same
held-out contexts. Expect a KL that is lowest where all seeds predict the mean task, and rises as
each learns to use the context at its own time.
"""

from absl import flags

from dynamics import models
from dynamics.measures import prediction_divergence
from dynamics.questions.seed_predictions import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole("seed_contexts", 1024, "contexts to compare seeds on", least=2, most=1 << 16)


def experiments(study: Study) -> list[common.Experiment]:
    """A unit of all seeds for every model and step."""
    units = study.seed_set_units(record.MEASURE, fewest=2)
    config = {**study.text_config(), "contexts": FLAGS.seed_contexts}
    return [common.Experiment(record.MEASURE, config, units, compared)]


def compared(study: Study, unit: Unit):
    """The unit's seeds on held-out contexts."""
    seeds = study.load_seeds(unit)
    assert isinstance(seeds.config, models.icl_regression.Config)  # a suite that reads contexts
    tokens = study.evaluation_windows.take(FLAGS.seed_contexts).tokens
    numbers = prediction_divergence.seed_predictions(seeds.config, seeds.params, tokens)
    return record.to_dataset(record.Record(seeds=unit.seeds, **numbers._asdict())), seeds.provenance
