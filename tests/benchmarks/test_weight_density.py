"""The density over checkpoints and its peers count the same weights, near the speed of memory."""

import numpy as np
import pytest

from benchmarks import weight_density, weight_density_vs_numpy


def test_both_sides_look_at_the_same_weights(tmp_path):
    folders = weight_density.write(tmp_path, 2, (60, 32))
    ours, theirs, sums = (
        side(folders)(0).result
        for side in (weight_density.ours, weight_density.numpy_histogram, weight_density.total)
    )
    for census, counts, total in zip(ours, theirs, sums, strict=True):
        assert census.counts.sum() == counts.sum() == 60 * 32
        assert census.mean * 60 * 32 == pytest.approx(float(total), abs=0.02)
    assert ours[1].sd > 1.2 * ours[0].sd


@pytest.mark.alone
@pytest.mark.long
def test_a_density_runs_near_the_speed_at_which_its_bytes_are_summed(tmp_path):
    folders = weight_density.write(tmp_path, 2, (50304, 512))
    runs = weight_density_vs_numpy.compare(folders, 3)
    assert np.median(runs["sum"].ratios()) > 0.45
    assert np.median(runs["np.histogram"].ratios()) > 2
    stored = 2 * 50304 * 512
    assert weight_density_vs_numpy.peak_memory(tmp_path) < 3 * stored
