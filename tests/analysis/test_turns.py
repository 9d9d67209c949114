"""The turning points of planted curves lie where they were planted, within their intervals."""

import numpy as np
import pytest
from planted_phases import planted

from dynamics.analysis.turns import turns
from dynamics.errors import InputError


def test_intervals_hold_the_planted_turns():
    """The two later bends of four phases."""
    held, off = [], []
    for seed in range(20):
        curve = planted(seed, 3)
        found = turns(curve.steps, curve.kl, curve.weights)
        assert found.lowest is not None
        assert found.peak is not None
        for at, bend in zip(found, curve.bends[1:], strict=True):
            low, value, high = np.log1p([at.low, at.value, at.high])
            held.append(low <= bend <= high)
            off.append(value - bend)
    assert np.mean(held) >= 0.9
    assert np.sqrt(np.mean(np.square(off))) < 0.5


def test_a_curve_that_only_falls_has_no_turn_and_few_units_are_refused():
    level = np.linspace(1, 0.1, 9)[:, None, None, None] * np.ones((3, 3, 4))
    assert turns(2.0 ** np.arange(9), level, np.ones(4)) == (None, None)
    with pytest.raises(InputError, match="2 seeds"):
        turns(2.0 ** np.arange(9), level[:, :2, :2], np.ones(4))
