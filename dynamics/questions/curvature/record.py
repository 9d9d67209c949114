"""The data set of one work unit on curvature: the Hessian of one seed at one checkpoint.

Axes: M parts, N eigenvalues of either end, P probes of the spectral density, Q nodes of each. Units
are nats per squared weight.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "curvature"


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Of a symmetric matrix, each with its standard error over probes.

    Attributes:
        trace, trace_sem: sum of the eigenvalues.
        frobenius, frobenius_sem: root of the sum of their squares.
        effective_rank, effective_rank_sem: trace^2 / frobenius^2.
    """

    trace: float
    trace_sem: float
    frobenius: float
    frobenius_sem: float
    effective_rank: float
    effective_rank_sem: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Ends:
    """Both ends of the spectrum, outermost first, each with its bound on the error.

    Attributes:
        largest, largest_error: [N].
        smallest, smallest_error: [N].
    """

    largest: np.ndarray
    largest_error: np.ndarray
    smallest: np.ndarray
    smallest_error: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """The trace by part of the model.

    Attributes:
        names: [M].
        trace, trace_sem: [M] with its standard error over probes.
    """

    names: tuple[str, ...]
    trace: np.ndarray
    trace_sem: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Density:
    """Quadrature of the spectral density: nodes and weights, [P,Q] each."""

    nodes: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, kw_only=True)
class BetweenBatches:
    """How far other batches have another Hessian: standard deviations between batches.

    Attributes:
        trace, largest: of the trace and of the largest eigenvalue, without the error at one batch.
        count, size: how many batches, and windows of each.
    """

    trace: float
    largest: float
    count: int
    size: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds. Older files lack what may be None; of theirs, other numbers are NaN.

    Attributes:
        hessian: of the loss.
        gauss_newton: of the part of it that comes from the softmax alone.
        ends: of the Hessian's spectrum.
        parts: None where a block was asked for.
        loss: nats per token.
        learning_rate: of the optimiser at this step; None where the suite does not say.
        density: None where it was not asked for.
        block: names of the parts whose block of the Hessian this is of; "" for the whole.
        num_probes: of the traces; 0 where the file does not say.
        between: None where one batch was taken.
    """

    hessian: Moments
    gauss_newton: Moments | None
    ends: Ends
    parts: Parts | None
    loss: float
    learning_rate: float | None
    density: Density | None
    block: str
    num_probes: int
    between: BetweenBatches | None = None


SCHEMA = Schema(
    variables={
        "trace": numbers(optional=False),
        "trace_sem": numbers(optional=True),
        "frobenius": numbers(optional=True),
        "frobenius_sem": numbers(optional=True),
        "effective_rank": numbers(optional=True),
        "effective_rank_sem": numbers(optional=True),
        "gauss_newton_trace": numbers(optional=True),
        "gauss_newton_trace_sem": numbers(optional=True),
        "gauss_newton_frobenius": numbers(optional=True),
        "gauss_newton_frobenius_sem": numbers(optional=True),
        "gauss_newton_effective_rank": numbers(optional=True),
        "gauss_newton_effective_rank_sem": numbers(optional=True),
        "largest": numbers(),
        "smallest": numbers(),
        "largest_error": numbers(),
        "smallest_error": numbers(),
        "largest_all": numbers("rank", optional=True),
        "smallest_all": numbers("rank", optional=True),
        "largest_error_all": numbers("rank", optional=True),
        "smallest_error_all": numbers("rank", optional=True),
        "part": texts("part", optional=True),
        "part_trace": numbers("part", optional=True),
        "part_trace_sem": numbers("part", optional=True),
        "loss": numbers(optional=True),
        "learning_rate": numbers(optional=True),
        "nodes": numbers("probe node", optional=True),
        "weights": numbers("probe node", optional=True),
        "trace_between_batches": numbers(optional=True),
        "largest_between_batches": numbers(optional=True),
        "batches": whole(optional=True, least=2),
        "windows_of_batch": whole(optional=True, least=1),
    },
    attributes={"block": texts(optional=True), "rests_on": texts(optional=True)},
    single_seed=True,
    together=[
        ("part", "part_trace", "part_trace_sem"),
        ("nodes", "weights"),
        ("trace_between_batches", "largest_between_batches", "batches", "windows_of_batch"),
        ("largest_all", "smallest_all", "largest_error_all", "smallest_error_all"),
    ],
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored: of the ends, the outermost as scalars and all of them beside."""
    data = _moments("", record.hessian)
    if record.gauss_newton is not None:
        data |= _moments("gauss_newton_", record.gauss_newton)
    ends, parts, density = record.ends, record.parts, record.density
    data |= {
        "largest": ends.largest[0],
        "smallest": ends.smallest[0],
        "largest_error": ends.largest_error[0],
        "smallest_error": ends.smallest_error[0],
        "largest_all": ("rank", ends.largest),
        "smallest_all": ("rank", ends.smallest),
        "largest_error_all": ("rank", ends.largest_error),
        "smallest_error_all": ("rank", ends.smallest_error),
    }
    coordinates = {}
    if parts is not None:
        data |= {"part_trace": ("part", parts.trace), "part_trace_sem": ("part", parts.trace_sem)}
        coordinates["part"] = list(parts.names)
    data["loss"] = record.loss
    if record.learning_rate is not None:
        data["learning_rate"] = record.learning_rate
    if density is not None:
        data |= {"nodes": (("probe", "node"), density.nodes)}
        data |= {"weights": (("probe", "node"), density.weights)}
    if record.between is not None:
        data |= {
            "trace_between_batches": record.between.trace,
            "largest_between_batches": record.between.largest,
            "batches": record.between.count,
            "windows_of_batch": record.between.size,
        }
    attributes = {
        "units": "nats per squared weight",
        "rests_on": f"{record.num_probes} probes on one batch",
    }
    attributes |= {"block": record.block} if record.block else {}
    return xr.Dataset(data, coordinates, attributes)


