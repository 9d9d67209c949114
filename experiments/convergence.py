"""Do the seeds of a suite predict the same next token? Divergence, surprisal and entropy over
training.

    python -m experiments.convergence --suite=nano
    python -m experiments.convergence --suite=nano --blimp=FILE --windows=800
    python -m experiments.convergence --suite=mine.toml --bytes

A minute on 2 cores once the suite is trained, two with BLiMP's 6,700 pairs. With it go what is
known of the text (`text_features`), the worth of a longer context (`in_context`), passages to read
(`reading`) and, on request, minimal pairs; --bytes compares seeds whose tokenizers differ, byte by
byte, in place of all that. Expect a seed-pair KL of 0.40 nats at step 0 (Pythia's initialisation),
a minimum near the unigram stage, and a later rise.
"""

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics.analysis import means
from dynamics.errors import InputError
from dynamics.measures import divergence, ngram
from dynamics.results import Unit
from experiments import alike, common, in_context, minimal_pairs, reading, text_features
from experiments import bytes as per_byte

FLAGS = flags.FLAGS
flags.DEFINE_bool("bytes", False, "compare next bytes, for seeds whose tokenizers differ")
_NGRAM_ORDERS = (1, 2, 3)


def experiments(context: common.Context) -> list[common.Experiment]:
    """The yardstick, and the divergence of every model's seeds at every step."""
    text = {**context.text_config(), "windows": FLAGS.windows}
    if FLAGS.bytes:
        return per_byte.experiments(context)
    seeds = context.suite.seeds
    if len(seeds) < 2:
        raise InputError(
            f"{len(seeds)} seed",
            expected="two or more, to have a pair",
            mend="Select more --seeds.",
        )
    units = [
        Unit(measure="convergence", model=model, seeds=seeds, step=step)
        for model in context.suite.models
        for step in context.suite.steps
        if context.suite.whole(
            model, step, seeds
        )  # a convicted seed takes its step out of the comparison
    ]
    yardstick = Unit(measure="ngram", model="kneser-ney", seeds=(0,), step=0)
    return [
        *text_features.experiments(
            context
        ),  # first, so that a tagger's faults are known before the long work
        common.Experiment("ngram", {**text, "orders": _NGRAM_ORDERS}, [yardstick], kneser_ney),
        common.Experiment("convergence", text, units, seed_divergence),
        *in_context.experiments(context),
        *reading.experiments(context),
        *(minimal_pairs.experiments(context) if FLAGS.blimp else []),
    ]


def kneser_ney(context: common.Context, unit: Unit):
    """Cross-entropy of interpolated Kneser-Ney n-grams on the very windows that the models are
    measured on."""
    text = context.held_out.take(FLAGS.windows)
    # Ids may have gaps, so the count of words is no bound on them.
    vocabulary = max(context.tokenizer.get_vocab_size(), int(context.token_range[1]) + 1)
    fits = [ngram.fit(context.train_documents, vocabulary, order) for order in _NGRAM_ORDERS]
    rows = [[-fit.log_probs(row)[1:].mean() for row in text.tokens] for fit in fits]
    cross_entropy, errors, _ = means.clustered_mean(np.asarray(rows), text.document)
    data = {
        "cross_entropy": ("order", cross_entropy),
        "cross_entropy_sem": ("order", errors),
    }
    return xr.Dataset(
        data, {"order": list(_NGRAM_ORDERS)}, {"units": "nats/token", "rests_on": "documents"}
    ), []


def seed_divergence(context: common.Context, unit: Unit):
    """`divergence.seed_divergence` of the unit's seeds, reduced to documents."""
    loaded = [context.load(*cell) for cell in unit.cells()]
    alike.check(unit, loaded)
    text = context.held_out.take(FLAGS.windows)
    params = alike.stack([checkpoint.params for checkpoint in loaded])
    config = loaded[0].config
    log_unigram = ngram.add_one_unigram(context.train_documents, config.vocab_size)
    numbers = divergence.seed_divergence(
        config, params, text.tokens, documents=text.document, log_unigram=log_unigram
    )
    found = _dataset(numbers, text, unit)
    found["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(loaded[0].params))
    if context.suite.learning_rate is not None:
        found["learning_rate"] = context.suite.learning_rate(unit.model, unit.cells()[0].step)
    return found, [checkpoint.provenance for checkpoint in loaded]


def _dataset(numbers: dict, text, unit: Unit) -> xr.Dataset:
    names = ("surprisal", "entropy", "kl_uniform", "kl_unigram")
    token = ("window", "position")
    data = {
        **{name: (("seed", "document"), numbers[f"{name}_documents"]) for name in names},
        **{
            name: (("seed", "other", "document"), numbers[f"{name}_documents"])
            for name in ("kl", "js")
        },
        **{f"{name}_token": (token, numbers[name]) for name in ("kl", "js")},
        "surprisal_token": (("seed", *token), numbers["surprisal"]),
        "max_logit": ("seed", numbers["max_logit"]),
    }
    coordinates = {
        "seed": list(unit.seeds),
        "document": np.unique(text.document),
        "tokens": ("document", numbers["document_tokens"]),
        "window_document": ("window", text.document),
    }
    return xr.Dataset(data, coordinates, {"units": "nats", "rests_on": "seeds and documents"})


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
