"""The data set of one work unit on weights: how every chosen tensor of a checkpoint is spread.

Axes: M tensors, N bins. Units are those of the weights.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "weights"
# What a tensor is to the model: its place in the page, whatever its name.
ROLES = ("unembedding", "centred unembedding", "other")
_MOST_EXPONENT, _MOST_FIRST = 1100, 2**40


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds: a census of one checkpoint, without sampling error.

    Attributes:
        tensors: [M] names.
        role: [M] of ROLES.
        shape: [M] as stored, in words.
        exponent: [M] bins are 2**exponent wide.
        first: [M] the first edge is first * 2**exponent.
        counts: [M,N] weights in each bin.
        below, above: [M] weights beyond the first and the last edge.
        not_finite: [M] weights that are NaN or infinite, of which nothing else tells.
        mean, sd, skewness, excess_kurtosis: [M] of all finite weights, those beyond the edges too.
        norm: [M] root of the sum of squares.
        mean_size, largest: [M] of |w|.
        zeros: [M] share that is exactly 0.
        near_zero: [M] share with |w| <= near_zero_sd * sd.
        mode_low, mode_high: [M] positions of two modes about 0, NaN where there are not two.
        depth, depth_sem: [M] of the valley between them, as a share of the lower peak.
        asymmetry, asymmetry_sem: [M] |mode_low + mode_high| / (mode_high - mode_low).
        near_zero_sd: what is near zero, in standard deviations.
        bandwidth: standard deviations that densities are smoothed by where modes are sought.
        tied: whether the unembedding is the embedding too.
    """

    tensors: tuple[str, ...]
    role: tuple[str, ...]
    shape: tuple[str, ...]
    exponent: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    below: np.ndarray
    above: np.ndarray
    not_finite: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    skewness: np.ndarray
    excess_kurtosis: np.ndarray
    norm: np.ndarray
    mean_size: np.ndarray
    largest: np.ndarray
    zeros: np.ndarray
    near_zero: np.ndarray
    mode_low: np.ndarray
    mode_high: np.ndarray
    depth: np.ndarray
    depth_sem: np.ndarray
    asymmetry: np.ndarray
    asymmetry_sem: np.ndarray
    near_zero_sd: float
    bandwidth: float
    tied: bool


_TEXTS = ("role", "shape")
_WHOLE = ("below", "above", "not_finite")
_ATTRIBUTES = ("near_zero_sd", "bandwidth")
_SPECIAL = ("tensors", "exponent", "first", "counts", "tied", *_TEXTS, *_WHOLE, *_ATTRIBUTES)
NUMBERS = tuple(field.name for field in fields(Record) if field.name not in _SPECIAL)
# NaN in these says that there is nothing to measure: one mode, or equal weights.
MAY_BE_NAN = (
    *("mode_low", "mode_high", "asymmetry", "asymmetry_sem", "depth_sem"),
    *("skewness", "excess_kurtosis"),
)

SCHEMA = Schema(
    variables={
        "matrix": texts("matrix"),
        "role": texts("matrix"),
        "shape": texts("matrix"),
        "exponent": whole("matrix", least=-_MOST_EXPONENT, most=_MOST_EXPONENT),
        "first": whole("matrix", least=-_MOST_FIRST, most=_MOST_FIRST),
        "counts": whole("matrix bin"),
        **{name: whole("matrix") for name in _WHOLE},
        **{name: numbers("matrix") for name in NUMBERS},
    },
    attributes={name: numbers() for name in _ATTRIBUTES} | {"tied": whole(most=1)},
    single_seed=True,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    smallest = np.min_scalar_type(int(record.counts.max(initial=0)))  # half of a page is zeros
    data = {
        "counts": (("matrix", "bin"), record.counts.astype(max(smallest, np.dtype("u4")))),
        **{name: ("matrix", list(getattr(record, name))) for name in _TEXTS},
        **{
            name: ("matrix", getattr(record, name))
            for name in ("exponent", "first", *_WHOLE, *NUMBERS)
        },
    }
    attributes = {
        "units": "weight",
        "rests_on": "all weights of the tensors: a census",
        **{name: getattr(record, name) for name in _ATTRIBUTES},
        "tied": int(record.tied),
    }
    return xr.Dataset(data, {"matrix": list(record.tensors)}, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    held: dict[str, Any] = {"tensors": tuple(map(str, data["matrix"].values))}
    held |= {name: tuple(map(str, data[name].values)) for name in _TEXTS}
    for name in ("exponent", "first", "counts", *_WHOLE):
        held[name] = data[name].values.astype(np.int64)
    held |= {name: data[name].values.astype(np.float64) for name in NUMBERS}
    held |= {name: float(data.attrs[name]) for name in _ATTRIBUTES}
    return Record(tied=bool(data.attrs["tied"]), **held)
