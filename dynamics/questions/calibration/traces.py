"""Running estimates from the first draw on: one of a healthy setting and one of each failure.

Axes: K checkpoints, E step sizes, B values of n beta, G values of gamma; C chains, T draws.

Source: Hoogland et al. 2024, appendix A.4.4 and Fig. A.5, where such traces tell divergence, chains
that have not converged, and escapes apart.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.questions.calibration.grid import FAILURES, Grid


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """The chains of one setting at one checkpoint.

    Attributes:
        failure: a key of FAILURES, or "" for a healthy setting.
        step: of the checkpoint.
        step_size, nbeta, localization: epsilon, n beta, gamma.
        running: [C,T] every chain's mean of n beta (loss - baseline) over its draws so far, burn-in
            included; NaN from where a chain was not finite.
        burn_in: the draws that the estimate itself leaves out.
    """

    failure: str
    step: int
    step_size: float
    nbeta: float
    localization: float
    running: np.ndarray
    burn_in: int


def of_each_failure(grid: Grid, nearest_to: tuple[int, int, int]) -> list[Trace]:
    """A healthy setting and then one of each failure of the grid, in order of gravity.

    Of several the one that differs least from the setting at index `nearest_to`, at the last
    checkpoint. Empty for a grid without traces.
    """
    if grid.excess is None:
        return []
    sampled = np.isfinite(grid.excess[..., 0]).all(-1)  # at the first draw
    traces = []
    for failure in ("", *FAILURES):
        places = np.argwhere(sampled & (grid.failure == failure))  # [N,4]
        if len(places):
            apart = np.abs(places[:, 1:] - np.array(nearest_to)).sum(1)
            order = np.lexsort((-places[:, 0], apart))
            traces.append(_trace(grid, failure, tuple(places[order[0]])))
    return traces


def _trace(grid: Grid, failure: str, place: tuple[int, ...]) -> Trace:
    k, e, b, g = place
    assert grid.excess is not None
    excess = grid.excess[k, e, b, g]
    with np.errstate(over="ignore", invalid="ignore"):
        running = np.cumsum(excess, axis=1) / np.arange(1, excess.shape[1] + 1)
    return Trace(
        failure=failure,
        step=int(grid.steps[k]),
        step_size=float(grid.step_sizes[e]),
        nbeta=float(grid.nbetas[b]),
        localization=float(grid.localizations[g]),
        running=running,
        burn_in=grid.burn_in,
    )
