"""Made-up predictions of models, with known effects.

Axes: K steps, W windows, T tokens, N predictions, S seeds.
"""

import numpy as np
import xarray as xr

from dynamics.analysis.contexts import Contexts, Text
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
    known: Text, model: str = "toy-8", steps=(0, 8, 64), kl=None, seed: int = 0
) -> Contexts:
    """`kl(step, rng)` [N], or exponential noise."""
    rng = np.random.default_rng(seed)
    count = len(known.owners)
    surprisal = rng.exponential(4, (3, count))
    return Contexts(
        model=model,
        seeds=(0, 1, 2),
        steps=np.array(steps),
        kl=np.stack([kl(step, rng) if kl else rng.exponential(0.5, count) for step in steps]),
        surprisal=np.stack([surprisal.mean(0)] * len(steps)),
        last_surprisal=surprisal,
    )


def committed(known: Text, models=("toy-8", "toy-32"), steps=(0, 8, 64)):
    """(units of "convergence", units of "text") that hold such predictions."""
    shape = (WINDOWS, TOKENS - 1)
    found = []
    for model in models:
        rng = np.random.default_rng(len(model))
        for step in steps:
            token = ("window", "position")
            data = {
                "kl_token": (token, rng.exponential(0.5, shape)),
                "surprisal_token": (("seed", *token), rng.exponential(4, (3, *shape))),
            }
            places = {"window_document": ("window", known.document), "seed": [0, 1, 2]}
            found.append(
                (
                    Unit(measure="convergence", model=model, seeds=(0, 1, 2), step=step),
                    xr.Dataset(data, places),
                )
            )
    data = {
        "index": (("window", "place"), known.index),
        "tag": (("window", "place"), known.tag),
        "word_class": (("window", "place"), known.word_class),
        "count": ("id", np.bincount(known.index.ravel(), minlength=WORDS)),
        "piece": ("id", np.array(known.pieces, object)),
    }
    places = {
        "document": ("window", known.document),
        "tag_name": ("tag_index", np.array(known.tag_names, object)),
    }
    attributes = {"frequency_corpus": known.frequency_corpus, "tagger": known.tagger}
    attributes["domain"] = '{"0": "prose", "1": "code"}'
    unit = Unit(measure="text", model="held-out", seeds=(0,), step=0)
    return found, [(unit, xr.Dataset(data, places, attributes))]
