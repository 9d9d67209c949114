"""The data set of one work unit on causes: the divergence of runs whose causes are crossed.

Axes: S runs, which bear the suite's seeds, G documents. Nats per token.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, whole

MEASURE = "causes"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        seeds: [S].
        init: [S] the initialisation of each run: runs of one number share it.
        order: [S] the data order of each run.
        tokens: [G] predictions of each document.
        kl: [S,S,G] KL(i || j), mean over the document's predictions.
        surprisal: [S,G] of the token that stands there.
        parameters: numbers in one model.
    """

    seeds: tuple[int, ...]
    init: np.ndarray
    order: np.ndarray
    tokens: np.ndarray
    kl: np.ndarray
    surprisal: np.ndarray
    parameters: int


SCHEMA = Schema(
    variables={
        "seed": whole("seed"),
        "init": whole("seed"),
        "data_order": whole("seed"),
        "document": whole("document"),
        "tokens": numbers("document", least=1),
        "kl": numbers("seed other document"),
        "surprisal": numbers("seed document"),
        "parameters": whole(),
    },
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {
        "kl": (("seed", "other", "document"), record.kl),
        "surprisal": (("seed", "document"), record.surprisal),
        "parameters": record.parameters,
    }
    coordinates = {
        "seed": list(record.seeds),
        "init": ("seed", record.init),
        "data_order": ("seed", record.order),
        "document": np.arange(len(record.tokens)),
        "tokens": ("document", record.tokens),
    }
    attributes = {"units": "nats per token", "rests_on": "runs and documents"}
    return xr.Dataset(data, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    return Record(
        seeds=tuple(data["seed"].values.tolist()),
        init=data["init"].values,
        order=data["data_order"].values,
        tokens=data["tokens"].values.astype(np.float64),
        kl=data["kl"].values.astype(np.float64),
        surprisal=data["surprisal"].values.astype(np.float64),
        parameters=int(data["parameters"]),
    )
