"""The data set of one audited run: the state of every checkpoint, and the faults found in them.

Axes: K steps.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, expect, texts, whole

MEASURE = "audit"
UNSEEN, SOUND, REMARK, CONVICTED = range(4)


class Fault(NamedTuple):
    """A fault of one checkpoint, or a remark about it, which convicts nothing."""

    step: int
    kind: str
    detail: str
    convicts: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        steps: [K].
        state: [K] of UNSEEN, SOUND, REMARK, CONVICTED.
        faults: in the order in which they were made.
        fate: what becomes of convicted checkpoints, in words.
        weights_read: whether weights were read, beyond file digests.
    """

    steps: np.ndarray
    state: np.ndarray
    faults: Sequence[Fault]
    fate: str
    weights_read: bool


SCHEMA = Schema(
    variables={
        "step": whole("step"),
        "state": whole("step", most=CONVICTED),
    },
    attributes={"findings": texts(), "fate": texts(), "weights_read": texts()},
    of_checkpoints=False,
    single_seed=True,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    attributes = {
        "findings": json.dumps([list(fault) for fault in record.faults]),
        "fate": record.fate,
        "weights_read": json.dumps(record.weights_read),
        "rests_on": "file digests and weights" if record.weights_read else "file digests",
    }
    steps = [int(step) for step in record.steps]
    return xr.Dataset({"state": ("step", record.state)}, {"step": steps}, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    return Record(
        steps=data["step"].values.astype(np.int64),
        state=data["state"].values.astype(np.int64),
        faults=_faults(data),
        fate=str(data.attrs["fate"]),
        weights_read=data.attrs["weights_read"] == "true",
    )


def _faults(data: xr.Dataset) -> tuple[Fault, ...]:
    """The faults that a data set lists. Raises InputError."""
    types = (int, str, str, bool)
    try:
        listed = json.loads(data.attrs["findings"])
        sound = all(tuple(map(type, fields)) == types for fields in listed)
    except (ValueError, TypeError, RecursionError):
        listed, sound = [], False
    expect(data, sound, "an attribute 'findings' that lists no faults", "JSON of faults")
    return tuple(Fault(*fields) for fields in listed)
