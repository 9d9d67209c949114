"""Do seeds agree where n-grams suffice? Their divergence beside the surprisal of n-grams.

    python -m experiments.predictability --suite=nano

Seconds on 2 cores beside `experiments.convergence`, whose divergence it reads and, where that is
not there yet, measures. Expect n-grams to explain most of it soon after the models have learnt the
frequencies of tokens, and seeds to be nearest where a long n-gram predicts best.
"""

import numpy as np

from dynamics.measures import ngram
from dynamics.questions.predictability import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, convergence, scored_text

_ORDERS = (1, 2, 3, 4, 5)


def experiments(study: Study) -> list[common.Experiment]:
    """The n-grams' surprisals, and the divergence of every model's seeds at every step."""
    config = {**scored_text.config(study), "orders": _ORDERS}
    text = Unit.of_suite(record.MEASURE)
    divergence = [e for e in convergence.experiments(study) if e.measure == "convergence"]
    return [common.Experiment(record.MEASURE, config, [text], ngram_surprisals), *divergence]


def ngram_surprisals(study: Study, unit: Unit):
    """Surprisal of every prediction, under n-grams of the text for training."""
    text, size = scored_text.of(study), convergence.vocabulary(study)
    surprisal = np.zeros((len(_ORDERS), *text.tokens[:, 1:].shape), np.float32)
    for train, rows in convergence.fits_and_rows(study, text.document):
        fits = [ngram.fit(train, size, order) for order in _ORDERS]
        for row in rows:
            surprisal[:, row] = [-fit.log_probs(text.tokens[row])[1:] for fit in fits]
    if text.scored is not None:
        surprisal = surprisal[:, text.scored][..., None]
    document = text.predictions.document
    measured = record.Record(orders=_ORDERS, surprisal=surprisal, document=document)
    return record.to_dataset(measured), []


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
