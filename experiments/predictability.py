"""Do seeds agree where n-grams suffice? Their divergence beside the surprisal of n-grams.

    python -m experiments.predictability --suite=nano

Seconds on 2 cores beside `experiments.convergence`, whose divergence it reads and, where that is
not there yet, measures. Expect n-grams to explain most of it soon after the models have learnt the
frequencies of tokens, and seeds to be nearest where a long n-gram predicts best.
"""

import numpy as np
from absl import flags

from dynamics.measures import ngram
from dynamics.questions.predictability import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, convergence

FLAGS = flags.FLAGS
_ORDERS = (1, 2, 3, 4, 5)


def experiments(study: Study) -> list[common.Experiment]:
    """The n-grams' surprisals, and the divergence of every model's seeds at every step."""
    config = {**study.text_config(), "windows": FLAGS.windows, "orders": _ORDERS}
    text = Unit.of_suite(record.MEASURE)
    divergence = [e for e in convergence.experiments(study) if e.measure == "convergence"]
    return [common.Experiment(record.MEASURE, config, [text], ngram_surprisals), *divergence]


def ngram_surprisals(study: Study, unit: Unit):
    """Surprisal of every prediction, under n-grams of the training text."""
    text = study.held_out.take(FLAGS.windows)
    # Ids may have gaps, so the count of words is no bound on them.
    vocabulary = max(study.tokenizer.get_vocab_size(), int(study.token_range[1]) + 1)
    fits = [ngram.fit(study.train_documents, vocabulary, order) for order in _ORDERS]
    surprisal = np.array([[-fit.log_probs(row)[1:] for row in text.tokens] for fit in fits])
    measured = record.Record(
        orders=_ORDERS, surprisal=surprisal.astype(np.float32), document=text.document
    )
    return record.to_dataset(measured), []


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
