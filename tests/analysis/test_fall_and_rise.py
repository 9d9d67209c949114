"""Turns of a divergence that falls and may rise again. Axes: K steps, S seeds, G documents."""

import numpy as np
import pytest

from dynamics.analysis import jackknife
from dynamics.analysis.curve import Curve
from dynamics.analysis.fall_and_rise import fall_and_rise
from dynamics.analysis.pairs import pair_curve
from dynamics.analysis.uncertainty import paired_difference

WEIGHTS = np.arange(1.0, 7.0)


def turns(level, seeds: int = 4):
    rng = np.random.default_rng(0)
    shape = (len(level), seeds, seeds, 6)
    kl = np.asarray(level)[:, None, None, None] * rng.uniform(0.9, 1.1, shape)
    curve = pair_curve("toy", range(len(level)), list(kl), WEIGHTS, "seeds")
    return fall_and_rise(curve, kl, WEIGHTS), kl


@pytest.mark.parametrize(
    ("level", "lowest", "peak"),
    [([4, 1, 8, 5], 1, 2), ([4, 2, 1], 2, 2), ([1, 2, 4], 0, 2), ([3], 0, 0), ([8, 1, 5], 1, 2)],
)
def test_turns_are_where_the_curve_turns(level, lowest, peak):
    seen, _ = turns(level)
    assert (seen.lowest, seen.peak) == (lowest, peak)


def test_changes_are_those_between_the_same_seeds_and_documents():
    seen, kl = turns([4, 1, 8, 5])
    assert seen.fall[:2] == paired_difference(kl[0], kl[1], WEIGHTS)[:2]
    assert seen.rise[:2] == paired_difference(kl[1], kl[3], WEIGHTS)[:2]
    assert 3 < seen.rise.errors < seen.rise.value / seen.rise.sem


def test_two_seeds_have_changes_without_an_error():
    seen, kl = turns([4, 1, 8, 5], seeds=2)
    mean = (kl[:, 0, 1] + kl[:, 1, 0]) @ WEIGHTS / 2 / WEIGHTS.sum()
    assert seen.rise.value == pytest.approx(mean[3] - mean[1])
    assert np.isnan(seen.rise.sem)
    assert np.isnan(seen.rise.errors)


def test_no_change_has_no_ratio():
    seen, _ = turns([1, 2, 4])
    assert seen.fall.value == 0
    assert np.isnan(seen.fall.errors)


def flat(rng: np.random.Generator, kind: str, steps: int, seeds: int, documents: int = 10):
    """Divergences whose truth is the same at all steps, and lengths: seeds are points of a plane
    that stay near their places, have a scale of their own at every step, or differ little beside
    documents."""
    if kind == "places":
        z = [rng.standard_normal((seeds, 2))]
        for _ in range(steps - 1):
            z.append(0.9 * z[-1] + np.sqrt(0.19) * rng.standard_normal((seeds, 2)))
        z = np.array(z)
        kl = np.square(z[:, :, None] - z[:, None]).sum(-1)[..., None] / 4
        kl = kl * np.exp(0.3 * rng.standard_normal(documents))
    else:
        seed_sd, document_sd = {"scales": (0.2, 0.1), "documents": (0.02, 0.3)}[kind]
        scale = seed_sd * rng.standard_normal((steps, seeds))
        effects = document_sd * rng.standard_normal((steps, 1, 1, documents))
        kl = np.exp((scale[:, :, None] + scale[:, None])[..., None] + effects)
    return kl, rng.integers(100, 2000, documents).astype(float)


def flat_errors(kind: str, steps: int, seeds: int, runs: int) -> np.ndarray:
    """[runs, 2] of rises on flat truths: corrected, and as if the lowest step had been named."""
    rng, errors = np.random.default_rng(steps + seeds), []
    for _ in range(runs):
        kl, weights = flat(rng, kind, steps, seeds)
        mean = jackknife.theta(kl, weights)
        curve = Curve.with_sem("flat", range(steps), mean, np.nan * mean, "")
        rise = fall_and_rise(curve, kl, weights).rise
        errors.append((rise.errors, rise.value / rise.sem if rise.sem > 0 else np.nan))
    return np.array(errors)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("steps", [12, 50, 150])
@pytest.mark.parametrize("kind", ["places", "scales", "documents"])
def test_a_flat_truth_rises_surely_in_at_most_one_case_of_a_hundred(kind, steps, seeds):
    corrected, _ = flat_errors(kind, steps, seeds, runs=500).T
    assert np.mean(corrected > 3) <= 0.01


def test_a_flat_truth_rises_by_three_uncorrected_errors_and_not_by_three():
    corrected, naive = flat_errors("scales", 50, 3, runs=100).T
    assert np.sum(naive > 3) > 10
    assert np.sum(corrected > 3) <= 2
