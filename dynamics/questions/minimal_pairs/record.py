"""The data set of one work unit on minimal pairs: how a model's seeds judge them at one checkpoint.

Axes: S seeds, N pairs, Q tasks. Divergences and preferences in nats.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "minimal_pairs"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        seeds: [S].
        kl: [S,S,N] of the two-sentence distributions of every two seeds.
        preference: [S,N] log p(good) - log p(bad).
        task: [N] index into `task_names`.
        task_names: [Q].
        terms: [Q] the phenomenon of each task, "" where the file does not say.
        source: name of the file of pairs.
        start: what every sentence begins with, in words.
    """

    seeds: tuple[int, ...]
    kl: np.ndarray
    preference: np.ndarray
    task: np.ndarray
    task_names: tuple[str, ...]
    terms: tuple[str, ...]
    source: str
    start: str


SCHEMA = Schema(
    variables={
        "seed": whole("seed", optional=True),
        "kl": numbers("seed other pair"),
        "preference": numbers("seed pair"),
        "task": whole("pair", into="task_name"),
        "task_name": texts("task_name"),
        "term": texts("task_name"),
    },
    attributes={"pairs": texts(optional=True), "start": texts(optional=True)},
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored, in single precision."""
    data = {
        "kl": (("seed", "other", "pair"), record.kl.astype(np.float32)),
        "preference": (("seed", "pair"), record.preference.astype(np.float32)),
    }
    coordinates = {
        "seed": list(record.seeds),
        "task": ("pair", record.task),
        "task_name": list(record.task_names),
        "term": ("task_name", list(record.terms)),
    }
    attributes = {"units": "nats", "rests_on": "seeds and tasks"}
    attributes |= {"pairs": record.source, "start": record.start}
    return xr.Dataset(data, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds, numbers in double precision. Raises InputError."""
    SCHEMA.check(data)
    return Record(
        seeds=tuple(data["seed"].values.tolist()) if "seed" in data else (),
        kl=data["kl"].values.astype(np.float64),
        preference=data["preference"].values.astype(np.float64),
        task=data["task"].values.astype(np.int64),
        task_names=tuple(map(str, data["task_name"].values)),
        terms=tuple(map(str, data["term"].values)),
        source=str(data.attrs.get("pairs", "")),
        start=str(data.attrs.get("start", "")),
    )
