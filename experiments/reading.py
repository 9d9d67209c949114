"""Passages to read with every token coloured by how far seeds are apart on it.

    python -m experiments.reading --suite=nano
    python -m experiments.report --suite=nano      # writes results/nano/report/reading.html

Seconds. `experiments.convergence` asks for it too.
"""

import jax
import numpy as np
from absl import flags

from dynamics.data import tokenizer, windows
from dynamics.measures import divergence, top_tokens
from dynamics.questions.reading import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole(
    "reading_windows",
    6,
    "passages to read, of documents spread over the text",
    least=1,
    most=number_flags.MOST_PARTS,
)
number_flags.whole("reading_top", 5, "likeliest tokens to show of every seed", least=1, most=1000)


def experiments(study: Study) -> list[common.Experiment]:
    """The passages, at every model's every step."""
    config = {
        **study.text_config(),
        "windows": FLAGS.reading_windows,
        "spread": True,
        "top": FLAGS.reading_top,
    }
    units = study.seed_set_units(record.MEASURE)
    return [common.Experiment(record.MEASURE, config, units, passages)]


def tokens_needed(study: Study) -> int:
    """Tokens of the shortest document that has a passage."""
    return study.window_length


def passages(study: Study, unit: Unit):
    """Divergence and surprisal of every token of the passages, and each seed's likeliest tokens."""
    seeds, text = study.load_seeds(unit), _spread(study.evaluation_windows, FLAGS.reading_windows)
    numbers = divergence.seed_divergence(seeds.config, seeds.params, text.tokens, js=False)
    top_of = top_tokens.top_tokens_fn(seeds.config, FLAGS.reading_top)
    tops = [
        top_of(jax.tree.map(lambda leaf, s=s: leaf[s], seeds.params), text.tokens)
        for s in range(len(unit.seeds))
    ]
    top_id = np.stack([np.asarray(top.ids) for top in tops]).astype(np.int32)
    ids = np.unique(np.concatenate([text.tokens.ravel(), top_id.ravel()]))
    documents = study.evaluation_corpus.documents
    read = record.Record(
        seeds=unit.seeds,
        tokens=text.tokens,
        kl=numbers["kl"],
        surprisal=numbers["surprisal"],
        top_id=top_id,
        top_probability=np.stack([np.asarray(top.probability) for top in tops]),
        ids=ids,
        pieces=tuple(tokenizer.piece(study.tokenizer, int(token)) for token in ids),
        titles=tuple(documents[owner].name for owner in text.document),
    )
    return record.to_dataset(read), seeds.provenance


def _spread(text: windows.Windows, count: int) -> windows.Windows:
    """First windows of documents evenly apart in the corpus, so that prose and code are read.

    More windows of a document where documents are few.
    """
    _, first = np.unique(text.document, return_index=True)
    if len(first) < count:
        return text.take(count)
    spread = first[np.linspace(0, len(first) - 1, count).round().astype(int)]
    return windows.Windows(text.tokens[spread], text.document[spread])


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
