"""Do the seeds of a suite judge sentences alike? Minimal pairs (BLiMP) over training.

    python -m experiments.minimal_pairs --suite=nano --blimp=FILE

FILE is BLiMP's jsonl, plain or gzipped, or a folder of such files, one per task. 6,700 pairs
through the nano suite take 40 seconds on 2 cores. Expect an accuracy of about 0.5 from models
trained on code alone.
"""

import functools
from collections.abc import Callable

from absl import flags

from dynamics.data import minimal_pairs as pair_data
from dynamics.errors import InputError
from dynamics.measures import minimal_pairs
from dynamics.questions.minimal_pairs import record
from dynamics.results import Unit
from experiments import alike, common

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "blimp", None, "minimal pairs to judge: a .jsonl or .jsonl.gz file in BLiMP's form, or a folder"
)
flags.DEFINE_bool(
    "blimp_start",
    True,
    "begin every sentence with the document separator, as Pythia's documents do",
)
flags.DEFINE_integer(
    "blimp_per_task", None, "at most so many pairs of every task; default all", lower_bound=1
)


def experiments(context: common.Context) -> list[common.Experiment]:
    """Preferences of every model's seeds at every step. Raises InputError without --blimp or with a
    single seed."""
    if FLAGS.blimp is None:
        raise InputError(
            "no --blimp", expected="a file of minimal pairs, e.g. --blimp=blimp.jsonl.gz"
        )
    seeds = context.suite.seeds
    if len(seeds) < 2:
        raise InputError(
            f"{len(seeds)} seed",
            expected="two or more, to have a pair",
            mend="Select more --seeds.",
        )
    pairs = _pairs(FLAGS.blimp, FLAGS.blimp_per_task)
    config = {
        "suite": context.suite.name,
        "pairs_sha256": pairs.fingerprint(),
        "start": FLAGS.blimp_start,
    }
    units = [
        Unit(measure=record.MEASURE, model=model, seeds=seeds, step=step)
        for model in context.suite.models
        for step in context.suite.steps
        if context.suite.whole(model, step, seeds)
    ]

    @functools.cache
    def plan() -> (
        minimal_pairs.PairBatches
    ):  # at the first unit, when its checkpoint and tokenizer are here; all share it
        ids = pair_data.encode(context.tokenizer, (*pairs.good, *pairs.bad), FLAGS.blimp_start)
        return minimal_pairs.batch_pairs(ids[: len(pairs)], ids[len(pairs) :])

    return [
        common.Experiment(record.MEASURE, config, units, functools.partial(_judge, pairs, plan))
    ]


def _judge(
    pairs: pair_data.MinimalPairs,
    plan: Callable[[], minimal_pairs.PairBatches],
    context: common.Context,
    unit: Unit,
):
    """log p(good) - log p(bad) of every seed, and the KL of its two-sentence distributions, pair by
    pair."""
    loaded = [context.load(*cell, reads_text=False) for cell in unit.cells()]
    alike.check(unit, loaded)
    params = alike.stack([checkpoint.params for checkpoint in loaded])
    preference = minimal_pairs.preferences(loaded[0].config, params, plan())
    start = "the document separator"
    judgement = record.Record(
        seeds=unit.seeds,
        kl=minimal_pairs.pair_kl(preference),
        preference=preference,
        task=pairs.task,
        task_names=pairs.tasks,
        terms=pairs.terms,
        source=pairs.name,
        start=start if FLAGS.blimp_start else "nothing; the first token is not scored",
    )
    return record.to_dataset(judgement), [checkpoint.provenance for checkpoint in loaded]


@functools.cache
def _pairs(path: str, per_task: int | None) -> pair_data.MinimalPairs:
    pairs = pair_data.read(path)
    return pairs if per_task is None else pairs.first(per_task)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
