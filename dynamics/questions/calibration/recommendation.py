"""Which sampler setting to take: one rule for every grid.

Axes: K checkpoints (ascending), E step sizes, B values of n beta, G values of gamma.

The rule is that of appendix A.4.3 of "Loss Landscape Degeneracy and Stagewise Development in
Transformers", with each "healthy" made a test: gamma as small and n beta as large as chains stay
healthy at every checkpoint, then epsilon as large, for the most independent draws.
"""

import collections
import math
from dataclasses import dataclass

import numpy as np

from dynamics.questions.calibration.grid import FAILURES, Grid

INDEPENDENT = 50  # draws per chain that intervals over chains hold for


@dataclass(frozen=True, kw_only=True)
class Setting:
    """epsilon, n beta and gamma of a sampler."""

    step_size: float
    nbeta: float
    localization: float


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A setting, how long its chains should be, and how good it is.

    Attributes:
        setting: the one to take.
        index: its place in the grid [E,B,G].
        num_draws: burn-in among them, for INDEPENDENT draws a chain; None where it is not known.
        failures: failure -> at how many checkpoints the setting has it; empty for a healthy one.
        num_alike: settings that fail at as few checkpoints, this one among them.
    """

    setting: Setting
    index: tuple[int, int, int]
    num_draws: int | None
    failures: collections.Counter[str]
    num_alike: int

    @property
    def healthy(self) -> bool:
        """At every checkpoint."""
        return not self.failures

    @property
    def mend(self) -> str:
        """How to get out of the worst failure; "" for a healthy setting."""
        return next((FAILURES[name] for name in FAILURES if name in self.failures), "")


def recommend(grid: Grid) -> Recommendation:
    """The setting to take; where none is healthy at every checkpoint, the least bad one."""
    failing = (grid.failure != "").sum(0)  # [E,B,G]
    fewest = failing == failing.min()
    e, b, g = min(np.argwhere(fewest).tolist(), key=lambda place: _rank(grid, *place))
    spacing, num_draws = grid.spacing[:, e, b, g], None
    if np.isfinite(spacing).all():
        num_draws = grid.burn_in + math.ceil(INDEPENDENT * spacing.max())
    return Recommendation(
        setting=Setting(
            step_size=float(grid.step_sizes[e]),
            nbeta=float(grid.nbetas[b]),
            localization=float(grid.localizations[g]),
        ),
        index=(e, b, g),
        num_draws=num_draws,
        failures=collections.Counter(name for name in grid.failure[:, e, b, g] if name),
        num_alike=int(fewest.sum()),
    )


def _rank(grid: Grid, e: int, b: int, g: int) -> tuple:
    """Sorts settings that fail at equally many checkpoints: healthy ones by the rule, others by the
    least grave failure and then by what mends it, so that of a grid that is unstable throughout the
    smallest step comes first.
    """
    failures = [list(FAILURES).index(name) for name in grid.failure[:, e, b, g] if name]
    worst = list(FAILURES)[min(failures)] if failures else ""
    mended = {"smaller step sizes": (e, b, g), "a larger localization": (-g, e, -b)}
    start = next(
        (order for mend, order in mended.items() if FAILURES.get(worst, "").startswith(mend)),
        (g, -b, -e),
    )
    return -min(failures, default=0), *start
