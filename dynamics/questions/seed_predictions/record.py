"""The data set of one work unit that compares the predictions of seeds of in-context regression.

Axes: S seeds, B contexts. Nats and squared errors, means over the pairs of a context.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, whole

MEASURE = "seed_predictions"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        seeds: [S].
        kl: [S,S,B] KL(i || j) of predictions as normal distributions of variance 1.
        squared_error: [S,B] of each seed.
        from_mean_task: [S,B] KL to the prediction 0.
    """

    seeds: tuple[int, ...]
    kl: np.ndarray
    squared_error: np.ndarray
    from_mean_task: np.ndarray


_AXES = {
    "kl": "seed other context",
    "squared_error": "seed context",
    "from_mean_task": "seed context",
}
SCHEMA = Schema(
    variables={
        "seed": whole("seed"),
        **{name: numbers(axes) for name, axes in _AXES.items()},
    },
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {name: (axes.split(), getattr(record, name)) for name, axes in _AXES.items()}
    attributes = {"units": "nats; squared errors", "rests_on": "seeds and contexts"}
    return xr.Dataset(data, {"seed": list(record.seeds)}, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    stored = {name: data[name].values for name in _AXES}
    return Record(seeds=tuple(data["seed"].values.tolist()), **stored)
