"""The data set of one run: how single weights of its tensors move, and whether they move together.

Axes: K checkpoints, P tensors, W weights shown, Q quantiles, T points of a displacement (K at most,
NaN beyond), C processes, B batch sizes, L tolerances, E places in a spectrum. Units are those of
the weights.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, expect, numbers, texts, whole

MEASURE = "paths"
KINDS = ("cumulative", "variance", "from_first", "lagged")
PROCESSES = ("constant", "Brownian", "ballistic")


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """Where the sampled weights are.

    Attributes:
        quantile: [Q] levels.
        fan: [P,K,Q] the weights' quantiles.
        shown: [P,K,W] some single weights.
        excess_kurtosis: [P,K] 0 for a normal, -2 for two points.
    """

    quantile: np.ndarray
    fan: np.ndarray
    shown: np.ndarray
    excess_kurtosis: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Movement:
    """The four displacements, squared weights, in the order of `KINDS`.

    Attributes:
        steps: [kind,T] step of the checkpoint, or mean lag.
        value, sem: [P,kind,T] with its error over groups of weights.
        exponent, exponent_low, exponent_high: [P,kind,T] d ln value / d ln time, 95 % interval.
        expected: [P,C,kind,T] of processes with the same start and end, in the order of
            `PROCESSES`.
        gap, gap_sem: [P,K] displacement since the checkpoint before; NaN at the first.
    """

    steps: np.ndarray
    value: np.ndarray
    sem: np.ndarray
    exponent: np.ndarray
    exponent_low: np.ndarray
    exponent_high: np.ndarray
    expected: np.ndarray
    gap: np.ndarray
    gap_sem: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Fork:
    """Whether the density of each tensor's weights has two modes.

    Attributes:
        depth: [P,K] of the deepest valley, in standard errors.
        modes: [P,K,2] the peaks beside it.
        step, low, high: [P] from which two modes stay; NaN for "not yet".
        loyal: [P] share of weights that stay on their side from then on.
        threshold: of `depth`.
    """

    depth: np.ndarray
    modes: np.ndarray
    step: np.ndarray
    low: np.ndarray
    high: np.ndarray
    loyal: np.ndarray
    threshold: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Rank:
    """Ranks of the covariance that each matrix gives to Gaussian vectors; NaN for vectors.

    Attributes:
        batch: [B] sizes of a batch.
        tolerance: [L].
        absolute, absolute_sem: [P,B,L,K] the paper's, mean over draws and its error.
        relative: [P,B,L,K].
        exact_absolute, exact_relative: [P,L,K] of the exact covariance.
        stable, entropy: [P,K] of the exact covariance.
        batch_stable, batch_entropy: [P,B,K] mean over draws.
        place: [E] places in the descending spectrum, from 1.
        spectrum: [P,E,K] eigenvalues there; NaN beyond a matrix's width.
    """

    batch: np.ndarray
    tolerance: np.ndarray
    absolute: np.ndarray
    absolute_sem: np.ndarray
    relative: np.ndarray
    exact_absolute: np.ndarray
    exact_relative: np.ndarray
    stable: np.ndarray
    entropy: np.ndarray
    batch_stable: np.ndarray
    batch_entropy: np.ndarray
    place: np.ndarray
    spectrum: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Loss:
    """Mean surprisal of the held-out text, nats per token; all NaN where it was not measured.

    Attributes:
        value, sem: [K] with its error over documents.
        excess, excess_sem: [K] over the last checkpoint, paired over documents.
    """

    value: np.ndarray
    sem: np.ndarray
    excess: np.ndarray
    excess_sem: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        steps: [K] of distinct checkpoints.
        repeats: step -> the step that serves the same tensor; left out of `steps`.
        tensors: [P] names; of a centred one with ", centred".
        size, sampled: [P] weights of the tensor, and of those that were followed.
        num_parameters: of the model.
    """

    steps: np.ndarray
    repeats: Mapping[int, int]
    tensors: tuple[str, ...]
    size: np.ndarray
    sampled: np.ndarray
    num_parameters: int
    spread: Spread
    movement: Movement
    fork: Fork
    rank: Rank
    loss: Loss


class _Stored(NamedTuple):
    """A variable of the data set: its axes, and the fields of a part that it holds.

    Several fields lie along one more axis, in their order, which the data set names.
    """

    axes: str
    fields: tuple[str, ...]

    @property
    def alone(self) -> bool:
        return len(self.fields) == 1


