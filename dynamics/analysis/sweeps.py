"""What an LLC estimate depends on beside its settings, per model, from the measures "llc_sweeps"
and "llc_noise".

Axes: K checkpoints (ascending), X values of what is varied, T draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dynamics.analysis.curves import Committed, Curve, natural


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One thing varied: an estimate and its standard error at each of its values, for every
    checkpoint."""

    values: np.ndarray  # [X]
    llc: np.ndarray  # [K,X]
    sem: np.ndarray  # [K,X]

    def largest_change(self) -> float:
        """Largest difference between the last two values, in standard errors of the two; NaN for a
        single value."""
        if len(self.values) < 2:
            return np.nan
        gap = np.abs(self.llc[:, -1] - self.llc[:, -2]) / np.hypot(self.sem[:, -1], self.sem[:, -2])
        return float(np.nanmax(gap)) if np.isfinite(gap).any() else np.nan


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """All sweeps of one model's seed."""

    model: str
    steps: np.ndarray  # [K]
    data_size: Sweep
    batch_size: dict[str, Sweep]  # by where the loss is taken: same_batch, fresh_batch
    running: dict[str, np.ndarray] = field(repr=False)  # loss, likelihood: [K,T] running estimate
    running_sem: dict[str, np.ndarray] = field(repr=False)
    noise: dict[str, Curve]  # common, own: over all checkpoints; empty where that was not measured


def sweeps(committed: Committed, noise: Committed) -> list[Sweeps]:
    """One per model, of its first seed."""
    models = sorted({unit.model for unit, _ in committed}, key=natural)
    return [_sweeps(model, _of(committed, model), _of(noise, model)) for model in models]


def _of(committed: Committed, model: str) -> list:
    return sorted(
        (pair for pair in committed if pair[0].model == model), key=lambda pair: pair[0].step or 0
    )


def _sweeps(model: str, pairs: list, noise: list) -> Sweeps:
    data = [one for _, one in pairs]

    def stacked(name, **where) -> np.ndarray:
        return np.stack([one[name].sel(**where).values.astype(np.float64) for one in data])

    def sweep(name, dimension, **where) -> Sweep:
        llc, sem = stacked(f"llc_{name}", **where), stacked(f"sem_{name}", **where)
        return Sweep(values=data[0][dimension].values, llc=llc, sem=sem)

    kinds = ("loss", "likelihood")
    return Sweeps(
        model=model,
        steps=np.array([unit.step for unit, _ in pairs]),
        data_size=sweep("by_data_size", "data_size"),
        batch_size={
            str(n): sweep("by_batch", "batch_size", baseline=n) for n in data[0]["baseline"].values
        },
        running={kind: stacked("running", kind=kind) for kind in kinds},
        running_sem={kind: stacked("running_sem", kind=kind) for kind in kinds},
        noise=_noise(model, noise),
    )


def _noise(model: str, pairs: Sequence) -> dict[str, Curve]:
    if not pairs:
        return {}
    steps = np.array([unit.step for unit, _ in pairs])
    curves = {}
    for name in ("common", "own"):
        value, sem = (
            np.array([float(data[f"{part}_by_noise"].sel(noise=name)) for _, data in pairs])
            for part in ("llc", "sem")
        )
        limits = {
            "low": value - sem,
            "high": value + sem,
            "rests_on": "± standard error over chains",
        }
        curves[name] = Curve(model=model, steps=steps, value=value, **limits)
    return curves
