"""The data set of one work unit on perplexity: texts scored forward, and texts completed.

Axes: N texts, U texts that were completed, P lengths of a prefix (1 to P tokens of P + 1), Q shown
completions. Nats.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, expect, numbers, texts, whole

MEASURE = "perplexity"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        text_nats: [N] mean surprisal of each text's scored tokens.
        text_tokens: [N] scored tokens: all but the first.
        text_document: [N] the document of each.
        last_word_nats, last_word_right: [N] summed surprisal of each text's last word, and whether
            the model would have written it; None where it was not scored.
        completion_nats: [U,P] mean surprisal of what the model wrote after each prefix.
        unmasked_nats: [U,P] mean surprisal of what the text has there, given prefix and completion.
        unmasked_document: [U].
        repeated, repeated_in_text: [U,P] n-grams of the completion, and of the text at its place,
            that are there a second time.
        ngram: n.
        phrase_prefix, phrase_completion: [Q] texts of a phrase's prefixes and their completions.
        vocab_size: perplexity of a model that knows nothing.
        texts: what they are, in words.
        decoding: how completions are made, in words.
        num_cut: texts that lost their beginning, being too long.
    """

    text_nats: np.ndarray
    text_tokens: np.ndarray
    text_document: np.ndarray
    last_word_nats: np.ndarray | None
    last_word_right: np.ndarray | None
    completion_nats: np.ndarray
    unmasked_nats: np.ndarray
    unmasked_document: np.ndarray
    repeated: np.ndarray
    repeated_in_text: np.ndarray
    ngram: int
    phrase_prefix: tuple[str, ...]
    phrase_completion: tuple[str, ...]
    vocab_size: int
    texts: str
    decoding: str
    num_cut: int


SCHEMA = Schema(
    variables={
        "text_nats": numbers("text"),
        "text_tokens": whole("text", least=1),
        "text_document": whole("text"),
        "last_word_nats": numbers("text", optional=True),
        "last_word_right": whole("text", optional=True, most=1),
        "completion_nats": numbers("unmasked prefix"),
        "unmasked_nats": numbers("unmasked prefix"),
        "unmasked_document": whole("unmasked"),
        "repeated": whole("unmasked prefix"),
        "repeated_in_text": whole("unmasked prefix"),
        "phrase_prefix": texts("shown"),
        "phrase_completion": texts("shown"),
    },
    attributes={
        "ngram": whole(least=1),
        "vocab_size": whole(least=1),
        "texts": texts(),
        "decoding": texts(),
        "num_cut": whole(),
    },
    single_seed=True,
    together=(("last_word_nats", "last_word_right"),),
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    unmasked = ("unmasked", "prefix")
    data: dict = {
        "text_nats": ("text", record.text_nats),
        "text_tokens": ("text", record.text_tokens),
        "text_document": ("text", record.text_document),
        "completion_nats": (unmasked, record.completion_nats),
        "unmasked_nats": (unmasked, record.unmasked_nats),
        "unmasked_document": ("unmasked", record.unmasked_document),
        "repeated": (unmasked, record.repeated),
        "repeated_in_text": (unmasked, record.repeated_in_text),
        "phrase_prefix": ("shown", np.array(record.phrase_prefix, dtype=str)),
        "phrase_completion": ("shown", np.array(record.phrase_completion, dtype=str)),
    }
    if record.last_word_nats is not None and record.last_word_right is not None:
        data["last_word_nats"] = "text", record.last_word_nats
        data["last_word_right"] = "text", record.last_word_right.astype(np.int8)
    attributes = {
        "units": "nats",
        "rests_on": "documents",
        "ngram": record.ngram,
        "vocab_size": record.vocab_size,
        "texts": record.texts,
        "decoding": record.decoding,
        "num_cut": record.num_cut,
    }
    return xr.Dataset(data, attrs=attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError.

    A surprisal below 0 is among what is refused: it would be a perplexity below 1.
    """
    SCHEMA.check(data)
    for name in ("text_nats", "completion_nats", "unmasked_nats", "last_word_nats"):
        if name in data:
            possible = not (data[name].values < 0).any()
            expect(data, possible, f"{name!r} below 0", "a perplexity of 1 or more")
    has_last_word = "last_word_nats" in data
    return Record(
        text_nats=data["text_nats"].values,
        text_tokens=data["text_tokens"].values,
        text_document=data["text_document"].values,
        last_word_nats=data["last_word_nats"].values if has_last_word else None,
        last_word_right=data["last_word_right"].values > 0 if has_last_word else None,
        completion_nats=data["completion_nats"].values,
        unmasked_nats=data["unmasked_nats"].values,
        unmasked_document=data["unmasked_document"].values,
        repeated=data["repeated"].values,
        repeated_in_text=data["repeated_in_text"].values,
        ngram=int(data.attrs["ngram"]),
        phrase_prefix=tuple(data["phrase_prefix"].values.tolist()),
        phrase_completion=tuple(data["phrase_completion"].values.tolist()),
        vocab_size=int(data.attrs["vocab_size"]),
        texts=str(data.attrs["texts"]),
        decoding=str(data.attrs["decoding"]),
        num_cut=int(data.attrs["num_cut"]),
    )
