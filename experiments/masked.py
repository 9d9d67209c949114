"""Do the seeds of a masked language model fill a gap with the same word? One mask at a time, over training.

    python -m experiments.masked --suite=nano-masked
    python -m experiments.masked --suite=multibert --steps=log

Seconds a step for the nano suite, trained on first use. In each window some tokens (--mask_positions) are hidden, one
after the other, and every seed's distribution is taken there: a forward pass for each. Expect a seed-pair KL near zero
at step 0, a low where all seeds have learned how frequent tokens are, and a rise once they use the context.
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
from experiments import common

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
        raise InputError(f"{len(seeds)} seed", expected="two or more, to have a pair", mend="Select more --seeds.")
    check_masked(context)
    units = [
        Unit(measure="masked", model=model, seeds=seeds, step=step)
        for model in context.suite.models
        for step in context.suite.steps
        if context.suite.whole(model, step, seeds)  # a convicted seed takes its step out of the comparison
    ]
    config = {**context.text_config(), "windows": FLAGS.windows, "mask_positions": FLAGS.mask_positions}
    text = functools.cache(lambda: text_of(context))
    return [common.Experiment("masked", config, units, functools.partial(seed_divergence, text))]


def check_masked(context: common.Context):
    """Raises InputError for a suite of causal models, whose tokenizer may have no mask."""
    cell = next(context.suite.cells())
    config = checkpoints.config(*context.suite.source(*cell), weights=context.weights)
    if models.architecture(config).CAUSAL:
        raise InputError(
            f"{context.suite.name}, whose models are causal",
            expected="masked language models, as multibert and nano-masked hold",
            mend="python -m experiments.convergence compares the next-token distributions of causal ones.",
        )


def text_of(context: common.Context) -> Text:
    """Held-out windows in the frame that the models were trained with, and the positions to mask, never the frame."""
    before, after = tokenizer.frame(context.tokenizer)
    length = FLAGS.context - len(before) - len(after)
    bare = [ids[1:] for ids in tokenizer.encode(context.tokenizer, context.corpus.held_out())]
    cut = windows.cut(bare, max(length, 0)).take(FLAGS.windows)
    edges = [np.tile(np.asarray(ids, np.int32), (len(cut), 1)) for ids in (before, after)]
    places = range(len(before), len(before) + length)
    return Text(
        tokens=np.concatenate([edges[0], cut.tokens, edges[1]], axis=1),
        document=cut.document,
        positions=masked.choose_positions(len(cut), places, FLAGS.mask_positions),
        mask=tokenizer.mask(context.tokenizer),
    )


def seed_divergence(text_of_suite: Callable[[], Text], context: common.Context, unit: Unit):
    """`masked.seed_divergence` of the unit's seeds, in the form of the unit "convergence"."""
    text = text_of_suite()
    loaded = [context.load(unit.model, seed, unit.step) for seed in unit.seeds]
    common.check_alike(unit, loaded)
    config = loaded[0].config
    numbers = masked.seed_divergence(
        config,
        common.stack([checkpoint.params for checkpoint in loaded]),
        text.tokens,
        text.positions,
        text.mask,
        documents=text.document,
        log_unigram=ngram.add_one_unigram(context.train_documents, config.vocab_size),
    )
    found = _dataset(numbers, text, unit)
    found["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(loaded[0].params))
    if context.suite.learning_rate is not None:
        found["learning_rate"] = context.suite.learning_rate(unit.model, unit.step)
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
    attributes = {"units": "nats", "rests_on": "seeds and documents", "frame": "one mask at a time, all else seen"}
    return xr.Dataset(data, coordinates, attributes)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
