"""Events that coincide are said to, and events that are apart are not.

Axes: K steps, S seeds, G documents.
"""

import numpy as np
import pytest

from dynamics.analysis.coincidence import Score, bend_and_minimum, bend_and_onset
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
    assert seen.step == pytest.approx(minimum, rel=0.2)
    assert (seen.probability > 0.95) if together else (seen.probability < 0.05)
    assert seen.gap.high - seen.gap.low > 0


def test_a_minimum_at_the_end_is_the_checkpoint():
    rng, weights = np.random.default_rng(0), np.ones(DOCUMENTS)
    kl, _ = planted(16, rng)
    falling = (3 - X / 4)[:, None, None] * np.ones((SEEDS, DOCUMENTS))
    assert bend_and_minimum(find_pieces(STEPS, kl, weights), 0, falling, weights).step == (
        pytest.approx(256)
    )


def test_values_of_other_steps_are_refused():
    rng, weights = np.random.default_rng(0), np.ones(DOCUMENTS)
    kl, values = planted(16, rng)
    with pytest.raises(InputError, match="two seeds"):
        bend_and_minimum(find_pieces(STEPS, kl, weights), 0, values[1:], weights)


def planted_score(onset: float, rng: np.random.Generator, documents: np.ndarray) -> Score:
    """A score [K,S,D] that is level and falls from a step on."""
    of_seed, of_document = 0.05 * rng.standard_normal(SEEDS), rng.standard_normal(len(documents))
    level = -0.4 * np.maximum(X - np.log1p(onset), 0)
    values = level[:, None, None] * np.exp(of_seed[:, None] + 0.1 * of_document)
    values = values + 0.01 * rng.standard_normal(values.shape)
    return Score(STEPS, values, np.ones(len(documents)), documents)


@pytest.mark.parametrize(("onset", "together"), [(16, True), (60, False), (4, False)])
def test_a_score_falls_from_the_planted_step_on(onset, together):
    """On documents of which the divergence has half."""
    rng, weights = np.random.default_rng(onset), np.ones(DOCUMENTS)
    kl, _ = planted(16, rng)
    score = planted_score(onset, rng, np.arange(6, 6 + DOCUMENTS))
    seen = bend_and_onset(find_pieces(STEPS, kl, weights), 0, np.arange(DOCUMENTS), score)
    assert seen is not None
    assert seen.gap.low <= np.log1p(onset) - np.log1p(16) <= seen.gap.high
    assert seen.step == pytest.approx(onset, rel=0.25)
    assert (seen.probability > 0.95) if together else (seen.probability < 0.05)


def test_a_score_that_never_falls_or_falls_from_the_start_has_no_onset():
    rng, weights = np.random.default_rng(1), np.ones(DOCUMENTS)
    kl, _ = planted(16, rng)
    pieces, documents = find_pieces(STEPS, kl, weights), np.arange(DOCUMENTS)
    falls = planted_score(0, rng, documents)
    rises = falls._replace(values=-falls.values)
    assert bend_and_onset(pieces, 0, documents, falls) is None
    assert bend_and_onset(pieces, 0, documents, rises) is None


def test_what_moves_both_curves_moves_no_gap():
    """One event in two curves that are the same function of seeds and documents."""
    rng, weights = np.random.default_rng(2), np.ones(DOCUMENTS)
    shift = 0.6 * rng.standard_normal(SEEDS)  # of each seed's event, e-folds
    falls = -np.maximum(X[:, None] - np.log1p(16) - shift, 0)
    values = np.repeat(falls[:, :, None], DOCUMENTS, 2)
    kl = np.broadcast_to((2 + values)[:, :, None], (len(X), SEEDS, SEEDS, DOCUMENTS)).copy()
    kl = (kl + kl.swapaxes(1, 2)) / 2
    pieces = find_pieces(STEPS, kl, weights)
    bend = int(np.argmin(np.abs(np.array(pieces.bends) - 16)))
    score = Score(STEPS, values, weights, np.arange(DOCUMENTS))
    seen = bend_and_onset(pieces, bend, np.arange(DOCUMENTS), score)
    apart = bend_and_onset(
        pieces, bend, np.arange(DOCUMENTS), score._replace(values=values[:, ::-1])
    )
    assert seen is not None
    assert apart is not None
    lengths = [each.gap.high - each.gap.low for each in (seen, apart)]
    assert lengths[0] < lengths[1]
