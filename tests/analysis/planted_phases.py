"""Synthetic divergences with known phases, to judge a finder of phases and intervals of slopes.

Axes: K steps, S seeds, G documents, M bends.
"""

from typing import NamedTuple

import numpy as np

STEPS = np.array([0, *2 ** np.arange(10), *1000 * 2 ** np.arange(8)])
CURVES = 25  # planted curves that a rate is measured on
LEVELS = {3: (0.4, 0.4, 0.1, 0.8, 0.5), 2: (0.4, 0.1, 0.8, 0.5), 1: (0.4, 0.1, 0.8), 0: (0.4, 0.8)}
BENDS = {3: ((2, 3.2), (5, 6), (7.2, 8.5)), 2: ((4, 6), (7.2, 8.5)), 1: ((4, 8),), 0: ()}


class Planted(NamedTuple):
    """A divergence and what was planted in it."""

    steps: np.ndarray  # [K]
    kl: np.ndarray  # [K, S, S, G], nats
    weights: np.ndarray  # [G]
    bends: np.ndarray  # [M], ln(step + 1)
    truth: np.ndarray  # [K], nats


def planted(
    seed: int, bends: int, seeds: int = 5, documents: int = 20, steps: np.ndarray = STEPS
) -> Planted:
    """Straight pieces over ln(step + 1), times seeds and documents that wander, with a scale of
    their own each.

    Uniform, convergence, divergence, reconvergence for three bends; fewer begin later, or end
    sooner. Seeds and documents have mean one at every step, so that `truth` is what another
    sample's mean tends to.
    """
    rng = np.random.default_rng(seed)
    x = np.log1p(steps)
    knots = np.array([rng.uniform(*limits) for limits in BENDS[bends]])
    level = np.array(LEVELS[bends]) * rng.uniform(0.9, 1.1, bends + 2)
    if bends == 3:
        level[1] = level[0]
    truth = np.interp(x, [x[0], *knots, x[-1]], level)
    of_seeds = _wander(rng, (seeds, len(x)), 0.05, 0.05)
    of_documents = _wander(rng, (documents, len(x)), 0.15, 0.3)
    kl = truth[:, None, None, None] * of_seeds.T[:, :, None, None] * of_seeds.T[:, None, :, None]
    kl = (
        kl
        * of_documents.T[:, None, None, :]
        * np.exp(0.05 * rng.standard_normal((len(x), seeds, seeds, documents)))
    )
    kl *= ~np.eye(seeds, dtype=bool)[None, :, :, None]
    return Planted(
        np.asarray(steps, np.float64),
        kl,
        rng.integers(100, 2000, documents).astype(float),
        knots,
        truth,
    )


def exact(level, knots, steps: np.ndarray = STEPS) -> Planted:
    """Four seeds and six documents without any noise."""
    x = np.log1p(steps)
    truth = np.interp(x, [x[0], *knots, x[-1]], level)
    kl = truth[:, None, None, None] * np.ones((4, 4, 6)) * ~np.eye(4, dtype=bool)[..., None]
    return Planted(np.asarray(steps, float), kl, np.ones(6), np.asarray(knots), truth)


def _wander(rng, shape: tuple[int, int], own: float, common: float) -> np.ndarray:
    """Lognormal of mean one [n, K]: a walk that returns (correlation .7), and a scale for all
    steps."""
    noise = rng.standard_normal(shape)
    for k in range(1, shape[1]):
        noise[:, k] = 0.7 * noise[:, k - 1] + np.sqrt(1 - 0.49) * noise[:, k]
    scale = rng.standard_normal((shape[0], 1))
    return np.exp(own * noise - own**2 / 2 + common * scale - common**2 / 2)
