"""Passages to read with every token coloured by how far seeds are apart on it: what reading.html is
made of.

    python -m experiments.reading --suite=nano
    python -m experiments.report --suite=nano      # writes results/nano/reading.html

Seconds. `experiments.convergence` asks for it too.
"""

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics.data import windows
from dynamics.measures import divergence, top_tokens
from dynamics.results import Unit
from experiments import alike, common, text_features

FLAGS = flags.FLAGS
flags.DEFINE_integer(
    "reading_windows", 6, "passages to read, of documents spread over the text", lower_bound=1
)
flags.DEFINE_integer("reading_top", 5, "likeliest tokens to tell of every seed", lower_bound=1)


def experiments(context: common.Context) -> list[common.Experiment]:
    """The passages, at every model's every step."""
    config = {
        **context.text_config(),
        "windows": FLAGS.reading_windows,
        "spread": True,
        "top": FLAGS.reading_top,
    }
    units = [
        Unit(measure="reading", model=model, seeds=context.suite.seeds, step=step)
        for model in context.suite.models
        for step in context.suite.steps
        if context.suite.whole(model, step, context.suite.seeds)
    ]
    return [common.Experiment("reading", config, units, passages)]


def passages(context: common.Context, unit: Unit):
    """Divergence and surprisal of every token of the passages, and the likeliest tokens of every
    seed."""
    loaded = [context.load(*cell) for cell in unit.cells()]
    alike.check(unit, loaded)
    text, config = _spread(context.held_out, FLAGS.reading_windows), loaded[0].config
    params = alike.stack([checkpoint.params for checkpoint in loaded])
    numbers = divergence.seed_divergence(config, params, text.tokens, js=False)
    of_seed = top_tokens.top_tokens_fn(config, FLAGS.reading_top)
    top = [
        of_seed(jax.tree.map(lambda leaf, s=s: leaf[s], params), text.tokens)
        for s in range(len(loaded))
    ]
    token = ("window", "position")
    data = {
        "token": (("window", "place"), text.tokens),
        "kl": (token, numbers["kl"]),
        "surprisal": (("seed", *token), numbers["surprisal"]),
        "top_id": (
            ("seed", *token, "rank"),
            np.stack([np.asarray(one.ids) for one in top]).astype(np.int32),
        ),
        "top_probability": (
            ("seed", *token, "rank"),
            np.stack([np.asarray(one.probability) for one in top]),
        ),
    }
    ids = np.unique(np.concatenate([text.tokens.ravel(), data["top_id"][1].ravel()]))
    coordinates = {
        "seed": list(unit.seeds),
        "id": ids,
        "piece": (
            "id",
            np.array([text_features.piece(context.tokenizer, int(one)) for one in ids], object),
        ),
        "title": ("window", np.array(_titles(context, text), object)),
    }
    return xr.Dataset(data, coordinates, {"units": "nats"}), [
        checkpoint.provenance for checkpoint in loaded
    ]


def _spread(text: windows.Windows, count: int) -> windows.Windows:
    """First windows of documents evenly apart in the corpus, so that prose and code are read; more
    if they are few."""
    _, first = np.unique(text.document, return_index=True)
    if len(first) < count:
        return text.take(count)
    chosen = first[np.linspace(0, len(first) - 1, count).round().astype(int)]
    return windows.Windows(text.tokens[chosen], text.document[chosen])


def _titles(context: common.Context, text: windows.Windows) -> list[str]:
    documents = context.corpus.held_out().documents
    return [documents[owner].name for owner in text.document]


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
