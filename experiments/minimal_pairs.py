"""Do the seeds of a suite judge sentences alike? Minimal pairs (BLiMP) over training.

    python -m experiments.minimal_pairs --suite=nano --blimp=FILE

FILE is BLiMP's jsonl, plain or gzipped, or a folder of such files, one per task. 6,700 pairs
through the nano suite take 40 seconds on 2 cores. Expect an accuracy of about 0.5 from models
trained on code alone.
"""

import functools
from collections.abc import Callable

import numpy as np
from absl import flags

from dynamics.data import minimal_pairs as pair_data
from dynamics.errors import InputError
from dynamics.measures import minimal_pairs
from dynamics.questions.minimal_pairs import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, endings, number_flags

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "blimp", None, "minimal pairs to judge: a .jsonl or .jsonl.gz file in BLiMP's form, or a folder"
)
flags.DEFINE_bool(
    "blimp_start",
    True,
    "begin every sentence with the document separator, as Pythia's documents do",
)
number_flags.whole(
    "blimp_per_task", None, "at most so many pairs of every task; default all", least=1
)


def experiments(study: Study) -> list[common.Experiment]:
    """Preferences of every model's seeds at every step.

    Raises InputError without --blimp or with a single seed.
    """
    if FLAGS.blimp is None:
        raise InputError(
            "no --blimp", expected="a file of minimal pairs, e.g. --blimp=blimp.jsonl.gz"
        )
    units = study.seed_set_units(record.MEASURE, fewest=2)
    pairs = _pairs(FLAGS.blimp, FLAGS.blimp_per_task)
    config = {
        "suite": study.suite.name,
        "pairs_sha256": pairs.fingerprint(),
        "start": FLAGS.blimp_start,
    }

    @functools.cache
    def batches() -> minimal_pairs.PairBatches:
        # Made at the first unit, when its checkpoint and tokenizer are here; all units share it.
        ids = pair_data.encode(study.tokenizer, (*pairs.good, *pairs.bad), FLAGS.blimp_start)
        return minimal_pairs.batch_pairs(ids[: len(pairs)], ids[len(pairs) :])

    compute = functools.partial(judge, pairs, batches)
    return [common.Experiment(record.MEASURE, config, units, compute)]


def judge(
    pairs: pair_data.MinimalPairs,
    batches: Callable[[], minimal_pairs.PairBatches],
    study: Study,
    unit: Unit,
):
    """log p(good) - log p(bad) of every seed, and the KL of its two-sentence distributions."""
    seeds = study.load_seeds(unit, reads_text=False)
    preference = minimal_pairs.preferences(seeds.config, seeds.params, batches())
    start = "the document separator"
    judgements = record.Record(
        seeds=unit.seeds,
        kl=np.asarray(minimal_pairs.pair_kl(preference)),
        preference=np.asarray(preference),
        task=pairs.task,
        task_names=tuple(pairs.tasks),
        terms=tuple(pairs.terms),
        source=pairs.source,
        start=start if FLAGS.blimp_start else "nothing; the first token is not scored",
    )
    return record.to_dataset(judgements), seeds.provenance


@functools.cache
def _pairs(path: str, per_task: int | None) -> pair_data.MinimalPairs:
    pairs = pair_data.read(path)
    if pairs.num_same:
        endings.say(f"minimal pairs: {len(pairs):,} of {pairs.source}")
    return pairs if per_task is None else pairs.first(per_task)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
