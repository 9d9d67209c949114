"""Which sampler settings an LLC can be taken at: a grid judged at several checkpoints, one setting
recommended.

Axes: K checkpoints (ascending), E step sizes, B values of n beta, G values of gamma.

The rule is that of appendix A.4.3 of "Loss Landscape Degeneracy and Stagewise Development in
Transformers", with each "healthy" made a test: gamma as small and n beta as large as chains stay
healthy at every checkpoint, then epsilon as large, for the most independent draws.
"""

import collections
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.results import Unit

AXES = ("step_size", "nbeta", "localization")
INDEPENDENT = 50  # draws per chain that intervals over chains hold for

# failure -> how to get out of it; in order of gravity, so that a setting is named by its worst
FAILURES = {
    "unstable": "smaller step sizes",  # beyond the bound (Fig. A.5, top left)
    "diverged": "smaller step sizes",
    "left the basin": "a larger localization or smaller step sizes",
    "escaped": "a larger localization",  # Fig. A.5, bottom
    "not converged": "more draws, a longer burn-in or larger step sizes",  # Fig. A.5, top right
    "biased": "smaller step sizes",
}
_NAMED_BY = {"still spreading": "not converged", "convergence unknown": "not converged"}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A grid of estimates of one model. Where chains were not sampled or not finite, numbers are
    NaN."""

    model: str
    seed: int
    steps: np.ndarray  # [K]
    axes: dict[str, np.ndarray]  # step_size [E], nbeta [B], localization [G], each ascending
    llc: np.ndarray  # [K,E,B,G]
    sem: np.ndarray  # [K,E,B,G]
    eps_a: np.ndarray  # [K,E,B,G], epsilon (n beta h + gamma) of the stiffest direction
    spacing: np.ndarray  # [K,E,B,G], draws per independent draw of a chain
    pull_share: (
        np.ndarray
    )  # [K,E,B,G], localization_share: near 1 the pull alone shapes what chains see
    failure: np.ndarray  # [K,E,B,G] of str: a key of FAILURES, or "" for a healthy setting
    top_eigenvalue: np.ndarray  # [K], h
    burn_in: int  # draws left out of every chain


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A setting, how long its chains should be, and why it."""

    setting: dict[str, float]  # step_size, nbeta, localization
    index: tuple[int, int, int]
    num_draws: (
        int | None
    )  # burn-in among them, for INDEPENDENT draws a chain; None where that is not known
    healthy: bool  # at every checkpoint
    reason: str


def failure(state: str, warnings: str) -> str:
    """The worst failure of an estimate, by its verdict's state and comma-separated warnings; "" for
    none."""
    named = [_NAMED_BY.get(word, word) for word in (state, *warnings.split(", "))]
    return next((name for name in FAILURES if name in named), "")


def calibrations(committed: Iterable[tuple[Unit, xr.Dataset]]) -> list[Calibration]:
    """One per model and seed, from the committed units of the measure "calibration"."""
    ordered = sorted(committed, key=lambda pair: (pair[0].model, pair[0].seeds, pair[0].step))
    groups = itertools.groupby(ordered, key=lambda pair: (pair[0].model, pair[0].seeds[0]))
    return [_calibration(model, seed, list(pairs)) for (model, seed), pairs in groups]


def _calibration(model: str, seed: int, pairs: list) -> Calibration:
    units, data = zip(*pairs, strict=True)

    def stacked(name):
        return np.stack([one[name].transpose(*AXES).values for one in data])

    named = np.vectorize(failure, otypes=[object])
    kept, chains = (float(data[0].attrs[name]) for name in ("draws", "chains"))
    with np.errstate(divide="ignore", invalid="ignore"):
        spacing = kept * chains / stacked("ess").astype(np.float64)
    return Calibration(
        model=model,
        seed=seed,
        steps=np.array([unit.step for unit in units]),
        axes={name: data[0][name].values.astype(np.float64) for name in AXES},
        failure=named(stacked("state"), stacked("warnings")),
        spacing=spacing,
        pull_share=stacked("localization_share").astype(np.float64),
        top_eigenvalue=np.array([one.attrs["top_eigenvalue"] for one in data], np.float64),
        burn_in=int(data[0].attrs["burn_in"]),
        **{name: stacked(name).astype(np.float64) for name in ("llc", "sem", "eps_a")},
    )


def recommend(found: Calibration) -> Recommendation:
    """The setting to take. Where none is healthy at every checkpoint: the least bad one, said to
    fail."""
    failing = (found.failure != "").sum(0)  # [E,B,G]
    fewest = failing == failing.min()
    e, b, g = min(np.argwhere(fewest).tolist(), key=lambda place: _rank(found, *place))
    index = e, b, g
    setting = {
        name: float(found.axes[name][place]) for name, place in zip(AXES, index, strict=True)
    }
    spacing = found.spacing[(slice(None), *index)]
    draws = (
        found.burn_in + math.ceil(INDEPENDENT * spacing.max())
        if np.isfinite(spacing).all()
        else None
    )
    healthy = not failing.min()
    reason = _reason(found, index, int(fewest.sum()), healthy)
    return Recommendation(
        setting=setting, index=index, num_draws=draws, healthy=healthy, reason=reason
    )


def _rank(found: Calibration, e: int, b: int, g: int) -> tuple:
    """Sorts settings that fail at equally many checkpoints: healthy ones by the rule, others by the
    least grave failure and then by what mends it, so that of a grid that is unstable throughout the
    smallest step comes first.
    """
    failures = [list(FAILURES).index(name) for name in found.failure[:, e, b, g] if name]
    worst = list(FAILURES)[min(failures)] if failures else ""
    mended = {"smaller step sizes": (e, b, g), "a larger localization": (-g, e, -b)}
    start = next(
        (order for mend, order in mended.items() if FAILURES.get(worst, "").startswith(mend)),
        (g, -b, -e),
    )
    return -min(failures, default=0), *start


def _reason(found: Calibration, index: tuple, count: int, healthy: bool) -> str:
    tried, checkpoints = found.failure[0].size, len(found.steps)
    at_all = f"at {'the checkpoint' if checkpoints == 1 else f'all {checkpoints} checkpoints'}"
    if healthy:
        pull = min(100.0, 100 * found.pull_share[(slice(None), *index)].max())
        return (
            f"{count} of {tried} settings are healthy {at_all}; of these it has the smallest γ, which lets chains "
            "explore most, then the largest n β, then the largest ε, which gives the most independent draws; "
            f"the pull alone explains up to {pull:.0f} % of how far weights move"
        )
    here = collections.Counter(name for name in found.failure[(slice(None), *index)] if name)
    worst = next(name for name in FAILURES if name in here)
    told = ", ".join(
        f"“{name}” at {number} of {checkpoints}" for name, number in here.most_common()
    )
    return f"none of {tried} settings is healthy {at_all}; the best fails by {told}. Try {FAILURES[worst]}"


def flags(found: Recommendation) -> str:
    """The setting as flags of the script."""
    draws = [f"--draws={found.num_draws}"] if found.num_draws else []
    return " ".join([*(f"--{name}={value:g}" for name, value in found.setting.items()), *draws])
