"""What is known of every token of the held-out text before any model reads it: its frequency and
part of speech.

    python -m experiments.text_features --suite=nano

Seconds; reads no weights. `experiments.convergence` asks for it too, so that its page can condition
on what it finds.
"""

import json
from pathlib import Path

import numpy as np
import xarray as xr
from absl import flags

from dynamics.data import corpus, frequency, tags, tokenizer, windows
from dynamics.errors import InputError
from dynamics.results import Unit
from experiments import common

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "frequency_corpus",
    "eval",
    "text that token frequencies are counted in: eval (the windows), train, or a path",
)
flags.DEFINE_string(
    "tagger",
    "closed",
    "parts of speech: closed (function words by their spelling, no download), nltk (Penn tags), or module:function",
)


def experiments(context: common.Context) -> list[common.Experiment]:
    """One unit: the text is the same at every checkpoint."""
    config = {**context.text_config(), "windows": FLAGS.windows, "tagger": FLAGS.tagger}
    config["frequency_corpus"] = _frequency_corpus()
    tags.tagger(FLAGS.tagger)  # an unknown one ends here, before any work
    unit = Unit(measure="text", model="held-out", seeds=(0,), step=0)
    return [common.Experiment("text", config, [unit], text_features)]


def text_features(context: common.Context, unit: Unit):
    """Ids, pieces, counts, tags and word classes of the very windows that divergence is measured
    on."""
    text = context.held_out.take(FLAGS.windows)
    documents = context.corpus.held_out().documents
    ids, where = np.unique(text.tokens, return_inverse=True)
    count, counted_in = _counts(context, text)
    names, tag, word_class = _tagged(context.tokenizer, documents, text)
    data = {
        "token": (("window", "place"), text.tokens),
        "tag": (("window", "place"), tag.astype(np.int16)),
        "word_class": (("window", "place"), word_class.astype(np.int8)),
        "count": ("id", count[ids]),
        "piece": ("id", np.array([piece(context.tokenizer, int(one)) for one in ids], object)),
        "index": (("window", "place"), where.reshape(text.tokens.shape).astype(np.int32)),
    }
    coordinates = {
        "document": ("window", text.document),
        "id": ids,
        "tag_name": ("tag_index", np.array(names, object)),
    }
    owners = np.unique(text.document).tolist()
    attributes = {
        "frequency_corpus": counted_in,
        "frequency_total": int(count.sum()),
        "tagger": FLAGS.tagger,
        "domain": json.dumps({owner: documents[owner].domain for owner in owners}),
    }
    return xr.Dataset(data, coordinates, attributes), []


def _frequency_corpus() -> str:
    """eval, train, or a digest of the text at a path: the same path may hold another text
    tomorrow."""
    asked = FLAGS.frequency_corpus
    return (
        asked if asked in ("eval", "train") else f"sha256 {corpus.read(Path(asked)).fingerprint()}"
    )


def _counts(context: common.Context, text: windows.Windows) -> tuple[np.ndarray, str]:
    """Counts of every id, and in words where they were counted."""
    asked = FLAGS.frequency_corpus
    if asked == "eval":
        found, name = [text.tokens], "the windows measured on"
    elif asked == "train":
        found, name = context.train_documents, f"{context.corpus.name}, its part for training"
    else:
        other = corpus.read(Path(asked))
        found, name = (
            tokenizer.encode(context.tokenizer, other),
            f"{other.name} (sha256 {other.fingerprint()[:12]}…)",
        )
    highest = max([int(text.tokens.max()), *(int(ids.max()) for ids in found)])
    count = frequency.counts(found, max(context.tokenizer.get_vocab_size(), highest + 1))
    return count, f"{name}, {int(count.sum()):,} tokens"


def _tagged(encoder, documents, text: windows.Windows) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Tag names [K], and per token of the windows its tag and word class, [W, T] each."""
    length, names = text.tokens.shape[1], []
    tag = np.full(text.tokens.shape, tags.NONE)
    word_class = np.full(text.tokens.shape, tags.NONE)
    chosen = tags.tagger(FLAGS.tagger)
    for owner in np.unique(text.document):
        own = np.flatnonzero(text.document == owner)  # the first windows of the document, in order
        found, (own_names, own_tags, own_classes) = _of_document(
            encoder, documents[owner].text, chosen, len(own) * length
        )
        if not np.array_equal(found, text.tokens[own].ravel()):
            raise InputError(
                f"windows that are not the first of document {documents[owner].name}",
                expected="windows cut from each document's start, so that tokens can be found in its text",
            )
        names += [name for name in own_names if name not in names]
        rank = np.array([*(names.index(name) for name in own_names), tags.NONE])
        tag[own] = rank[own_tags].reshape(-1, length)
        word_class[own] = own_classes.reshape(-1, length)
    return names, tag, word_class


def _of_document(encoder, text: str, tagger: tags.Tagger, count: int):
    """The first `count` ids of a document, separator first, with tag names, tags and word
    classes."""
    encoding = encoder.encode(text, add_special_tokens=False)
    ids = [encoder.token_to_id(tokenizer.SEPARATOR), *encoding.ids][:count]
    spans = np.array(
        [(0, 0), *encoding.offsets][:count], np.int64
    )  # the separator stands for no character
    text = text[: int(spans.max()) + _TAIL]  # what no window reaches need not be tagged
    spans = np.minimum(spans, len(text))
    tagged = tags.tag_text(text, tagger)
    classes = tags.tag_text(text, tags.closed_class)
    of_class = np.array([int(name != "other") for name in classes.names] + [tags.NONE])
    by_class = tags.majority(of_class[classes.of_character], classes.votes, spans)
    by_tag = tags.majority(tagged.of_character, tagged.votes, spans)
    return np.array(ids), (tagged.names, by_tag, by_class)


_TAIL = 200  # characters of context that a tagger still sees after the last window, and room for its last word


def piece(encoder, token: int) -> str:
    """A token as text; bytes that are no UTF-8 by themselves show as replacement characters, a NUL
    as its picture."""
    return encoder.decode([token], skip_special_tokens=False).replace("\0", "\u2400")


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
