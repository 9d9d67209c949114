"""The data set of one work unit on next bytes: how far seeds are apart in the byte they expect.

Axes: S seeds, G documents, W windows, N bytes of a window. Nats per byte.
"""

import json
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, expect_documents, numbers, whole

MEASURE, FORMER = "next_byte", "bytes"  # the measure's name, and the one it had in older results


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds; means over the bytes of a document where not said otherwise.

    Attributes:
        seeds: [S].
        vocabularies: [S] number of token ids of each seed's tokenizer.
        documents: [G] indices into the corpus.
        sizes: [G] bytes of each document that were read.
        kl, js: [S,S,G] between the next-byte distributions of every two seeds.
        surprisal_gap: [S,S,G] |difference of surprisal| of the same document.
        entropy: [S,G].
        surprisal: [S,G] of the tokenizer's own encoding.
        surprisal_every: [S,G] counting every encoding that spells the same bytes.
        kl_byte: [W,N] of single bytes, mean over pairs; NaN beyond a window's end.
        window_document: [W].
    """

    seeds: tuple[int, ...]
    vocabularies: tuple[int, ...]
    documents: np.ndarray
    sizes: np.ndarray
    kl: np.ndarray
    js: np.ndarray
    surprisal_gap: np.ndarray
    entropy: np.ndarray
    surprisal: np.ndarray
    surprisal_every: np.ndarray
    kl_byte: np.ndarray
    window_document: np.ndarray


SCHEMA = Schema(
    variables={
        "seed": whole("seed"),
        "vocabulary": whole("seed", least=1),
        "document": whole("document"),
        "bytes": numbers("document", least=1),
        "kl": numbers("seed other document"),
        "js": numbers("seed other document"),
        "surprisal_gap": numbers("seed other document"),
        "entropy": numbers("seed document"),
        "surprisal": numbers("seed document"),
        "surprisal_bytes": numbers("seed document"),
        "kl_byte": numbers("window position"),
        "window_document": whole("window"),
    },
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    pairs, own = ("seed", "other", "document"), ("seed", "document")
    data = {
        "kl": (pairs, record.kl),
        "js": (pairs, record.js),
        "surprisal_gap": (pairs, record.surprisal_gap),
        "entropy": (own, record.entropy),
        "surprisal": (own, record.surprisal),
        "surprisal_bytes": (own, record.surprisal_every),
        "kl_byte": (("window", "position"), record.kl_byte.astype(np.float32)),
    }
    coordinates = {
        "seed": list(record.seeds),
        "document": record.documents,
        "bytes": ("document", record.sizes),
        "window_document": ("window", record.window_document),
        "vocabulary": ("seed", list(record.vocabularies)),
    }
    attributes = {
        "units": "nats per byte",
        "rests_on": "seeds and documents",
        "surprisal_means": "surprisal of the tokenizer's own encoding; "
        "surprisal_bytes counts every encoding",
        "outcomes": json.dumps("256 bytes and the end of the text"),
    }
    return xr.Dataset(data, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    expect_documents(data)
    return Record(
        seeds=tuple(data["seed"].values.tolist()),
        vocabularies=tuple(int(size) for size in data["vocabulary"].values),
        documents=data["document"].values,
        sizes=data["bytes"].values.astype(np.float64),
        kl=data["kl"].values.astype(np.float64),
        js=data["js"].values.astype(np.float64),
        surprisal_gap=data["surprisal_gap"].values.astype(np.float64),
        entropy=data["entropy"].values.astype(np.float64),
        surprisal=data["surprisal"].values.astype(np.float64),
        surprisal_every=data["surprisal_bytes"].values.astype(np.float64),
        kl_byte=data["kl_byte"].values,
        window_document=data["window_document"].values,
    )
