"""The data set of one work unit on collapsed weights: what it does to set them exactly to 0.

Axes: R random sets of as many weights.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, whole

MEASURE = "degeneracy"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds. Changes are of the model with the weights set to 0, less the model.

    Attributes:
        num_collapsed: weights that have collapsed.
        num_candidates: weights that might have.
        loss, loss_sem: change of the loss, with its error over contexts.
        llc, llc_sem: change of the LLC, with its error between chains of common noise.
        random_loss, random_loss_sem: [R] of random sets instead.
        random_llc, random_llc_sem: [R] likewise.
        outputs_after_embedding: D3, of the first linear map that reads the embedding.
    """

    num_collapsed: int
    num_candidates: int
    loss: float
    loss_sem: float
    llc: float
    llc_sem: float
    random_loss: np.ndarray
    random_loss_sem: np.ndarray
    random_llc: np.ndarray
    random_llc_sem: np.ndarray
    outputs_after_embedding: int


_WHOLE = ("num_collapsed", "num_candidates", "outputs_after_embedding")
_NUMBERS = [field.name for field in fields(Record) if field.name not in _WHOLE]
_AXES = {name: "set" if name.startswith("random") else "" for name in _NUMBERS}
SCHEMA = Schema(
    variables={name: numbers(axes) for name, axes in _AXES.items()},
    attributes={name: whole(least=0) for name in _WHOLE},
    single_seed=True,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {name: (axes.split(), getattr(record, name)) for name, axes in _AXES.items()}
    attributes = {"units": "squared errors; LLCs", **{n: getattr(record, n) for n in _WHOLE}}
    return xr.Dataset(data, attrs=attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    stored: dict[str, Any] = {name: int(data.attrs[name]) for name in _WHOLE}
    for name, axes in _AXES.items():
        stored[name] = data[name].values if axes else float(data[name])
    return Record(**stored)
