"""The data set of one work unit on passages to read: what seeds expect at every token of them.

Axes: S seeds, W passages, T tokens, P = T - 1 predictions, R ranks, U distinct ids. Nats.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, expect, numbers, texts, whole

MEASURE = "reading"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        seeds: [S].
        tokens: [W,T] ids.
        kl: [W,P] mean over ordered pairs of seeds.
        surprisal: [S,W,P] of the token that stands there.
        top_id: [S,W,P,R] the likeliest tokens, likeliest first.
        top_probability: [S,W,P,R] theirs.
        ids: [U] every id of `tokens` and `top_id`.
        pieces: [U] their texts.
        titles: [W] names of the documents.
    """

    seeds: tuple[int, ...]
    tokens: np.ndarray
    kl: np.ndarray
    surprisal: np.ndarray
    top_id: np.ndarray
    top_probability: np.ndarray
    ids: np.ndarray
    pieces: tuple[str, ...]
    titles: tuple[str, ...]


SCHEMA = Schema(
    variables={
        "seed": whole("seed", optional=True),
        "token": whole("window place"),
        "kl": numbers("window position"),
        "surprisal": numbers("seed window position"),
        "top_id": whole("seed window position rank"),
        "top_probability": numbers("seed window position rank"),
        "id": whole("id"),
        "piece": texts("id"),
        "title": texts("window"),
    },
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    token = ("window", "position")
    data = {
        "token": (("window", "place"), record.tokens),
        "kl": (token, record.kl),
        "surprisal": (("seed", *token), record.surprisal),
        "top_id": (("seed", *token, "rank"), record.top_id.astype(np.int32)),
        "top_probability": (("seed", *token, "rank"), record.top_probability),
    }
    coordinates = {
        "seed": list(record.seeds),
        "id": record.ids,
        "piece": ("id", np.array(record.pieces, object)),
        "title": ("window", np.array(record.titles, object)),
    }
    return xr.Dataset(data, coordinates, {"units": "nats"})


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    places, positions = data.sizes["place"], data.sizes["position"]
    counts = f"{places} tokens for {positions} predictions"
    expect(data, places == positions + 1, counts, "one token more than predictions")
    ids = np.concatenate([data["token"].values.ravel(), data["top_id"].values.ravel()])
    spelled = np.isin(ids, data["id"].values).all()
    expect(data, spelled, "tokens whose texts it lacks", "a text for each")
    return Record(
        seeds=tuple(data["seed"].values.tolist()) if "seed" in data else (),
        tokens=data["token"].values,
        kl=data["kl"].values,
        surprisal=data["surprisal"].values,
        top_id=data["top_id"].values,
        top_probability=data["top_probability"].values,
        ids=data["id"].values,
        pieces=tuple(map(str, data["piece"].values)),
        titles=tuple(map(str, data["title"].values)),
    )
