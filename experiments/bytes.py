"""Do models of different tokenizers predict the same next byte? Divergence per byte, and the gap in
surprisal.

    python -m experiments.bytes --suite=mine.toml

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
import json

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics import checkpoints
from dynamics.data import byte_windows, spelling, tokenizer
from dynamics.errors import InputError
from dynamics.measures import byte_lookup, next_byte, surprisal
from dynamics.results import Unit
from experiments import common

FLAGS = flags.FLAGS
flags.DEFINE_integer(
    "byte_windows", 32, "windows of text whose next bytes are compared", lower_bound=1
)
flags.DEFINE_integer(
    "byte_length", 64, "bytes per window, each read after a separator", lower_bound=4
)


def experiments(context: common.Context) -> list[common.Experiment]:
    """The divergence per byte of every model's seeds at every step."""
    seeds = context.suite.seeds
    if len(seeds) < 2:
        raise InputError(
            f"{len(seeds)} seed",
            expected="two or more, to have a pair",
            mend="Select more --seeds.",
        )
    units = [
        Unit(measure="bytes", model=model, seeds=seeds, step=step)
        for model in context.suite.models
        for step in context.suite.steps
        if context.suite.whole(model, step, seeds)
    ]
    text = {"suite": context.suite.name, "corpus_sha256": context.corpus_fingerprint}
    config = {**text, "byte_windows": FLAGS.byte_windows, "byte_length": FLAGS.byte_length}
    return [common.Experiment("bytes", config, units, byte_divergence)]


def byte_divergence(context: common.Context, unit: Unit):
    """`next_byte` of every seed by its own tokenizer, compared, and the surprisal of the text; by
    documents."""
    texts, document = byte_windows.cut(
        context.corpus.held_out(), FLAGS.byte_length, FLAGS.byte_windows
    )
    read, sources, vocabularies = [], [], []
    for cell in unit.cells():
        place = context.suite.source(*cell)
        loaded = checkpoints.load(*place, weights=context.weights)
        own = tokenizer.load(checkpoints.find(*place, weights=context.weights))
        read.append(_read(loaded.config, loaded.params, own.to_str(), tuple(texts)))
        sources.append(loaded.provenance)
        vocabularies.append(loaded.config.vocab_size)
    log_probs, by_token, by_byte = zip(*read, strict=True)
    kl, js = next_byte.compare(log_probs)
    sizes = np.array([len(text) for text in texts])
    numbers = {"kl": kl, "js": js, "entropy": _entropy(np.stack(log_probs))}
    data = _dataset(numbers, np.stack(by_token), np.stack(by_byte), sizes, document, unit)
    return data.assign_coords(vocabulary=("seed", vocabularies)), sources


def _read(config, params, tokenizer_json: str, texts: tuple[bytes, ...]):
    """ln P of the next byte [G,N,257]; surprisal of every text by its tokens and by its bytes, nats
    [G]."""
    plan, encoded, known = _plan(tokenizer_json, texts, config.vocab_size)
    found = next_byte.next_byte_fn(config)(params, plan)
    log_probs = np.asarray(found.log_probs)
    of_tokens = common.jitted(surprisal.surprisal_fn(config))(params, encoded)
    by_token = (np.asarray(of_tokens, np.float64) * known).sum(-1)
    by_byte = [
        -sum(float(log_probs[g, n, byte]) for n, byte in enumerate(text))
        for g, text in enumerate(texts)
    ]
    return log_probs, by_token, np.array(by_byte)


@functools.lru_cache(maxsize=8)
def _plan(tokenizer_json: str, texts: tuple[bytes, ...], vocab_size: int):
    """The plan of a tokenizer, the texts' own encodings padded [G,T], and which of their
    predictions count [G,T-1]."""
    own = tokenizer.Tokenizer.from_str(tokenizer_json)
    separator = own.token_to_id(tokenizer.SEPARATOR)
    if separator is None:
        raise InputError(
            f"a tokenizer without {tokenizer.SEPARATOR}", expected="the GPT-NeoX document separator"
        )
    words = spelling.spelled(own, vocab_size)
    encodings = [spelling.encode_prefixes(own, text, words) for text in texts]
    whole = [[separator, *one[-1]] for one in encodings]
    encoded = np.zeros((len(whole), max(map(len, whole))), np.int32)
    for row, ids in zip(encoded, whole, strict=True):
        row[: len(ids)] = ids
    known = np.arange(1, encoded.shape[1])[None] < np.array([len(ids) for ids in whole])[:, None]
    return (
        jax.device_put(byte_lookup.build(texts, encodings, words, before=[separator])),
        encoded,
        known,
    )


def _entropy(log_probs: np.ndarray) -> np.ndarray:
    """[S,G,N,O] -> [S,G,N], nats."""
    p = np.exp(log_probs)
    return -np.where(p > 0, p * np.where(p > 0, log_probs, 0.0), 0.0).sum(-1)


def _dataset(numbers: dict, by_token, by_byte, sizes, document, unit: Unit) -> xr.Dataset:
    """numbers [..., W,N], surprisals [S,W], bytes and documents [W] -> means per byte of every
    document."""
    names, owner = np.unique(document, return_inverse=True)
    member = np.eye(len(names))[owner]  # [W,G]
    size = sizes @ member
    valid = np.arange(numbers["kl"].shape[-1])[None] < sizes[:, None]
    per_byte = {
        name: np.where(valid, value, 0.0).sum(-1) @ member / size for name, value in numbers.items()
    }
    surprisals = {"surprisal": by_token @ member / size, "surprisal_bytes": by_byte @ member / size}
    gap = np.abs(surprisals["surprisal"][:, None] - surprisals["surprisal"][None])
    pairs = len(unit.seeds) * (len(unit.seeds) - 1)
    data = {
        **{name: (("seed", "other", "document"), per_byte[name]) for name in ("kl", "js")},
        "surprisal_gap": (("seed", "other", "document"), gap),
        "entropy": (("seed", "document"), per_byte["entropy"]),
        **{name: (("seed", "document"), value) for name, value in surprisals.items()},
        "kl_byte": (
            ("window", "position"),
            np.where(valid, numbers["kl"].sum((0, 1)) / pairs, np.nan).astype("f4"),
        ),
    }
    coordinates = {
        "seed": list(unit.seeds),
        "document": names,
        "bytes": ("document", size),
        "window_document": ("window", document),
    }
    attributes = {
        "units": "nats per byte",
        "rests_on": "seeds and documents",
        "surprisal_means": "surprisal of the tokenizer's own encoding; surprisal_bytes counts every encoding",
        "outcomes": json.dumps("256 bytes and the end of the text"),
    }
    return xr.Dataset(data, coordinates, attributes)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
