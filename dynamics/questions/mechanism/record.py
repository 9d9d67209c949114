"""The data set of one work unit on mechanism: heads, units and compressed weights of a checkpoint.

Axes: M scores, L layers, H heads, N random sequences, W windows of text, F MLP units, R rules, X
texts that losses are of. Nats; scores are shares of attention.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "mechanism"
PREVIOUS, PREFIX, DUPLICATE = "previous_token", "prefix_matching", "duplicate_token"
SCORES = (PREVIOUS, PREFIX, DUPLICATE)  # [M]


@dataclass(frozen=True, kw_only=True, eq=False)
class Heads:
    """Where heads look.

    Attributes:
        repeated: [M,L,H,N] each of SCORES on random tokens that are repeated in blocks.
        uniform: [M] the scores of a head that looks at all sources alike.
        text: [L,H,W] the previous-token score on text.
        text_uniform: of a head that looks at all sources alike there.
        document: [W] the document of each window.
        block, repeats: tokens of a block, and how often it stands in a sequence.
    """

    repeated: np.ndarray
    uniform: np.ndarray
    text: np.ndarray
    text_uniform: float
    document: np.ndarray
    block: int
    repeats: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Compression:
    """Losses after the weights were made to take fewer values.

    Attributes:
        full: [X] mean surprisal of each text with the weights as they are.
        rules: [R] "ternary", "bits:4", "pruned:0.5"; see `measures.compression`.
        parts: [R] what the rule was applied to, in words.
        compressed: [R,X] mean surprisal of each text after each rule.
        document: [X].
    """

    full: np.ndarray
    rules: tuple[str, ...]
    parts: tuple[str, ...]
    compressed: np.ndarray
    document: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        heads: where heads look.
        active: [L,F] at how many tokens each unit's pre-activation is above 0.
        num_tokens: of how many.
        compression: what fewer values cost.
    """

    heads: Heads
    active: np.ndarray
    num_tokens: int
    compression: Compression


SCHEMA = Schema(
    variables={
        "score": texts("score", labels=SCORES),
        "repeated_score": numbers("score layer head sequence"),
        "uniform_score": numbers("score"),
        "text_score": numbers("layer head window"),
        "text_uniform_score": numbers(),
        "window_document": whole("window"),
        "active": whole("layer unit"),
        "full_nats": numbers("text"),
        "compressed_nats": numbers("rule text"),
        "rule": texts("rule"),
        "part": texts("rule"),
        "text_document": whole("text"),
    },
    attributes={
        "block": whole(least=1),
        "repeats": whole(least=1),
        "num_tokens": whole(least=1),
    },
    single_seed=True,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    heads, losses = record.heads, record.compression
    order = ("score", "layer", "head", "sequence")
    data: dict = {
        "score": ("score", list(SCORES)),
        "repeated_score": (order, heads.repeated),
        "uniform_score": ("score", heads.uniform),
        "text_score": (("layer", "head", "window"), heads.text),
        "text_uniform_score": heads.text_uniform,
        "window_document": ("window", heads.document),
        "active": (("layer", "unit"), record.active),
        "full_nats": ("text", losses.full),
        "compressed_nats": (("rule", "text"), losses.compressed),
        "rule": ("rule", list(losses.rules)),
        "part": ("rule", list(losses.parts)),
        "text_document": ("text", losses.document),
    }
    attributes = {
        "units": "nats; shares of attention; tokens",
        "rests_on": "sequences, documents",
        "block": heads.block,
        "repeats": heads.repeats,
        "num_tokens": record.num_tokens,
    }
    return xr.Dataset(data, attrs=attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    stored = data["score"].values.tolist()
    order = [stored.index(name) for name in SCORES]
    return Record(
        heads=Heads(
            repeated=data["repeated_score"].values[order],
            uniform=data["uniform_score"].values[order],
            text=data["text_score"].values,
            text_uniform=float(data["text_uniform_score"].values),
            document=data["window_document"].values,
            block=int(data.attrs["block"]),
            repeats=int(data.attrs["repeats"]),
        ),
        active=data["active"].values,
        num_tokens=int(data.attrs["num_tokens"]),
        compression=Compression(
            full=data["full_nats"].values,
            rules=tuple(data["rule"].values.tolist()),
            parts=tuple(data["part"].values.tolist()),
            compressed=data["compressed_nats"].values,
            document=data["text_document"].values,
        ),
    )
