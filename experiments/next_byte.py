"""Do models of different tokenizers predict the same next byte? Divergence per byte, and the gap in
surprisal.

    python -m experiments.next_byte --suite=mine.toml

The models to compare are a suite's seeds: each is read with its own tokenizer.json. Where they lie
in no tree of folders, a toml file names them, one table for each; only `seed` tells them apart:

    name = "two-tokenizers"

    [[checkpoint]]
    model = "pair"
    seed = 0
    step = 0
    folder = "small-vocabulary/step640"

    [[checkpoint]]
    model = "pair"
    seed = 1
    step = 0
    repo = "EleutherAI/pythia-14m"
    revision = "step143000"
"""

import functools
from pathlib import Path

import jax
import numpy as np
from absl import flags

from dynamics.data import byte_windows, spelling, tokenizer
from dynamics.errors import InputError
from dynamics.measures import byte_lookup, next_byte, surprisal
from dynamics.questions.next_byte import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole("byte_windows", 32, "windows of text whose next bytes are compared", least=1)
number_flags.whole(
    "byte_length", 64, "bytes per window, each read after a separator", least=4, most=100_000
)


def experiments(study: Study) -> list[common.Experiment]:
    """The divergence per byte of every model's seeds at every step."""
    text = {name: value for name, value in study.text_config().items() if name != "context"}
    config = {**text, "byte_windows": FLAGS.byte_windows, "byte_length": FLAGS.byte_length}
    units = study.seed_set_units(record.MEASURE, fewest=2)
    return [
        common.Experiment(record.MEASURE, config, units, byte_divergence, may_be_nan=("kl_byte",))
    ]


def byte_divergence(study: Study, unit: Unit):
    """`next_byte` of every seed by its own tokenizer, and the surprisal of the text."""
    corpus = study.evaluation_corpus
    if any(document.ids is not None for document in corpus.documents):
        raise InputError(
            f"the corpus {corpus.name} of token ids",
            expected="text, whose bytes every tokenizer can encode",
        )
    texts, document = byte_windows.cut(corpus, FLAGS.byte_length, FLAGS.byte_windows)
    readings, provenance, vocabularies = [], [], []
    for cell in unit.cells():
        checkpoint = study.load(*cell, reads_text=False)
        own = tokenizer.load(Path(checkpoint.provenance["folder"]))
        readings.append(_read(checkpoint.config, checkpoint.params, own.to_str(), tuple(texts)))
        provenance.append(checkpoint.provenance)
        vocabularies.append(checkpoint.config.vocab_size)
    log_probs, by_token, by_byte = zip(*readings, strict=True)
    kl, js = next_byte.compare(log_probs)
    sizes = np.array([len(text) for text in texts])
    valid = np.arange(kl.shape[-1])[None] < sizes[:, None]  # [W,N]
    documents, owner = np.unique(document, return_inverse=True)
    member = np.eye(len(documents))[owner]  # [W,G]
    document_sizes = sizes @ member

    def per_byte(sums: np.ndarray) -> np.ndarray:
        """Sums over the bytes of windows [...,W] to means of documents [...,G]."""
        return sums @ member / document_sizes

    def of_bytes(values: np.ndarray) -> np.ndarray:
        return per_byte(np.where(valid, values, 0.0).sum(-1))

    surprisals = per_byte(np.stack(by_token))
    pairs = len(unit.seeds) * (len(unit.seeds) - 1)
    measured = record.Record(
        seeds=unit.seeds,
        vocabularies=tuple(vocabularies),
        documents=documents,
        sizes=document_sizes,
        kl=of_bytes(kl),
        js=of_bytes(js),
        surprisal_gap=np.abs(surprisals[:, None] - surprisals[None]),
        entropy=of_bytes(_entropy(np.stack(log_probs))),
        surprisal=surprisals,
        surprisal_every=per_byte(np.stack(by_byte)),
        kl_byte=np.where(valid, kl.sum((0, 1)) / pairs, np.nan),
        window_document=document,
    )
    return record.to_dataset(measured), provenance


def _read(config, params, tokenizer_json: str, texts: tuple[bytes, ...]):
    """ln P of the next byte [G,N,257]; surprisal of every text by its tokens, and by its bytes [G].

    Surprisals in nats.
    """
    lookup, encoded, counted = _lookup(tokenizer_json, texts, config.vocab_size)
    log_probs = np.asarray(next_byte.next_byte_fn(config)(params, lookup).log_probs)
    of_tokens = common.jitted(surprisal.surprisal_fn(config))(params, encoded)
    by_token = (np.asarray(of_tokens, np.float64) * counted).sum(-1)
    by_byte = [
        -sum(float(log_probs[g, n, byte]) for n, byte in enumerate(text))
        for g, text in enumerate(texts)
    ]
    return log_probs, by_token, np.array(by_byte)


@functools.lru_cache(maxsize=8)
def _lookup(tokenizer_json: str, texts: tuple[bytes, ...], vocab_size: int):
    """A tokenizer's lookup, the texts' own encodings [G,T], and which predictions count [G,T-1]."""
    own = tokenizer.Tokenizer.from_str(tokenizer_json)
    separator = own.token_to_id(tokenizer.SEPARATOR)
    if separator is None:
        raise InputError(
            f"a tokenizer without {tokenizer.SEPARATOR}", expected="the GPT-NeoX document separator"
        )
    words = spelling.token_bytes(own, vocab_size)
    encodings = [spelling.encode_prefixes(own, text, words) for text in texts]
    whole = [[separator, *prefixes[-1]] for prefixes in encodings]
    lengths = np.array([len(ids) for ids in whole])
    encoded = np.zeros((len(whole), lengths.max()), np.int32)
    for row, ids in zip(encoded, whole, strict=True):
        row[: len(ids)] = ids
    counted = np.arange(1, encoded.shape[1])[None] < lengths[:, None]
    lookup = byte_lookup.build(texts, encodings, words, before=[separator])
    return jax.device_put(lookup), encoded, counted


def _entropy(log_probs: np.ndarray) -> np.ndarray:
    """[S,G,N,O] -> [S,G,N], nats."""
    p = np.exp(log_probs)
    return -np.where(p > 0, p * np.where(p > 0, log_probs, 0.0), 0.0).sum(-1)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
