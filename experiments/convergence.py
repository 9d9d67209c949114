"""Do the seeds of a suite predict the same next token? Their divergence over training.

    python -m experiments.convergence --suite=nano
    python -m experiments.convergence --suite=nano --blimp=FILE --windows=800
    python -m experiments.convergence --suite=nano --corpus=FILE --context_mode=prefix
    python -m experiments.convergence --suite=mine.toml --bytes

A minute on 2 cores once the suite is trained, two with BLiMP's 6,700 pairs. With it go what is
known of the text (`token_properties`), the worth of a longer context (`in_context`), passages to
read (`reading`) and, on request, minimal pairs; --bytes compares seeds whose tokenizers differ,
byte by byte, in place of all that. A suite that reads contexts of regression gets
`seed_predictions` instead. Expect a seed-pair KL of 0.40 nats at step 0 (Pythia's initialisation),
a minimum near the unigram stage, and a later rise.
"""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
from absl import flags, logging
from jaxtyping import Int

from dynamics import checkpoints
from dynamics.analysis import means
from dynamics.checkpoints import audit
from dynamics.errors import InputError
from dynamics.measures import divergence, ngram
from dynamics.questions.convergence import record, record_ngram
from dynamics.questions.token_properties import record_final
from dynamics.results import Unit
from dynamics.study import Study
from experiments import (
    common,
    in_context,
    minimal_pairs,
    next_byte,
    reading,
    scored_text,
    seed_predictions,
    token_properties,
)

FLAGS = flags.FLAGS
flags.DEFINE_bool("bytes", False, "compare next bytes, for seeds whose tokenizers differ")
_NGRAM_ORDERS = (1, 2, 3)
_NGRAM_PARTS = 10


def experiments(study: Study) -> list[common.Experiment]:
    """The yardstick, and the divergence of every model's seeds at every step."""
    if study.regression is not None:
        return seed_predictions.experiments(study)
    if FLAGS.bytes:
        return next_byte.experiments(study)
    units = study.seed_set_units(record.MEASURE, fewest=2)
    config = scored_text.config(study)
    return [
        # First, so that a tagger's faults are known before the long work.
        *token_properties.experiments(study),
        *_yardstick(study, config),
        common.Experiment(record.MEASURE, config, units, seed_divergence),
        *_final(study, config),
        *_where_long_enough(study, in_context),
        *_where_long_enough(study, reading),
        *(minimal_pairs.experiments(study) if FLAGS.blimp else []),
    ]


def _final(study: Study, config: dict) -> list[common.Experiment]:
    """Predictions at the last step of the runs, which say how surprising a token stays.

    None where that step is compared anyway.
    """
    seeds, step = study.suite.seeds, study.suite.last_step
    units = [
        Unit(measure=record_final.MEASURE, model=model, seeds=seeds, step=step)
        for model in study.suite.models
        if step not in study.suite.steps and _is_at_hand(study, model, step)
    ]
    experiment = common.Experiment(record_final.MEASURE, config, units, seed_divergence)
    return [experiment] if units else []


def _is_at_hand(study: Study, model: str, step: int) -> bool:
    """Whether every seed's checkpoint can be had; a line says why not."""
    try:
        for seed in study.suite.seeds:
            checkpoints.config(*study.suite.source(model, seed, step), weights=study.weights)
    except InputError as error:
        logging.warning("final surprisal of %s is that of its last step measured: %s", model, error)
        return False
    return True


def _yardstick(study: Study, config: dict) -> list[common.Experiment]:
    """The n-grams; none where no text but that which they would foretell is left to fit them on."""
    if study.measures_all and len(study.corpus.documents) < 2:
        logging.warning("no n-grams: a text of one document leaves none to fit them on")
        return []
    orders = {**config, "orders": _NGRAM_ORDERS}
    unit = Unit.of_suite(record_ngram.MEASURE)
    return [common.Experiment(record_ngram.MEASURE, orders, [unit], kneser_ney)]


def _where_long_enough(study: Study, companion: ModuleType) -> list[common.Experiment]:
    """The experiments of a script that reads longer stretches, where a document has as many tokens.

    A text that is short for them alone does not end this script.
    """
    needed = companion.tokens_needed(study)
    longest = max(map(len, study.evaluation_documents))
    if longest >= needed:
        return companion.experiments(study)
    logging.warning(
        "no %s: it reads %d tokens at once, and the longest document has %d",
        companion.__name__.rpartition(".")[2],
        needed,
        longest,
    )
    return []


def kneser_ney(study: Study, unit: Unit):
    """Cross-entropy of interpolated Kneser-Ney n-grams on the tokens that models are measured on.

    Its error is over documents.
    """
    text, losses, owners = scored_text.of(study), [], []
    for train, rows in fits_and_rows(study, text.document):
        fits = [ngram.fit(train, vocabulary(study), order) for order in _NGRAM_ORDERS]
        for row in rows:
            counted = slice(None) if text.scored is None else text.scored[row]
            tokens = text.tokens[row]
            losses.append([-fit.log_probs(tokens)[1:][counted] for fit in fits])
            owners.append(np.full(losses[-1][0].size, text.document[row]))
    mean, sem, _ = means.clustered_mean(np.concatenate(losses, axis=1), np.concatenate(owners))
    yardstick = record_ngram.Record(orders=_NGRAM_ORDERS, cross_entropy=mean, sem=sem)
    return record_ngram.to_dataset(yardstick), []


def vocabulary(study: Study) -> int:
    """How many ids the text and its tokenizer may use."""
    # Ids may have gaps, so the count of words is no bound on them.
    return max(study.tokenizer.get_vocab_size(), int(study.token_range[1]) + 1)


def fits_and_rows(
    study: Study, document: Int[np.ndarray, " B"]
) -> Iterator[tuple[list[np.ndarray], Int[np.ndarray, " b"]]]:
    """(documents to fit on, windows to foretell), no document in both.

    Of a text that is measured whole each of ten parts, or each of fewer documents, is foretold from
    the others.
    """
    if not study.measures_all:
        yield study.train_documents, np.arange(len(document))
        return
    documents = study.evaluation_documents
    parts = min(_NGRAM_PARTS, len(documents))
    for part in range(parts):
        others = [ids for index, ids in enumerate(documents) if index % parts != part]
        yield others, np.flatnonzero(document % parts == part)


def seed_divergence(study: Study, unit: Unit):
    """`measures.divergence.seed_divergence` of the unit's seeds, reduced to documents."""
    seeds, text = study.load_seeds(unit), scored_text.of(study)
    cell, rate = unit.cells()[0], study.suite.learning_rate
    numbers = divergence.seed_divergence(
        seeds.config,
        seeds.params,
        text.tokens,
        documents=text.document,
        log_unigram=ngram.add_one_unigram(study.train_documents, seeds.config.vocab_size),
        scored=text.scored,
    )
    predictions = record.Record.of_measure(
        text.rows(numbers),
        text.predictions.document,
        coverage=text.coverage,
        caution=_caution(study, unit),
        seeds=unit.seeds,
        num_parameters=seeds.num_parameters,
        learning_rate=None if rate is None else rate(cell.model, cell.step),
    )
    return record.to_dataset(predictions), seeds.provenance


def _caution(study: Study, unit: Unit) -> str:
    """What is on record of seeds that may be of other data than those they are compared with."""
    sources = {cell.seed: study.suite.source(*cell).location for cell in unit.cells()}
    return audit.of_other_data({seed: str(at) for seed, at in sources.items()}, unit.step or 0)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
