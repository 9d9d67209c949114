"""Do the seeds of a masked language model fill a gap with the same word? One mask at a time, over
training.

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

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics import checkpoints, models
from dynamics.data import tokenizer, windows
from dynamics.errors import InputError
from dynamics.measures import masked, ngram
from dynamics.results import Unit
from dynamics.suite import Source
from experiments import alike, common

FLAGS = flags.FLAGS
flags.DEFINE_integer(
    "mask_positions",
    8,
    "tokens of each window that are masked, one at a time: one at random of each of so many even stretches; 0 for all",
    lower_bound=0,
)


class Text(NamedTuple):
    """What masked models are asked, the same at every step."""

    tokens: np.ndarray  # [W,T], with what the model expects before and after a text
    document: np.ndarray  # [W]
    positions: np.ndarray  # [W,P]
    mask: int


def experiments(context: common.Context) -> list[common.Experiment]:
    """The divergence of every model's seeds at every step."""
    seeds = context.suite.seeds
    if len(seeds) < 2:
        raise InputError(
            f"{len(seeds)} seed",
            expected="two or more, to have a pair",
            mend="Select more --seeds.",
        )
    length = length_of(context)
    units = [
        Unit(measure="masked", model=model, seeds=seeds, step=step)
        for model in context.suite.models
        for step in context.suite.steps
        if context.suite.whole(
            model, step, seeds
        )  # a convicted seed takes its step out of the comparison
    ]
    config = {**context.text_config(), "context": length, "windows": FLAGS.windows}
    config["mask_positions"] = FLAGS.mask_positions
    text = functools.cache(lambda: text_of(context, length))
    return [common.Experiment("masked", config, units, functools.partial(seed_divergence, text))]


def length_of(context: common.Context) -> int:
    """Tokens per window: --context, or as many as all of the models can read. Raises InputError for
    causal ones."""
    found = [
        checkpoints.config(*source, weights=context.weights)
        for source in _first_of_each_model(context)
    ]
    if any(models.architecture(config).CAUSAL for config in found):
        raise InputError(
            f"{context.suite.name}, whose models are causal",
            expected="masked language models, as multibert and nano-masked hold",
            mend="python -m experiments.convergence compares the next-token distributions of causal ones.",
        )
    return min(FLAGS.context, *(config.max_positions for config in found))


def _first_of_each_model(context: common.Context) -> list[Source]:
    cells = {cell.model: cell for cell in reversed(list(context.suite.cells()))}
    return [context.suite.source(*cell) for cell in cells.values()]


def text_of(context: common.Context, length: int) -> Text:
    """Held-out windows of `length` tokens in the frame that the models expect, and the positions to
    mask, none of it.

    What heads a document is left out: the frame has it, or a model that has none saw few.
    """
    before, after = tokenizer.frame(context.tokenizer)
    inner = length - len(before) - len(after)
    bare = [ids[1:] for ids in tokenizer.encode(context.tokenizer, context.corpus.held_out())]
    # Where models read less than --context, more windows hold as many tokens.
    cut = windows.cut(bare, max(inner, 0)).take(FLAGS.windows * FLAGS.context // length)
    first, last = (np.tile(np.asarray(ids, np.int32), (len(cut), 1)) for ids in (before, after))
    return Text(
        tokens=np.concatenate([first, cut.tokens, last], axis=1),
        document=cut.document,
        positions=masked.choose_positions(
            len(cut), range(len(before), length - len(after)), FLAGS.mask_positions
        ),
        mask=tokenizer.mask(context.tokenizer),
    )


def seed_divergence(text_of_suite: Callable[[], Text], context: common.Context, unit: Unit):
    """`masked.seed_divergence` of the unit's seeds, in the form of the unit "convergence"."""
    text = text_of_suite()
    loaded = [context.load(*cell, reads_text=False) for cell in unit.cells()]
    alike.check(unit, loaded)
    config = loaded[0].config
    windows.check_vocabulary(text.tokens, config.vocab_size)
    numbers = masked.seed_divergence(
        config,
        alike.stack([checkpoint.params for checkpoint in loaded]),
        text.tokens,
        text.positions,
        text.mask,
        documents=text.document,
        log_unigram=ngram.add_one_unigram(context.train_documents, config.vocab_size),
    )
    found = _dataset(numbers, text, unit)
    found["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(loaded[0].params))
    if context.suite.learning_rate is not None:
        found["learning_rate"] = context.suite.learning_rate(unit.model, unit.cells()[0].step)
    return found, [checkpoint.provenance for checkpoint in loaded]


def _dataset(numbers: dict, text: Text, unit: Unit) -> xr.Dataset:
    per_seed, pairs = ("surprisal", "entropy", "kl_uniform", "kl_unigram"), ("kl", "js")
    data = {
        **{name: (("seed", "document"), numbers[f"{name}_documents"]) for name in per_seed},
        **{name: (("seed", "other", "document"), numbers[f"{name}_documents"]) for name in pairs},
        **{f"{name}_token": (("window", "position"), numbers[name]) for name in pairs},
        "surprisal_token": (("seed", "window", "position"), numbers["surprisal"]),
        "max_logit": ("seed", numbers["max_logit"]),
    }
    coordinates = {
        "seed": list(unit.seeds),
        "document": np.unique(text.document),
        "tokens": ("document", numbers["document_tokens"]),
        "window_document": ("window", text.document),
        "place": (("window", "position"), text.positions.astype(np.int32)),
        "token": (("window", "position"), np.take_along_axis(text.tokens, text.positions, axis=1)),
    }
    attributes = {
        "units": "nats",
        "rests_on": "seeds and documents",
        "frame": "one mask at a time, all else seen",
    }
    return xr.Dataset(data, coordinates, attributes)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
