"""The data set of one run: how single weights of its tensors move, and whether they move together.

Axes: K checkpoints, P tensors, W weights shown, Q quantiles, T points of a displacement (K at most,
NaN beyond), C processes, B batch sizes, L tolerances, E places in a spectrum. Units are those of
the weights.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

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


_TK, _POINT = "tensor step", "tensor kind point"
_PARTS = {
    "spread": (Spread, {
        "quantile": "quantile", "fan": "tensor step quantile", "shown": "tensor step path",
        "excess_kurtosis": _TK,
    }),
    "movement": (Movement, {
        "steps": "kind point", "value": _POINT, "sem": _POINT, "exponent": _POINT,
        "exponent_low": _POINT, "exponent_high": _POINT, "expected": "tensor process kind point",
        "gap": _TK, "gap_sem": _TK,
    }),
    "fork": (Fork, {
        "depth": _TK, "modes": "tensor step side", "step": "tensor", "low": "tensor",
        "high": "tensor", "loyal": "tensor", "threshold": "",
    }),
    "rank": (Rank, {
        "batch": "batch", "tolerance": "tolerance",
        "absolute": "tensor batch tolerance step", "absolute_sem": "tensor batch tolerance step",
        "relative": "tensor batch tolerance step", "exact_absolute": "tensor tolerance step",
        "exact_relative": "tensor tolerance step", "stable": _TK, "entropy": _TK,
        "batch_stable": "tensor batch step", "batch_entropy": "tensor batch step",
        "place": "place", "spectrum": "tensor place step",
    }),
    "loss": (Loss, {"value": "step", "sem": "step", "excess": "step", "excess_sem": "step"}),
}  # fmt: skip
# Names of stored variables: the axes of four parts, each named by the part and the field.
_OWN = {"quantile": "quantile", "batch": "batch", "tolerance": "tolerance", "place": "place"}
_WHOLE = {"batch": 2, "place": 1}  # the least of each


def _name(part: str, field: str) -> str:
    return _OWN.get(field, f"{part}_{field}")


def _numbers() -> dict:
    variables = {}
    for part, (_, fields) in _PARTS.items():
        for field, axes in fields.items():
            least = _WHOLE.get(field)
            variables[_name(part, field)] = (
                numbers(axes) if least is None else whole(axes, least=least)
            )
    return variables


SCHEMA = Schema(
    variables={
        "step": whole("step"),
        "tensor": texts("tensor"),
        "size": whole("tensor", least=1),
        "sampled": whole("tensor", least=1),
        "kind": texts("kind", labels=KINDS),
        "process": texts("process", labels=PROCESSES),
        "parameters": whole(least=1),
        **_numbers(),
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
    for part, (_, fields) in _PARTS.items():
        values = getattr(record, part)
        data |= {
            _name(part, field): (tuple(axes.split()), getattr(values, field))
            for field, axes in fields.items()
        }
    coordinates = {
        "step": np.asarray(record.steps, np.int64),
        "tensor": list(record.tensors),
        "kind": list(KINDS),
        "process": list(PROCESSES),
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
    data = data.sel(kind=list(KINDS), process=list(PROCESSES)) if _labelled(data) else data
    steps = data["step"].values
    expect(data, bool((np.diff(steps) > 0).all()), "steps that do not ascend", "ascending steps")
    sides = data.sizes["side"]
    expect(data, sides == 2, f"{sides} sides of a valley", "two")
    parts = {}
    for part, (form, fields) in _PARTS.items():
        values = {field: data[_name(part, field)].values for field in fields}
        parts[part] = form(
            **{
                field: float(array) if array.ndim == 0 else array.astype(np.float64)
                for field, array in values.items()
            }
        )
    return Record(
        steps=steps.astype(np.int64),
        repeats=_repeats(data),
        tensors=tuple(map(str, data["tensor"].values)),
        size=data["size"].values.astype(np.int64),
        sampled=data["sampled"].values.astype(np.int64),
        num_parameters=int(data["parameters"]),
        **parts,
    )


def _labelled(data: xr.Dataset) -> bool:
    """Whether the labels of kinds and processes are an index, by which they can be put in order."""
    return "kind" in data.indexes and "process" in data.indexes


def _repeats(data: xr.Dataset) -> dict[int, int]:
    try:
        listed = json.loads(data.attrs["repeats"])
        repeats = {int(step): int(other) for step, other in listed.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        repeats = None
    expect(data, repeats is not None, "an attribute 'repeats' that names no steps", "JSON of steps")
    return repeats or {}
