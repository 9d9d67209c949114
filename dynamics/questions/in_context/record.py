"""The data set of one work unit on in-context learning: one token given many and few before it.

Axes: S seeds, W windows, C lengths of context. Nats.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "in_context"
FORMER = "icl"  # its name in older results


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        seeds: [S].
        surprisal: [S,W,C] of each window's last token given a context.
        lengths: [C] tokens of each context.
        document: [W] the document of each window.
        positions: which token is predicted given how many, in words; "" in older results.
        scaled: whether the positions are scaled down from those that were asked for, to what the
            models were trained on.
    """

    seeds: tuple[int, ...]
    surprisal: np.ndarray
    lengths: tuple[int, ...]
    document: np.ndarray
    positions: str
    scaled: bool


SCHEMA = Schema(
    variables={
        "seed": whole("seed", optional=True),
        "surprisal": numbers("seed window context"),
        "document": whole("window"),
        "context": whole("context", least=1),
    },
    attributes={"positions": texts(optional=True), "scaled": whole(optional=True, most=1)},
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    coordinates = {
        "seed": list(record.seeds),
        "document": ("window", record.document),
        "context": list(record.lengths),
    }
    attributes = {"units": "nats", "rests_on": "documents"}
    attributes |= {"positions": record.positions, "scaled": int(record.scaled)}
    surprisal = (("seed", "window", "context"), record.surprisal)
    return xr.Dataset({"surprisal": surprisal}, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds, in the precision that it is stored in.

    Raises InputError.
    """
    SCHEMA.check(data)
    return Record(
        seeds=tuple(data["seed"].values.tolist()) if "seed" in data else (),
        surprisal=data["surprisal"].transpose("seed", "window", "context").values,
        lengths=tuple(data["context"].values.tolist()),
        document=data["document"].values,
        positions=str(data.attrs.get("positions", "")),
        scaled=bool(data.attrs.get("scaled", False)),
    )
