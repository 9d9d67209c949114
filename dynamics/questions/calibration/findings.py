"""Which sampler settings are healthy, which to take, and how the estimate depends on gamma there.

Axes: K checkpoints (ascending), E step sizes, B values of n beta, G values of gamma.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.significance import in_errors, is_sure
from dynamics.questions.calibration import record
from dynamics.questions.calibration.grid import Grid, grid_of
from dynamics.questions.calibration.recommendation import Recommendation, recommend
from dynamics.questions.calibration.traces import Trace, of_each_failure
from dynamics.questions.committed import Committed, by_model, by_step


@dataclass(frozen=True, kw_only=True, eq=False)
class PullEffect:
    """Estimates at the recommended gamma and at its neighbour, epsilon and n beta being the same.

    Attributes:
        localization: the recommended gamma.
        neighbour: the next larger gamma of the grid, or the next smaller one.
        step: the last checkpoint at which both are healthy.
        llc, sem: at the recommended gamma, at that step.
        neighbour_llc, neighbour_sem: at its neighbour.
    """

    localization: float
    neighbour: float
    step: int
    llc: float
    sem: float
    neighbour_llc: float
    neighbour_sem: float

    @property
    def gap(self) -> float:
        """Difference of the two estimates in standard errors of both; NaN without an error."""
        return float(in_errors(self.neighbour_llc - self.llc, self.gap_sem))

    @property
    def gap_sem(self) -> float:
        """Standard error of the difference."""
        return float(np.hypot(self.sem, self.neighbour_sem))

    @property
    def is_sure(self) -> bool:
        """Whether gamma surely changes the estimate."""
        return is_sure(self.neighbour_llc - self.llc, self.gap_sem)

    @property
    def decides(self) -> bool:
        """Whether gamma surely changes the estimate, and by more than half of the larger one."""
        larger = max(abs(self.llc), abs(self.neighbour_llc))
        return self.is_sure and abs(self.neighbour_llc - self.llc) > larger / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """The grid of one model's seed and what it says.

    Attributes:
        grid: estimates and what is wrong with each.
        recommendation: the setting to take.
        pull_effect: None where the grid has no two healthy values of gamma there.
        traces: running estimates of a healthy setting and of each failure; none of older results.
    """

    grid: Grid
    recommendation: Recommendation
    pull_effect: PullEffect | None
    traces: Sequence[Trace]


def find(committed: Committed) -> list[Calibration] | None:
    """One per model and seed, models by size."""
    calibrations = []
    for model, pairs in by_model(committed.of(record.MEASURE)).items():
        for seed in sorted({unit.seeds[0] for unit, _ in pairs}):
            units = by_step([(unit, data) for unit, data in pairs if unit.seeds[0] == seed])
            records = [record.from_dataset(data) for ((_, data),) in units.values()]
            calibrations.append(calibrated(grid_of(model, seed, list(units), records)))
    return calibrations or None


def calibrated(grid: Grid) -> Calibration:
    """What a grid says."""
    recommendation = recommend(grid)
    effect = _pull_effect(grid, recommendation.index)
    return Calibration(
        grid=grid,
        recommendation=recommendation,
        pull_effect=effect,
        traces=of_each_failure(grid, recommendation.index),
    )


def _pull_effect(grid: Grid, index: tuple[int, int, int]) -> PullEffect | None:
    e, b, g = index
    other = g + 1 if g + 1 < len(grid.localizations) else g - 1
    if other < 0:
        return None
    healthy = np.flatnonzero((grid.failure[:, e, b][:, [g, other]] == "").all(1))
    if not healthy.size:
        return None
    k = healthy[-1]
    return PullEffect(
        localization=float(grid.localizations[g]),
        neighbour=float(grid.localizations[other]),
        step=int(grid.steps[k]),
        llc=float(grid.llc[k, e, b, g]),
        sem=float(grid.sem[k, e, b, g]),
        neighbour_llc=float(grid.llc[k, e, b, other]),
        neighbour_sem=float(grid.sem[k, e, b, other]),
    )
