"""The data set of one work unit on masked models: predictions of hidden tokens by all seeds.

Its numbers have the form of every comparison of seeds, `questions.seed_record`; beside them stands
which tokens were hidden. Axes: W windows, P hidden tokens of a window.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions import seed_record
from dynamics.questions.schema import Schema, whole

MEASURE = "masked"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        numbers: of the predictions.
        place: [W,P] position of each hidden token in its window.
        token: [W,P] its id.
    """

    numbers: seed_record.Record
    place: np.ndarray
    token: np.ndarray


SCHEMA = Schema(
    variables={
        "place": whole("window position"),
        "token": whole("window position"),
    },
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    coordinates = {
        "place": (("window", "position"), record.place.astype(np.int32)),
        "token": (("window", "position"), record.token),
    }
    data = seed_record.to_dataset(record.numbers).assign_coords(coordinates)
    return data.assign_attrs(frame="one mask at a time, all else seen")


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    return Record(
        numbers=seed_record.from_dataset(data),
        place=data["place"].values,
        token=data["token"].values,
    )
