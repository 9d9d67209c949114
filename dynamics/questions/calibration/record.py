"""The data set of one work unit on calibration: estimates at one checkpoint over a grid of sampler
settings.

Axes: E step sizes, B values of n beta, G values of gamma, each ascending; C chains, T draws. Losses
in nats per token.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "calibration"
AXES = ("step_size", "nbeta", "localization")
_OF_DRAWS = (*AXES, "chain", "draw")


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds. Numbers are NaN where chains were not sampled or not finite.

    Attributes:
        step_sizes: [E] epsilon.
        nbetas: [B] n beta.
        localizations: [G] gamma.
        llc, sem: [E,B,G] the estimate and its standard error between chains.
        chain_loss: [E,B,G] mean loss of the chains after the burn-in.
        rhat, ess: [E,B,G] of the loss above its baseline, all chains together.
        localization_share: [E,B,G] gamma E|w - w*|^2 / d, d weights; 1 where the pull alone shapes
            what the chains sample.
        step_curvature: [E,B,G] epsilon (n beta h + gamma) in the stiffest direction.
        state: [E,B,G] of str: the verdict, or "unstable" or "diverged" of chains without one.
        warnings: [E,B,G] of str, separated by commas.
        excess: [E,B,G,C,T] n beta (loss - baseline) at every draw, burn-in included, whose mean is
            the estimate; NaN where nothing was sampled and from where chains were not finite. Of
            what is beyond the bound the mildest setting alone is sampled. None in older files.
        top_eigenvalue: h, the largest of the Hessian.
        num_chains: of each estimate.
        num_draws: of each chain, without the burn-in.
        burn_in: draws of each chain that are left out.
    """

    step_sizes: np.ndarray
    nbetas: np.ndarray
    localizations: np.ndarray
    llc: np.ndarray
    sem: np.ndarray
    chain_loss: np.ndarray
    rhat: np.ndarray
    ess: np.ndarray
    localization_share: np.ndarray
    step_curvature: np.ndarray
    state: np.ndarray
    warnings: np.ndarray
    excess: np.ndarray | None
    top_eigenvalue: float
    num_chains: int
    num_draws: int
    burn_in: int


SCHEMA = Schema(
    variables={
        **{axis: numbers(axis) for axis in AXES},
        "llc": numbers(" ".join(AXES)),
        "sem": numbers(" ".join(AXES)),
        "chain_loss": numbers(" ".join(AXES)),
        "rhat": numbers(" ".join(AXES)),
        "ess": numbers(" ".join(AXES)),
        "localization_share": numbers(" ".join(AXES)),
        "eps_a": numbers(" ".join(AXES)),
        "warnings": texts(" ".join(AXES)),
        "state": texts(" ".join(AXES)),
        "excess": numbers(" ".join(_OF_DRAWS), optional=True),
    },
    attributes={
        "top_eigenvalue": numbers(),
        "chains": whole(least=1),
        "draws": whole(least=1),
        "burn_in": whole(),
    },
    single_seed=True,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    arrays = {
        "llc": record.llc,
        "sem": record.sem,
        "chain_loss": record.chain_loss,
        "rhat": record.rhat,
        "ess": record.ess,
        "localization_share": record.localization_share,
        "eps_a": record.step_curvature,
        "warnings": record.warnings,
        "state": record.state,
    }
    data: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: (AXES, array) for name, array in arrays.items()
    }
    if record.excess is not None:
        data["excess"] = _OF_DRAWS, record.excess
    values = (record.step_sizes, record.nbetas, record.localizations)
    coordinates = dict(zip(AXES, values, strict=True))
    attributes = {
        "units": "losses in nats; llc dimensionless",
        "rests_on": f"{record.num_chains} chains",
        "top_eigenvalue": record.top_eigenvalue,
        "chains": record.num_chains,
        "draws": record.num_draws,
        "burn_in": record.burn_in,
    }
    return xr.Dataset(data, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds, numbers in double precision. Raises InputError."""
    SCHEMA.check(data)
    step_sizes, nbetas, localizations = (data[axis].values.astype(np.float64) for axis in AXES)
    return Record(
        step_sizes=step_sizes,
        nbetas=nbetas,
        localizations=localizations,
        llc=_numbers(data, "llc"),
        sem=_numbers(data, "sem"),
        chain_loss=_numbers(data, "chain_loss"),
        rhat=_numbers(data, "rhat"),
        ess=_numbers(data, "ess"),
        localization_share=_numbers(data, "localization_share"),
        step_curvature=_numbers(data, "eps_a"),
        state=data["state"].transpose(*AXES).values.astype(str),
        warnings=data["warnings"].transpose(*AXES).values.astype(str),
        excess=_excess(data),
        top_eigenvalue=float(data.attrs["top_eigenvalue"]),
        num_chains=int(data.attrs["chains"]),
        num_draws=int(data.attrs["draws"]),
        burn_in=int(data.attrs["burn_in"]),
    )


def _numbers(data: xr.Dataset, name: str) -> np.ndarray:
    return data[name].transpose(*AXES).values.astype(np.float64)


def _excess(data: xr.Dataset) -> np.ndarray | None:
    if "excess" not in data:
        return None
    return data["excess"].transpose(*_OF_DRAWS).values.astype(np.float64)