_POINT = "tensor kind point"
_RANK = "tensor batch tolerance step"
_PARTS = {
    "spread": (Spread, {
        "quantile": _Stored("quantile", ("quantile",)),
        "fan": _Stored("tensor step quantile", ("fan",)),
        "shown": _Stored("tensor step path", ("shown",)),
        "excess_kurtosis": _Stored("tensor step", ("excess_kurtosis",)),
    }),
    "movement": (Movement, {
        "point_step": _Stored("kind point", ("steps",)),
        "displacement": _Stored(
            _POINT, ("value", "sem", "exponent", "exponent_low", "exponent_high")
        ),
        "expected": _Stored("tensor process kind point", ("expected",)),
        "gap": _Stored("tensor step", ("gap", "gap_sem")),
    }),
    "fork": (Fork, {
        "depth": _Stored("tensor step", ("depth",)),
        "modes": _Stored("tensor step side", ("modes",)),
        "fork": _Stored("tensor", ("step", "low", "high", "loyal")),
        "threshold": _Stored("", ("threshold",)),
    }),
    "rank": (Rank, {
        "batch": _Stored("batch", ("batch",)),
        "tolerance": _Stored("tolerance", ("tolerance",)),
        "rank": _Stored(_RANK, ("absolute", "absolute_sem", "relative")),
        "exact_rank": _Stored("tensor tolerance step", ("exact_absolute", "exact_relative")),
        "effective_rank": _Stored("tensor step", ("stable", "entropy")),
        "batch_effective_rank": _Stored("tensor batch step", ("batch_stable", "batch_entropy")),
        "place": _Stored("place", ("place",)),
        "spectrum": _Stored("tensor place step", ("spectrum",)),
    }),
    "loss": (Loss, {
        "loss": _Stored("step", ("value", "sem", "excess", "excess_sem")),
    }),
}  # fmt: skip
_WHOLE = {"batch": 2, "place": 1}  # the least of each


def _axes(name: str, stored: _Stored) -> str:
    return stored.axes if stored.alone else f"{stored.axes} of_{name}"


def _variables() -> dict:
    return {
        name: whole(stored.axes, least=_WHOLE[name])
        if name in _WHOLE
        else numbers(_axes(name, stored))
        for _, variables in _PARTS.values()
        for name, stored in variables.items()
    }


# Fixed lengths of axes, in the order of what their places mean.
_LENGTHS = {
    "kind": KINDS,
    "process": PROCESSES,
    "side": ("lower", "upper"),
    **{
        f"of_{name}": stored.fields
        for _, variables in _PARTS.values()
        for name, stored in variables.items()
        if not stored.alone
    },
}
SCHEMA = Schema(
    variables={
        "step": whole("step"),
        "tensor": texts("tensor"),
        "size": whole("tensor", least=1),
        "sampled": whole("tensor", least=1),
        "parameters": whole(least=1),
        **_variables(),
    },
    attributes={"repeats": texts(), "rests_on": texts(optional=True)},
    single_seed=True,
    of_checkpoints=False,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {
        "size": ("tensor", np.asarray(record.size, np.int64)),
        "sampled": ("tensor", np.asarray(record.sampled, np.int64)),
        "parameters": record.num_parameters,
    }
    for part, (_, variables) in _PARTS.items():
        values = getattr(record, part)
        for name, stored in variables.items():
            arrays = [np.asarray(getattr(values, field)) for field in stored.fields]
            packed = arrays[0] if stored.alone else np.stack(arrays, axis=-1)
            data[name] = (tuple(_axes(name, stored).split()), packed)
    coordinates = {
        "step": np.asarray(record.steps, np.int64),
        "tensor": list(record.tensors),
        **{axis: list(labels) for axis, labels in _LENGTHS.items()},
    }
    attributes = {
        "units": "weight",
        "repeats": json.dumps({str(step): other for step, other in record.repeats.items()}),
        "rests_on": "sampled weights of one run",
    }
    return xr.Dataset(data, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    steps = data["step"].values
    expect(data, bool((np.diff(steps) > 0).all()), "steps that do not ascend", "ascending steps")
    points = data.sizes["point"]
    expect(data, points == len(steps), f"{points} points of a displacement", f"{len(steps)}")
    for axis, labels in _LENGTHS.items():
        count = data.sizes[axis]
        expect(data, count == len(labels), f"{count} places along {axis!r}", f"{len(labels)}")
    parts = {}
    for part, (form, variables) in _PARTS.items():
        fields = {}
        for name, stored in variables.items():
            array = data.variables[name].values.astype(np.float64)
            columns = [array] if stored.alone else np.moveaxis(array, -1, 0)
            columns = [float(column) if column.ndim == 0 else column for column in columns]
            fields |= dict(zip(stored.fields, columns, strict=True))
        parts[part] = form(**fields)
    return Record(
        steps=steps.astype(np.int64),
        repeats=_repeats(data),
        tensors=tuple(map(str, data["tensor"].values)),
        size=data["size"].values.astype(np.int64),
        sampled=data["sampled"].values.astype(np.int64),
        num_parameters=int(data["parameters"]),
        **parts,
    )


def _repeats(data: xr.Dataset) -> dict[int, int]:
    try:
        listed = json.loads(data.attrs["repeats"])
        repeats = {int(step): int(other) for step, other in listed.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        repeats = None
    expect(data, repeats is not None, "an attribute 'repeats' that names no steps", "JSON of steps")
    return repeats or {}
