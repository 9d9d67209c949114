"""Do the seeds of a masked model fill a gap with the same word? One mask at a time, over training.

    python -m experiments.masked --suite=nano-masked
    python -m experiments.masked --suite=multibert --steps=log

A minute on 2 cores for the nano suite, most of it training on first use. In each window (of
--context tokens, or as many as the models can read) some tokens are hidden (--mask_positions), one
after the other, and every seed's distribution is taken there: a forward pass for each. Expect a
seed-pair KL that falls while all seeds learn how frequent tokens are, and rises once they use the
context, which they do each at its own time.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from absl import flags

from dynamics import models
from dynamics.data import tokenizer, windows
from dynamics.errors import InputError
from dynamics.measures import masked, ngram
from dynamics.questions import seed_record
from dynamics.questions.masked import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole(
    "mask_positions",
    8,
    "tokens of each window that are masked, one at a time: one at random of each of so many even "
    "stretches; 0 for all",
)


class Text(NamedTuple):
    """What masked models are asked, the same at every step."""

    tokens: np.ndarray  # [W,T], with what the model expects before and after a text
    document: np.ndarray  # [W]
    positions: np.ndarray  # [W,P]
    mask: int


def experiments(study: Study) -> list[common.Experiment]:
    """The divergence of every model's seeds at every step."""
    units, length = study.seed_set_units(record.MEASURE, fewest=2), window_length(study)
    config = {**study.text_config(), "context": length, "windows": FLAGS.windows}
    config["mask_positions"] = FLAGS.mask_positions
    text = functools.cache(lambda: masked_text(study, length))
    compute = functools.partial(seed_divergence, text)
    return [common.Experiment(record.MEASURE, config, units, compute)]


def window_length(study: Study) -> int:
    """Tokens per window: --context, or as many as all of the models can read.

    Raises InputError for causal models.
    """
    configs = study.configs().values()
    if any(models.architecture(config).CAUSAL for config in configs):
        raise InputError(
            f"{study.suite.name}, whose models are causal",
            expected="masked language models, as multibert and nano-masked hold",
            mend="python -m experiments.convergence compares the next-token distributions of "
            "causal ones.",
        )
    return min(study.window_length, *(config.max_positions for config in configs))


def masked_text(study: Study, length: int) -> Text:
    """Windows of `length` tokens in the frame that models expect, and where to mask.

    No mask falls on the frame. What heads a document is left out: the frame has it, or a model that
    has none saw few.
    """
    before, after = tokenizer.frame(study.tokenizer)
    inner = length - len(before) - len(after)
    bare = [ids[1:] for ids in study.evaluation_documents]
    # Where models read less than --context, more windows hold as many tokens.
    cut = windows.cut(bare, max(inner, 0)).take(FLAGS.windows * study.window_length // length)
    first, last = (np.tile(np.asarray(ids, np.int32), (len(cut), 1)) for ids in (before, after))
    return Text(
        tokens=np.concatenate([first, cut.tokens, last], axis=1),
        document=cut.document,
        positions=masked.choose_positions(
            len(cut), range(len(before), length - len(after)), FLAGS.mask_positions
        ),
        mask=tokenizer.mask(study.tokenizer),
    )


def seed_divergence(text_of_suite: Callable[[], Text], study: Study, unit: Unit):
    """`measures.masked.seed_divergence` of the unit's seeds, reduced to documents."""
    text, seeds = text_of_suite(), study.load_seeds(unit, reads_text=False)
    cell, rate = unit.cells()[0], study.suite.learning_rate
    windows.check_vocabulary(text.tokens, seeds.config.vocab_size)
    numbers = masked.seed_divergence(
        seeds.config,
        seeds.params,
        text.tokens,
        text.positions,
        text.mask,
        documents=text.document,
        log_unigram=ngram.add_one_unigram(study.train_documents, seeds.config.vocab_size),
    )
    predictions = record.Record(
        numbers=seed_record.Record.of_measure(
            numbers,
            text.document,
            seeds=unit.seeds,
            num_parameters=seeds.num_parameters,
            learning_rate=None if rate is None else rate(cell.model, cell.step),
        ),
        place=text.positions,
        token=np.take_along_axis(text.tokens, text.positions, axis=1),
    )
    return record.to_dataset(predictions), seeds.provenance


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
