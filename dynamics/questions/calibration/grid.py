"""Estimates over a grid of sampler settings, and what is wrong with each.

Axes: K checkpoints (ascending), E step sizes, B values of n beta, G values of gamma; each
ascending. The local learning coefficient (LLC) has no unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.questions.calibration.record import Record

# failure -> how to get out of it; in order of gravity, so that a setting is named by its worst.
# Figures are those of "Loss Landscape Degeneracy and Stagewise Development in Transformers".
FAILURES = {
    "unstable": "smaller step sizes",  # beyond the bound (Fig. A.5, top left)
    "diverged": "smaller step sizes",
    "left the basin": "a larger localization or smaller step sizes",
    "escaped": "a larger localization",  # Fig. A.5, bottom
    "not converged": "more draws, a longer burn-in or larger step sizes",  # Fig. A.5, top right
    "biased": "smaller step sizes",
}
_NAMED_BY = {
    "still spreading": "not converged",
    "convergence unknown": "not converged",
    "heated by minibatch noise": "biased",  # which smaller steps mend too
    "far from its basin": "escaped",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Estimates of one seed. Where chains were not sampled or not finite, numbers are NaN.

    Attributes:
        model, seed: whose checkpoints.
        steps: [K].
        step_sizes: [E] epsilon.
        nbetas: [B] n beta.
        localizations: [G] gamma.
        llc, sem: [K,E,B,G] the estimate and its standard error between chains.
        step_curvature: [K,E,B,G] epsilon (n beta h + gamma) in the stiffest direction.
        spacing: [K,E,B,G] draws of a chain for each independent one.
        localization_share: [K,E,B,G] 1 where the pull alone shapes what the chains sample.
        failure: [K,E,B,G] of str: a key of FAILURES, or "" for a healthy setting.
        excess: [K,E,B,G,C,T] as in the record; None where a checkpoint's record has none.
        top_eigenvalue: [K] h, the largest of the Hessian.
        num_chains: of each estimate.
        burn_in: draws of each chain that are left out.
    """

    model: str
    seed: int
    steps: np.ndarray
    step_sizes: np.ndarray
    nbetas: np.ndarray
    localizations: np.ndarray
    llc: np.ndarray
    sem: np.ndarray
    step_curvature: np.ndarray
    spacing: np.ndarray
    localization_share: np.ndarray
    failure: np.ndarray
    excess: np.ndarray | None
    top_eigenvalue: np.ndarray
    num_chains: int
    burn_in: int


def grid_of(model: str, seed: int, steps: Sequence[int], records: Sequence[Record]) -> Grid:
    """The grid of K records of one seed, of one set of settings."""
    first = records[0]
    excess = [record.excess for record in records if record.excess is not None]
    with np.errstate(divide="ignore", invalid="ignore"):
        spacing = first.num_draws * first.num_chains / np.stack([r.ess for r in records])
    return Grid(
        model=model,
        seed=seed,
        steps=np.array(steps),
        step_sizes=first.step_sizes,
        nbetas=first.nbetas,
        localizations=first.localizations,
        llc=np.stack([r.llc for r in records]),
        sem=np.stack([r.sem for r in records]),
        step_curvature=np.stack([r.step_curvature for r in records]),
        spacing=spacing,
        localization_share=np.stack([r.localization_share for r in records]),
        failure=np.stack([_failures(r.state, r.warnings) for r in records]),
        excess=np.stack(excess) if len(excess) == len(records) else None,
        top_eigenvalue=np.array([r.top_eigenvalue for r in records]),
        num_chains=first.num_chains,
        burn_in=first.burn_in,
    )


def failure(state: str, warnings: str) -> str:
    """The worst failure of an estimate, by its verdict and comma-separated warnings; "" for none.

    Example:
        >>> failure("local", "biased, still spreading")
        'not converged'
    """
    named = [_NAMED_BY.get(word, word) for word in (state, *warnings.split(", "))]
    return next((name for name in FAILURES if name in named), "")


_failures = np.vectorize(failure, otypes=[object])
