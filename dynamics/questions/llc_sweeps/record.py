"""The data sets of the two kinds of work unit on what an LLC depends on.

Axes: X sizes of the data set, Y sizes of a batch, T draws after the burn-in; 2 baselines, 2 losses
that are sampled, 2 kinds of noise, in the order of BASELINES, LOSSES and NOISES. LLCs have no unit.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "llc_sweeps"
NOISE_MEASURE = "llc_noise"
BASELINES = ("same_batch", "fresh_batch")
LOSSES = ("loss", "likelihood")
NOISES = ("common", "own")


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One thing varied at a time at one checkpoint. NaN where chains went non-finite.

    Attributes:
        data_sizes: [X] windows that batches are drawn from.
        llc_by_data_size, sem_by_data_size: [X] estimate and standard error between chains.
        batch_sizes: [Y] windows of a batch.
        llc_by_batch, sem_by_batch: [2,Y] by where the loss is taken: on the step's own batch, on a
            fresh one.
        running, running_sem: [2,T] mean over chains of the running estimate, and its standard
            error, by what is sampled: windows' loss, or the likelihood of single predictions.
        nbeta: n beta, NaN where the sampler sets it.
        num_chains: of each estimate.
        predictions: of each window that the likelihood takes; None in older results.
        batch_factor: predictions of a batch for each of its windows; None in older results.
    """

    data_sizes: tuple[int, ...]
    llc_by_data_size: np.ndarray
    sem_by_data_size: np.ndarray
    batch_sizes: tuple[int, ...]
    llc_by_batch: np.ndarray
    sem_by_batch: np.ndarray
    running: np.ndarray
    running_sem: np.ndarray
    nbeta: float
    num_chains: int
    predictions: int | None = None
    batch_factor: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseRecord:
    """One checkpoint with the noise of all, and with noise of its own.

    Attributes:
        llc, sem: [2] estimate and standard error between chains.
        nbeta: n beta, NaN where the sampler sets it.
        num_chains: of each estimate.
    """

    llc: np.ndarray
    sem: np.ndarray
    nbeta: float
    num_chains: int


SCHEMA = Schema(
    variables={
        "data_size": whole("data_size", least=1),
        "llc_by_data_size": numbers("data_size"),
        "sem_by_data_size": numbers("data_size"),
        "batch_size": whole("batch_size", least=1),
        "baseline": texts("baseline", labels=BASELINES),
        "llc_by_batch": numbers("baseline batch_size"),
        "sem_by_batch": numbers("baseline batch_size"),
        "kind": texts("kind", labels=LOSSES),
        "running": numbers("kind draw"),
        "running_sem": numbers("kind draw"),
    },
    attributes={
        "nbeta": numbers(optional=True),
        "rests_on": texts(optional=True),
        "predictions": whole(optional=True, least=1),
        "batch_factor": whole(optional=True, least=1),
    },
    single_seed=True,
)
NOISE_SCHEMA = Schema(
    variables={
        "noise": texts("noise", labels=NOISES),
        "llc_by_noise": numbers("noise"),
        "sem_by_noise": numbers("noise"),
    },
    attributes={"nbeta": numbers(optional=True), "rests_on": texts(optional=True)},
    single_seed=True,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {
        "llc_by_data_size": (("data_size",), record.llc_by_data_size),
        "sem_by_data_size": (("data_size",), record.sem_by_data_size),
        "llc_by_batch": (("baseline", "batch_size"), record.llc_by_batch),
        "sem_by_batch": (("baseline", "batch_size"), record.sem_by_batch),
        "running": (("kind", "draw"), record.running),
        "running_sem": (("kind", "draw"), record.running_sem),
    }
    coordinates = {
        "data_size": list(record.data_sizes),
        "batch_size": list(record.batch_sizes),
        "baseline": list(BASELINES),
        "kind": list(LOSSES),
    }
    optional = {"predictions": record.predictions, "batch_factor": record.batch_factor}
    counts = {name: count for name, count in optional.items() if count is not None}
    return xr.Dataset(data, coordinates, _attributes(record) | counts)


def noise_to_dataset(record: NoiseRecord) -> xr.Dataset:
    """The record of noise as it is stored."""
    data = {"llc_by_noise": (("noise",), record.llc), "sem_by_noise": (("noise",), record.sem)}
    return xr.Dataset(data, {"noise": list(NOISES)}, _attributes(record))


def _attributes(record: Record | NoiseRecord) -> dict:
    return {
        "units": "llc dimensionless",
        "rests_on": f"{record.num_chains} chains",
        "nbeta": record.nbeta,
    }


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds, numbers in double precision. Raises InputError."""
    SCHEMA.check(data)
    by_baseline, by_loss = {"baseline": list(BASELINES)}, {"kind": list(LOSSES)}
    return Record(
        data_sizes=tuple(data["data_size"].values.tolist()),
        llc_by_data_size=data["llc_by_data_size"].values.astype(np.float64),
        sem_by_data_size=data["sem_by_data_size"].values.astype(np.float64),
        batch_sizes=tuple(data["batch_size"].values.tolist()),
        llc_by_batch=data["llc_by_batch"].sel(by_baseline).values.astype(np.float64),
        sem_by_batch=data["sem_by_batch"].sel(by_baseline).values.astype(np.float64),
        running=data["running"].sel(by_loss).values.astype(np.float64),
        running_sem=data["running_sem"].sel(by_loss).values.astype(np.float64),
        nbeta=float(data.attrs.get("nbeta", np.nan)),
        num_chains=_num_chains(data),
        predictions=_count(data, "predictions"),
        batch_factor=_count(data, "batch_factor"),
    )


def noise_from_dataset(data: xr.Dataset) -> NoiseRecord:
    """The record of noise that a stored data set holds, numbers in double precision.

    Raises InputError.
    """
    NOISE_SCHEMA.check(data)
    by_noise = {"noise": list(NOISES)}
    return NoiseRecord(
        llc=data["llc_by_noise"].sel(by_noise).values.astype(np.float64),
        sem=data["sem_by_noise"].sel(by_noise).values.astype(np.float64),
        nbeta=float(data.attrs.get("nbeta", np.nan)),
        num_chains=_num_chains(data),
    )


def _num_chains(data: xr.Dataset) -> int:
    """0 where the file does not say."""
    count = str(data.attrs.get("rests_on", "")).partition(" chains")[0]
    return int(count) if count.isdecimal() else 0


def _count(data: xr.Dataset, name: str) -> int | None:
    return int(data.attrs[name]) if name in data.attrs else None
