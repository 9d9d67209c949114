"""The data set of a text: what is known of every token before any model reads it.

Axes: W windows, T tokens of a window, U distinct ids, K tags.
"""

import json
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, expect, texts, whole
from dynamics.results import json_attribute, name_of

MEASURE, FORMER = "token_properties", "text"  # its name, and the one it had in older results


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What the unit holds.

    Attributes:
        tokens: [W,T] ids; None in a record that was read.
        document: [W] which of the text's documents.
        ids: [U] distinct ids; None in a record that was read.
        pieces: [U] their texts.
        count: [U] occurrences in the frequency corpus.
        index: [W,T] of every token into `pieces`.
        tag: [W,T] index into `tag_names`, or -1.
        tag_names: [K].
        word_class: [W,T] 1 function word, 0 other word, -1 neither.
        frequency_corpus: where tokens were counted, in words.
        frequency_total: tokens counted there.
        tagger: its name.
        domain: of each document.
        excluded: domains that the table of single tokens leaves out.
    """

    tokens: np.ndarray | None
    document: np.ndarray
    ids: np.ndarray | None
    pieces: tuple[str, ...]
    count: np.ndarray
    index: np.ndarray
    tag: np.ndarray
    tag_names: tuple[str, ...]
    word_class: np.ndarray
    frequency_corpus: str
    frequency_total: int
    tagger: str
    domain: dict[int, str]
    excluded: tuple[str, ...] = ()


SCHEMA = Schema(
    variables={
        "document": whole("window"),
        "piece": texts("id"),
        "count": whole("id"),
        "index": whole("window place", into="id"),
        "tag": whole("window place", least=-1, into="tag_index"),
        "tag_name": texts("tag_index"),
        "word_class": whole("window place", least=-1, most=1),
    },
    attributes={
        "frequency_corpus": texts(),
        "frequency_total": whole(optional=True),
        "tagger": texts(),
        "domain": texts(),
        "excluded": texts(optional=True),
    },
    of_checkpoints=False,
    may_be_empty=("tag_index",),
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    token = ("window", "place")
    data = {
        "token": (token, record.tokens),
        "tag": (token, record.tag.astype(np.int16)),
        "word_class": (token, record.word_class.astype(np.int8)),
        "count": ("id", record.count),
        "piece": ("id", np.array(record.pieces, object)),
        "index": (token, record.index.astype(np.int32)),
    }
    coordinates = {
        "document": ("window", record.document),
        "id": record.ids,
        "tag_name": ("tag_index", np.array(record.tag_names, object)),
    }
    attributes = {
        "frequency_corpus": record.frequency_corpus,
        "frequency_total": record.frequency_total,
        "tagger": record.tagger,
        "domain": json.dumps(record.domain),
        "excluded": json.dumps(dict.fromkeys(record.excluded, True)),
    }
    return xr.Dataset(data, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    expect(data, (data["count"].values > 0).any(), "no token counted", "a count above 0")
    domain = json_attribute(data.attrs, "domain", name_of(data))
    named = all(document.isdecimal() and type(name) is str for document, name in domain.items())
    expect(data, named, "an attribute 'domain' of other things", "the domain of every document")
    return Record(
        tokens=None,
        document=data["document"].values,
        ids=None,
        pieces=tuple(map(str, data["piece"].values)),
        count=data["count"].values,
        index=data["index"].values,
        tag=data["tag"].values,
        tag_names=tuple(map(str, data["tag_name"].values)),
        word_class=data["word_class"].values,
        frequency_corpus=str(data.attrs["frequency_corpus"]),
        frequency_total=int(data.attrs.get("frequency_total", 0)),
        tagger=str(data.attrs["tagger"]),
        domain={int(document): name for document, name in domain.items()},
        excluded=tuple(json_attribute(data.attrs, "excluded", name_of(data))),
    )
