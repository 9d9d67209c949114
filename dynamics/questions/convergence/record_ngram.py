"""The data set of the yardstick: what n-grams of other text lose on the text that is measured.

Axes: O orders. Nats per token.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, whole

MEASURE = "ngram"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """Interpolated Kneser-Ney n-grams, on the windows that the models are measured on.

    Attributes:
        orders: [O] the n of each.
        cross_entropy: [O] mean over tokens.
        sem: [O] its standard error over documents; NaN in older results.
    """

    orders: tuple[int, ...]
    cross_entropy: np.ndarray
    sem: np.ndarray


SCHEMA = Schema(
    variables={
        "order": whole("order", least=1),
        "cross_entropy": numbers("order"),
        "cross_entropy_sem": numbers("order", optional=True),
    },
    of_checkpoints=False,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {
        "cross_entropy": ("order", record.cross_entropy),
        "cross_entropy_sem": ("order", record.sem),
    }
    attributes = {"units": "nats/token", "rests_on": "documents"}
    return xr.Dataset(data, {"order": list(record.orders)}, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    loss = data["cross_entropy"].values.astype(np.float64)
    has_errors = "cross_entropy_sem" in data
    return Record(
        orders=tuple(data["order"].values.tolist()),
        cross_entropy=loss,
        sem=data["cross_entropy_sem"].values if has_errors else np.full(len(loss), np.nan),
    )
