"""Made-up predictions of models, with planted effects.

Axes: K steps, W windows, T tokens, N predictions, S seeds.
"""

import numpy as np

from dynamics.questions import Committed
from dynamics.questions.convergence import record as convergence_record
from dynamics.questions.token_properties import record
from dynamics.questions.token_properties.contexts import Contexts, Text
from dynamics.results import Unit

WINDOWS, TOKENS, WORDS = 40, 17, 30


def text(tagger: str = "closed", documents: int = 10, seed: int = 0) -> Text:
    """Windows of Zipf's words; a word's class and tag are functions of it."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, WORDS + 1)
    index = rng.choice(WORDS, (WINDOWS, TOKENS), p=share / share.sum())
    word_class = np.array([k % 3 - 1 for k in range(WORDS)])  # -1, 0, 1 in turn
    names = ("DT", "NN", "VB") if tagger != "closed" else ("determiner", "other")
    return Text(
        document=np.repeat(np.arange(documents), WINDOWS // documents),
        index=index,
        pieces=tuple(f" w{k}" for k in range(WORDS)),
        count=np.bincount(index.ravel(), minlength=WORDS)[index],
        tag=np.array([k % (len(names) + 1) - 1 for k in range(WORDS)])[index],
        tag_names=names,
        word_class=word_class[index],
        frequency_corpus="the windows measured on",
        tagger=tagger,
        domain=dict.fromkeys(range(documents), "prose"),
    )


def contexts(
    text: Text, model: str = "toy-8", steps=(0, 8, 64), kl=None, seed: int = 0
) -> Contexts:
    """`kl(step, rng)` [N], or exponential noise."""
    rng = np.random.default_rng(seed)
    count = len(text.owners)
    surprisal = rng.exponential(4, (3, count))
    return Contexts(
        model=model,
        seeds=(0, 1, 2),
        steps=np.array(steps),
        kl=np.stack([kl(step, rng) if kl else rng.exponential(0.5, count) for step in steps]),
        surprisal=np.stack([surprisal.mean(0)] * len(steps)),
        last_surprisal=surprisal,
        last_step=int(steps[-1]),
    )


def text_record(text: Text) -> record.Record:
    """The text as a record."""
    return record.Record(
        tokens=text.index,
        document=text.document,
        ids=np.arange(WORDS),
        pieces=text.pieces,
        count=np.bincount(text.index.ravel(), minlength=WORDS),
        index=text.index,
        tag=text.tag,
        tag_names=text.tag_names,
        word_class=text.word_class,
        frequency_corpus=text.frequency_corpus,
        frequency_total=text.index.size,
        tagger=text.tagger,
        domain={0: "prose", 1: "code"},
    )


def predictions(text: Text, rng, tokens_known: bool = True) -> convergence_record.Record:
    """A record of random predictions of the text's tokens by three seeds."""
    shape, documents = (WINDOWS, TOKENS - 1), np.unique(text.document)
    of_seed = np.ones((3, len(documents)))
    kl = np.where(np.eye(3, dtype=bool)[..., None], 0.0, rng.uniform(0.4, 0.6, (3, 3, 10)))
    return convergence_record.Record(
        seeds=(0, 1, 2),
        documents=documents,
        tokens=np.full(len(documents), shape[0] * shape[1] / len(documents)),
        surprisal=of_seed,
        entropy=of_seed,
        kl_uniform=of_seed,
        kl_unigram=of_seed,
        kl=kl,
        js=None,
        token_kl=rng.exponential(0.5, shape),
        token_js=None,
        token_surprisal=rng.exponential(4, (3, *shape)) if tokens_known else None,
        window_document=text.document,
        max_logit=np.ones(3),
    )


def committed(
    text: Text,
    models=("toy-8", "toy-32"),
    steps=(0, 8, 64),
    measures=("convergence", "token_properties"),
    tokens_known: bool = True,
) -> Committed:
    """Results that hold such predictions and such a text."""
    units = []
    for model in models:
        rng = np.random.default_rng(len(model))
        for step in steps:
            unit = Unit(measure="convergence", model=model, seeds=(0, 1, 2), step=step)
            data = convergence_record.to_dataset(predictions(text, rng, tokens_known))
            units.append((unit, data))
    results = {
        "convergence": units,
        "token_properties": [(Unit.of_suite(record.MEASURE), record.to_dataset(text_record(text)))],
    }
    return Committed({measure: results[measure] for measure in measures})
