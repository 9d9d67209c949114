"""Events that coincide are said to, and events that are apart are not.

Axes: K steps, S seeds, G documents.
"""

import numpy as np
import pytest

from dynamics.analysis.coincidence import bend_and_minimum
from dynamics.analysis.phases import find_pieces
from dynamics.errors import InputError

STEPS = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256])
X = np.log1p(STEPS)
SEEDS, DOCUMENTS = 5, 12


def planted(minimum: float, rng: np.random.Generator):
    """A divergence [K,S,S,G] that turns at step 16, and a distance [K,S,G] that is lowest at a
    step; seeds and documents move both."""
    of_seed = 0.03 * rng.standard_normal(SEEDS)
    of_document = 0.1 * rng.standard_normal(DOCUMENTS)
    level = 0.1 + 0.3 * np.abs(X - np.log1p(16))
    scale = np.exp(of_seed[:, None, None] + of_seed[:, None] + of_document)
    kl = level[:, None, None, None] * scale
    kl = kl * np.exp(0.02 * rng.standard_normal((len(X), SEEDS, 1, DOCUMENTS)))
    distance = 0.5 + (X - np.log1p(minimum)) ** 2 / 8
    values = distance[:, None, None] * np.exp(of_seed[:, None] + of_document)
    return kl, values * np.exp(0.01 * rng.standard_normal((len(X), SEEDS, DOCUMENTS)))


@pytest.mark.parametrize(("minimum", "together"), [(16, True), (100, False), (3, False)])
def test_the_gap_is_the_planted_one(minimum, together):
    rng, weights = np.random.default_rng(minimum), np.arange(1.0, DOCUMENTS + 1)
    kl, values = planted(minimum, rng)
    pieces = find_pieces(STEPS, kl, weights)
    assert len(pieces.bends) == 1
    seen = bend_and_minimum(pieces, 0, values, weights)
    expected = np.log1p(minimum) - np.log1p(16)
    assert seen.gap.low <= seen.gap.value <= seen.gap.high
    assert seen.gap.value == pytest.approx(expected, abs=0.15)
    assert seen.minimum == pytest.approx(minimum, rel=0.2)
    assert (seen.probability > 0.95) if together else (seen.probability < 0.05)
    assert seen.gap.high - seen.gap.low > 0


def test_a_minimum_at_the_end_is_the_checkpoint():
    rng, weights = np.random.default_rng(0), np.ones(DOCUMENTS)
    kl, _ = planted(16, rng)
    falling = (3 - X / 4)[:, None, None] * np.ones((SEEDS, DOCUMENTS))
    assert bend_and_minimum(find_pieces(STEPS, kl, weights), 0, falling, weights).minimum == (
        pytest.approx(256)
    )


def test_values_of_other_steps_are_refused():
    rng, weights = np.random.default_rng(0), np.ones(DOCUMENTS)
    kl, values = planted(16, rng)
    with pytest.raises(InputError, match="two seeds"):
        bend_and_minimum(find_pieces(STEPS, kl, weights), 0, values[1:], weights)
