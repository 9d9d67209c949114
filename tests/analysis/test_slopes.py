"""Slopes of straight curves are exact, and their intervals hold the truth as often as they say.

Axes: R runs, K steps, S seeds, G documents.
"""

import numpy as np
import pytest
from planted_phases import planted

from dynamics.analysis import slopes
from dynamics.errors import InputError

STEPS = np.array([1000.0, 2000, 4000, 8000, 16000])
X = np.log1p(STEPS)


def curve(rng, seeds: int, documents: int, rate: float, effects: np.ndarray | None = None):
    """theta(x) = 1 + rate (x - x0) with a slope of their own for seeds and documents: kl [K, S, S,
    G]."""
    place = X - X.mean()
    own = 0.02 * rng.standard_normal((seeds, 1))
    effects = 0.05 * rng.standard_normal(documents) if effects is None else effects
    rates = rate + own[:, None] + own[None] + effects  # [S, S, G]
    kl = (
        1
        + place[:, None, None, None] * rates
        + 0.01 * rng.standard_normal((len(X), seeds, seeds, documents))
    )
    return kl * ~np.eye(seeds, dtype=bool)[..., None]


def test_a_straight_line_has_its_slope_and_no_error():
    kl = np.broadcast_to((2 - 0.1 * X)[:, None, None, None], (5, 4, 4, 6))
    interval = slopes.interval(slopes.slope(STEPS, kl, np.ones(6)))
    np.testing.assert_allclose([interval.mean, interval.low, interval.high], -0.1)
    assert interval.sem == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_cover(seeds):
    rng = np.random.default_rng(seeds)
    intervals = [
        slopes.interval(slopes.slope(STEPS, curve(rng, seeds, 20, -0.1), np.ones(20)))
        for _ in range(800)
    ]
    assert (
        0.92 <= np.mean([interval.low <= -0.1 <= interval.high for interval in intervals]) <= 0.985
    )


@pytest.mark.parametrize("sizes", [(1e6, 4e6), (1e6, 4e6, 2e7)])
def test_against_size_covers_and_knows_that_documents_are_shared(sizes):
    """What documents do to every model's slope alike is no error of how slopes go with size."""
    rng, held, widths = np.random.default_rng(0), [], []
    for _ in range(500):
        effects = 0.05 * rng.standard_normal(20)
        each = [
            slopes.slope(STEPS, curve(rng, 5, 20, -0.02 * np.log(size / 1e6), effects), np.ones(20))
            for size in sizes
        ]
        interval = slopes.against_size(sizes, each)
        held.append(interval.low <= -0.02 <= interval.high)
        alone = [
            influences._replace(documents=influences.documents[: 20 - at])
            for at, influences in enumerate(each)
        ]
        widths.append(
            (interval.high - interval.low) / np.diff(limits(slopes.against_size(sizes, alone)))[0]
        )
    assert 0.92 <= np.mean(held) <= 0.985
    assert np.mean(widths) < 0.95


def limits(interval) -> tuple[float, float]:
    return interval.low, interval.high


def test_two_seeds_rest_on_documents_alone():
    curve_of_two = planted(0, 2, seeds=2)
    influences = slopes.slope(curve_of_two.steps[-3:], curve_of_two.kl[-3:], curve_of_two.weights)
    assert not influences.seeds.size
    assert slopes.interval(influences).rests_on == "20 documents"


def test_bad_input_is_refused():
    kl = np.ones((1, 3, 3, 5))
    with pytest.raises(InputError, match="1 steps"):
        slopes.slope(STEPS[:1], kl, np.ones(5))
    influences = slopes.Influences(1.0, np.ones(3), np.ones(5))
    with pytest.raises(InputError, match="1 size"):
        slopes.against_size([1e6, 1e6], [influences, influences])