def _moments(prefix: str, moments: Moments) -> dict:
    return {
        f"{prefix}trace": moments.trace,
        f"{prefix}trace_sem": moments.trace_sem,
        f"{prefix}frobenius": moments.frobenius,
        f"{prefix}frobenius_sem": moments.frobenius_sem,
        f"{prefix}effective_rank": moments.effective_rank,
        f"{prefix}effective_rank_sem": moments.effective_rank_sem,
    }


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds, numbers in double precision. Raises InputError."""
    SCHEMA.check(data)
    probes = str(data.attrs.get("rests_on", "")).partition(" probes")[0]
    return Record(
        hessian=_moments_of(data, ""),
        gauss_newton=_moments_of(data, "gauss_newton_") if "gauss_newton_trace" in data else None,
        ends=Ends(
            largest=_end(data, "largest"),
            largest_error=_end(data, "largest_error"),
            smallest=_end(data, "smallest"),
            smallest_error=_end(data, "smallest_error"),
        ),
        parts=_parts_of(data) if "part_trace" in data else None,
        loss=_number(data, "loss"),
        learning_rate=_number(data, "learning_rate") if "learning_rate" in data else None,
        density=_density_of(data) if "nodes" in data else None,
        block=str(data.attrs.get("block", "")),
        num_probes=int(probes) if probes.isdecimal() else 0,
        between=_between(data) if "trace_between_batches" in data else None,
    )


def _between(data: xr.Dataset) -> BetweenBatches:
    return BetweenBatches(
        trace=_number(data, "trace_between_batches"),
        largest=_number(data, "largest_between_batches"),
        count=int(data["batches"]),
        size=int(data["windows_of_batch"]),
    )


def _moments_of(data: xr.Dataset, prefix: str) -> Moments:
    return Moments(
        trace=_number(data, f"{prefix}trace"),
        trace_sem=_number(data, f"{prefix}trace_sem"),
        frobenius=_number(data, f"{prefix}frobenius"),
        frobenius_sem=_number(data, f"{prefix}frobenius_sem"),
        effective_rank=_number(data, f"{prefix}effective_rank"),
        effective_rank_sem=_number(data, f"{prefix}effective_rank_sem"),
    )


def _end(data: xr.Dataset, name: str) -> np.ndarray:
    """[N]; older files have the outermost alone."""
    every = f"{name}_all"
    return np.atleast_1d(data[every if every in data else name].values.astype(np.float64))


def _parts_of(data: xr.Dataset) -> Parts:
    return Parts(
        names=tuple(map(str, data["part"].values)),
        trace=data["part_trace"].values.astype(np.float64),
        trace_sem=data["part_trace_sem"].values.astype(np.float64),
    )


def _density_of(data: xr.Dataset) -> Density:
    return Density(
        nodes=data["nodes"].values.astype(np.float64),
        weights=data["weights"].values.astype(np.float64),
    )


def _number(data: xr.Dataset, name: str) -> float:
    return float(data[name]) if name in data else float("nan")
