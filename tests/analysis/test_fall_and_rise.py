"""Turns of a divergence that falls and may rise again. Axes: K steps, S seeds, G documents."""

import numpy as np
import pytest

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
    assert seen.fall == paired_difference(kl[0], kl[1], WEIGHTS)
    assert seen.rise == paired_difference(kl[1], kl[3], WEIGHTS)
    assert seen.rise.ratio == pytest.approx(seen.rise.value / seen.rise.sem)


def test_two_seeds_have_changes_without_an_error():
    seen, kl = turns([4, 1, 8, 5], seeds=2)
    mean = (kl[:, 0, 1] + kl[:, 1, 0]) @ WEIGHTS / 2 / WEIGHTS.sum()
    assert seen.rise.value == pytest.approx(mean[3] - mean[1])
    assert np.isnan(seen.rise.sem)
    assert np.isnan(seen.rise.ratio)


def test_no_change_has_no_ratio():
    seen, _ = turns([1, 2, 4])
    assert seen.fall.value == 0
    assert np.isnan(seen.fall.ratio)
