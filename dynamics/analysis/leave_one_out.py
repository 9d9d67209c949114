"""What a single seed does to the mean divergence, and which seeds lie apart from the others.

Axes: S seeds, G documents.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.analysis import jackknife

APART, ROBUST_SDS, LEAST_SD, FEWEST = 1.5, 3.0, 0.1, 4


class SeedEffect(NamedTuple):
    """One seed's part in theta."""

    without: float  # theta of the other seeds, nats; NaN under three seeds
    to_others: float  # mean divergence between this seed and the others, nats
    ratio: float  # its median divergence to the others, over the median of the others' own
    outlier: bool


def seed_effects(
    kl: Float[np.ndarray, "S S G"], weights: Float[np.ndarray, " G"]
) -> tuple[SeedEffect, ...]:
    """Of every seed: theta without it, how far it is, and whether it is apart. kl [S, S, G] in
    nats, weights [G].

    m_i is the median over the other seeds of ln KL (both directions' mean), which no single other
    seed moves. Seed i is flagged if exp(m_i) is more than 1.5 times the median of the others' and
    m_i lies more than 3 robust standard deviations (1.48 MAD, and 0.1 besides) above it. Of four
    seeds or more; three cannot say which of them is apart.

    No coverage is promised: a flag is a reason to look. Of 5 to 10 seeds that are alike (many
    dimensions, noise of pairs, scales that differ by 20 %) a set has a false flag in at most .05; a
    seed three times as far away is found in .87 or more. Where seeds are normal points of a plane a
    far one is ordinary, and a set in three or more has one.

    Example:
        >>> places = np.array([0.0, 1.0, 0.5, 9.0])  # the last seed lies apart
        >>> kl = np.subtract.outer(places, places)[..., None] ** 2
        >>> [effect.outlier for effect in seed_effects(kl, np.ones(1))]
        [False, False, False, True]
    """
    kl = np.where(np.eye(len(kl), dtype=bool)[..., None], 0.0, np.asarray(kl, np.float64))
    pairs = kl @ weights / np.sum(weights)
    pairs, others = (pairs + pairs.T) / 2, ~np.eye(len(kl), dtype=bool)
    rows = pairs[others].reshape(len(kl), -1)
    middle = np.median(np.log(np.maximum(rows, 1e-300)), axis=1)
    without = jackknife.without_each_seed(kl, weights) if len(kl) > 2 else np.full(len(kl), np.nan)
    return tuple(
        SeedEffect(
            float(without[i]), float(rows[i].mean()), *_apart(middle[i], np.delete(middle, i))
        )
        for i in range(len(kl))
    )


def _apart(own: float, others: np.ndarray) -> tuple[float, bool]:
    centre = np.median(others)
    sd = 1.4826 * np.median(np.abs(others - centre)) + LEAST_SD
    rise = own - centre
    flagged = len(others) + 1 >= FEWEST and rise > np.log(APART) and rise > ROBUST_SDS * sd
    return float(np.exp(rise)), bool(flagged)
