"""The data set of one work unit on weights: a histogram and moments of every matrix of a model.

Axes: M matrices, N bins. Units are those of the weights.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "weights"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds: a census of one checkpoint, without sampling error.

    Attributes:
        matrices: [M] names.
        center: [N] of each bin.
        counts: [M,N] weights in each bin.
        below, above: [M] weights beyond the first and the last edge.
        mean, sd, excess_kurtosis: [M] of all weights, those beyond the edges too.
    """

    matrices: tuple[str, ...]
    center: np.ndarray
    counts: np.ndarray
    below: np.ndarray
    above: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    excess_kurtosis: np.ndarray


SCHEMA = Schema(
    variables={
        "matrix": texts("matrix"),
        "center": numbers("bin"),
        "counts": whole("matrix bin"),
        "below": whole("matrix"),
        "above": whole("matrix"),
        "mean": numbers("matrix"),
        "sd": numbers("matrix"),
        "excess_kurtosis": numbers("matrix"),
    },
    single_seed=True,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {
        "counts": (("matrix", "bin"), record.counts),
        "below": ("matrix", record.below),
        "above": ("matrix", record.above),
        "mean": ("matrix", record.mean),
        "sd": ("matrix", record.sd),
        "excess_kurtosis": ("matrix", record.excess_kurtosis),
    }
    coordinates = {"matrix": list(record.matrices), "center": ("bin", record.center)}
    attributes = {"units": "weight", "rests_on": "all weights of the model: a census"}
    return xr.Dataset(data, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    return Record(
        matrices=tuple(map(str, data["matrix"].values)),
        center=data["center"].values.astype(np.float64),
        counts=data["counts"].values.astype(np.int64),
        below=data["below"].values.astype(np.int64),
        above=data["above"].values.astype(np.int64),
        mean=data["mean"].values.astype(np.float64),
        sd=data["sd"].values.astype(np.float64),
        excess_kurtosis=data["excess_kurtosis"].values.astype(np.float64),
    )
