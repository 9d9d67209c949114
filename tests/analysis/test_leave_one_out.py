"""A seed that lies apart is found, one that does not is not, and leaving one out is what it says.

Axes: R runs, S seeds, G documents.
"""

import numpy as np
import pytest
from test_uncertainty import pair_divergences

from dynamics.analysis.leave_one_out import seed_effects

ALIKE = ["homogeneous", "lognormal", "noise of pairs"]


def flags(kl: np.ndarray, runs: int = 400) -> np.ndarray:
    """bool [runs, S]"""
    return np.array(
        [
            [effect.outlier for effect in seed_effects(divergences[..., None], np.ones(1))]
            for divergences in kl[:runs]
        ]
    )


def moved(kl: np.ndarray, factor: float) -> np.ndarray:
    """The first seed `factor` times as far from all others."""
    kl = kl.copy()
    kl[:, 0] *= factor
    kl[:, 1:, 0] *= factor
    return kl


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("kind", ALIKE)
def test_a_far_seed_is_found(kind, seeds):
    kl = moved(pair_divergences(kind, np.random.default_rng(0), seeds), 3.0)
    flagged = flags(kl)
    assert flagged[:, 0].mean() >= 0.8
    assert flagged[:, 1:].any(1).mean() <= 0.05


@pytest.mark.parametrize("seeds", [4, 5, 10])
@pytest.mark.parametrize("kind", ALIKE)
def test_like_seeds_are_not_flagged(kind, seeds):
    assert flags(pair_divergences(kind, np.random.default_rng(1), seeds)).any(1).mean() <= 0.06


def test_two_far_seeds_do_not_hide_each_other():
    kl = pair_divergences("homogeneous", np.random.default_rng(2), 8)
    kl[:, :2] *= 4
    kl[:, 2:, :2] *= 4
    assert flags(kl)[:, :2].mean() >= 0.9


def test_three_seeds_flag_none():
    assert not flags(moved(pair_divergences("homogeneous", np.random.default_rng(3), 3), 9.0)).any()


def test_leaving_one_out_is_the_mean_of_the_others():
    rng = np.random.default_rng(4)
    kl, weights = rng.lognormal(size=(4, 4, 7)), rng.uniform(1, 9, 7)
    kl[np.arange(4), np.arange(4)] = 0
    for i, effect in enumerate(seed_effects(kl, weights)):
        remaining = np.delete(np.delete(kl, i, 0), i, 1) @ weights / weights.sum()
        assert effect.without == pytest.approx(remaining.sum() / 6)
        with_it = (kl[i] + kl[:, i]) @ weights / weights.sum() / 2
        assert effect.to_others == pytest.approx(with_it.sum() / 3)
    assert np.isnan(seed_effects(kl[:2, :2], weights)[0].without)
