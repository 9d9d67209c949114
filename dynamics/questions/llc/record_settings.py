"""The data set of one run's sampler settings: found once from the landscape, read by every shard.

No axes. The numbers are those of `slt.Suggestion`.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "llc_settings"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One setting for all checkpoints of a model, or why there is none.

    Attributes:
        step_size, nbeta, localization: epsilon, n beta and gamma; NaN where no setting serves.
        num_draws, burn_in, thinning: lengths of a chain; 0 where no setting serves.
        foretold_exponent: the pull's exponent that a quadratic would have; NaN likewise.
        measured_exponent: that of the last try; NaN where none was made or the LLC is not above 0.
        sentence: what was chosen and by what, or what stands in the way.
    """

    step_size: float = np.nan
    nbeta: float = np.nan
    localization: float = np.nan
    num_draws: int = 0
    burn_in: int = 0
    thinning: int = 0
    foretold_exponent: float = np.nan
    measured_exponent: float = np.nan
    sentence: str

    @property
    def serve(self) -> bool:
        """Whether there is a setting."""
        return self.num_draws > 0


SCHEMA = Schema(
    variables={
        "step_size": numbers(),
        "nbeta": numbers(),
        "localization": numbers(),
        "num_draws": whole(),
        "burn_in": whole(),
        "thinning": whole(),
        "foretold_exponent": numbers(),
        "measured_exponent": numbers(),
    },
    attributes={"sentence": texts()},
    of_checkpoints=False,
)


def to_dataset(settings: Settings) -> xr.Dataset:
    """The settings as they are stored."""
    data = {
        "step_size": settings.step_size,
        "nbeta": settings.nbeta,
        "localization": settings.localization,
        "num_draws": settings.num_draws,
        "burn_in": settings.burn_in,
        "thinning": settings.thinning,
        "foretold_exponent": settings.foretold_exponent,
        "measured_exponent": settings.measured_exponent,
    }
    return xr.Dataset(data, attrs={"sentence": settings.sentence, "units": "none"})


def from_dataset(data: xr.Dataset) -> Settings:
    """The settings that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    return Settings(
        step_size=float(data["step_size"]),
        nbeta=float(data["nbeta"]),
        localization=float(data["localization"]),
        num_draws=int(data["num_draws"]),
        burn_in=int(data["burn_in"]),
        thinning=int(data["thinning"]),
        foretold_exponent=float(data["foretold_exponent"]),
        measured_exponent=float(data["measured_exponent"]),
        sentence=data.attrs["sentence"],
    )
