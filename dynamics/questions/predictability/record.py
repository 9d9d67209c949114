"""The data set of the text: the surprisal of every prediction under n-grams of the training text.

Axes: O orders, W windows, P predictions of a window. Nats.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, whole

MEASURE = "predictability"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """Interpolated Kneser-Ney n-grams on the windows that the models are measured on.

    Attributes:
        orders: [O] the n of each, ascending.
        surprisal: [O,W,P] of every token that models predict.
        document: [W] the document of each window.
    """

    orders: tuple[int, ...]
    surprisal: np.ndarray
    document: np.ndarray


SCHEMA = Schema(
    variables={
        "order": whole("order", least=1),
        "surprisal": numbers("order window position"),
        "window_document": whole("window"),
    },
    of_checkpoints=False,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {"surprisal": (("order", "window", "position"), record.surprisal)}
    coordinates = {
        "order": list(record.orders),
        "window_document": ("window", record.document),
    }
    return xr.Dataset(data, coordinates, {"units": "nats", "rests_on": "documents"})


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    return Record(
        orders=tuple(data["order"].values.tolist()),
        surprisal=data["surprisal"].values.astype(np.float64),
        document=data["window_document"].values,
    )
