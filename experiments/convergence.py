"""Do the seeds of a suite predict the same next token? Their divergence over training.

    python -m experiments.convergence --suite=nano
    python -m experiments.convergence --suite=nano --blimp=FILE --windows=800
    python -m experiments.convergence --suite=mine.toml --bytes

A minute on 2 cores once the suite is trained, two with BLiMP's 6,700 pairs. With it go what is
known of the text (`token_properties`), the worth of a longer context (`in_context`), passages to
read (`reading`) and, on request, minimal pairs; --bytes compares seeds whose tokenizers differ,
byte by byte, in place of all that. Expect a seed-pair KL of 0.40 nats at step 0 (Pythia's
initialisation), a minimum near the unigram stage, and a later rise.
"""

import numpy as np
from absl import flags

from dynamics.analysis import means
from dynamics.measures import divergence, ngram
from dynamics.questions.convergence import record, record_ngram
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, in_context, minimal_pairs, next_byte, reading, token_properties

FLAGS = flags.FLAGS
flags.DEFINE_bool("bytes", False, "compare next bytes, for seeds whose tokenizers differ")
_NGRAM_ORDERS = (1, 2, 3)


def experiments(study: Study) -> list[common.Experiment]:
    """The yardstick, and the divergence of every model's seeds at every step."""
    if FLAGS.bytes:
        return next_byte.experiments(study)
    units = study.seed_set_units(record.MEASURE, fewest=2)
    text = {**study.text_config(), "windows": FLAGS.windows}
    orders = {**text, "orders": _NGRAM_ORDERS}
    yardstick = Unit.of_suite(record_ngram.MEASURE)
    return [
        # First, so that a tagger's faults are known before the long work.
        *token_properties.experiments(study),
        common.Experiment(record_ngram.MEASURE, orders, [yardstick], kneser_ney),
        common.Experiment(record.MEASURE, text, units, seed_divergence),
        *in_context.experiments(study),
        *reading.experiments(study),
        *(minimal_pairs.experiments(study) if FLAGS.blimp else []),
    ]


def kneser_ney(study: Study, unit: Unit):
    """Cross-entropy of interpolated Kneser-Ney n-grams on the windows that models are measured on.

    Its error is over documents.
    """
    text = study.held_out.take(FLAGS.windows)
    # Ids may have gaps, so the count of words is no bound on them.
    vocabulary = max(study.tokenizer.get_vocab_size(), int(study.token_range[1]) + 1)
    fits = [ngram.fit(study.train_documents, vocabulary, order) for order in _NGRAM_ORDERS]
    losses = np.array([[-fit.log_probs(row)[1:].mean() for row in text.tokens] for fit in fits])
    mean, sem, _ = means.clustered_mean(losses, text.document)
    yardstick = record_ngram.Record(orders=_NGRAM_ORDERS, cross_entropy=mean, sem=sem)
    return record_ngram.to_dataset(yardstick), []


def seed_divergence(study: Study, unit: Unit):
    """`measures.divergence.seed_divergence` of the unit's seeds, reduced to documents."""
    seeds, text = study.load_seeds(unit), study.held_out.take(FLAGS.windows)
    cell, rate = unit.cells()[0], study.suite.learning_rate
    numbers = divergence.seed_divergence(
        seeds.config,
        seeds.params,
        text.tokens,
        documents=text.document,
        log_unigram=ngram.add_one_unigram(study.train_documents, seeds.config.vocab_size),
    )
    predictions = record.Record.of_measure(
        numbers,
        text.document,
        seeds=unit.seeds,
        num_parameters=seeds.num_parameters,
        learning_rate=None if rate is None else rate(cell.model, cell.step),
    )
    return record.to_dataset(predictions), seeds.provenance


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
