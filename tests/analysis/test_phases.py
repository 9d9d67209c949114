"""Planted bends are found, none is invented, and intervals hold as often as they say.

Axes: K steps, S seeds, G documents, M bends.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from planted_phases import CURVES, STEPS, Planted, exact, planted

from dynamics.analysis import jackknife, segmented
from dynamics.analysis.phases import RULE, Pieces, find_pieces, join
from dynamics.errors import InputError

QUICK = dataclasses.replace(RULE, num_draws=100)


def pieces_of(curve: Planted, rule=QUICK) -> Pieces:
    return find_pieces(curve.steps, curve.kl, curve.weights, rule)


@pytest.fixture(scope="module")
def judged() -> dict:
    """(bends, seeds) -> [(planted, pieces)]."""
    kinds = [(bends, seeds) for bends in (1, 2, 3) for seeds in (3, 5)] + [(0, 3)]
    return {
        (bends, seeds): [
            (curve, pieces_of(curve))
            for curve in (
                planted(seed, bends, seeds) for seed in range(CURVES if bends else 4 * CURVES)
            )
        ]
        for bends, seeds in kinds
    }


def bend_counts(cases) -> np.ndarray:
    return np.array([len(pieces.bends) for _, pieces in cases])


@pytest.mark.long
@pytest.mark.parametrize("bends", [1, 2, 3])
def test_planted_bends_are_found(judged, bends):
    assert np.mean(bend_counts(judged[bends, 5]) >= bends) >= 0.9
    assert np.mean(bend_counts(judged[bends, 3]) >= bends) >= 0.7


@pytest.mark.long
@pytest.mark.parametrize(("bends", "seeds"), [(0, 3), (1, 3), (2, 3), (1, 5), (2, 5)])
def test_bends_that_were_not_planted_are_not_found(judged, bends, seeds):
    assert np.mean(bend_counts(judged[bends, seeds]) > bends) <= 0.05


def test_intervals_hold_the_planted_bends(judged):
    for seeds in (3, 5):
        held = []
        for bends in (1, 2, 3):
            for curve, pieces in judged[bends, seeds]:
                if len(pieces.bends) == bends:
                    bounds = [pieces.bound(bend) for bend in range(bends)]
                    pairs = zip(bounds, np.expm1(curve.bends), strict=True)
                    held += [bound.low <= truth <= bound.high for bound, truth in pairs]
        assert len(held) > 120
        assert np.mean(held) >= 0.9


def test_exact_pieces_are_found_exactly():
    level = (0.4, 0.4, 0.1, 0.8, 0.5)
    curve = exact(level, (2.5, 5.3, 8.1))
    pieces = pieces_of(curve)
    np.testing.assert_allclose(np.log1p(pieces.bends), curve.bends, atol=2e-3)
    np.testing.assert_allclose(pieces.at(curve.steps), curve.truth, atol=1e-3)
    runs = np.diff([0, *curve.bends, np.log1p(STEPS[-1])])
    np.testing.assert_allclose(pieces.slopes, np.diff(level) / runs, atol=2e-3)


def test_neighbours_of_one_name_join_into_a_phase():
    pieces = pieces_of(exact((0.4, 0.4, 0.1, 0.8, 0.5), (2.5, 5.3, 8.1)))
    first, middle, last = join(pieces, ["level", "moves", "moves", "ends"])
    assert (first.begin, last.end) == (None, None)
    assert first.end == middle.begin == pieces.bound(0)
    assert middle.end == last.begin == pieces.bound(2)
    rise = pieces.at(pieces.bends[2]) - pieces.at(pieces.bends[0])
    run = np.log1p(pieces.bends[2]) - np.log1p(pieces.bends[0])
    assert middle.slope.value == pytest.approx(rise / run)
    assert middle.slope.low <= middle.slope.value <= middle.slope.high
    with pytest.raises(InputError, match="2 names"):
        join(pieces, ["level", "moves"])


def test_what_all_steps_share_leaves_bends_sure():
    """A scale of each seed and document for all steps moves the curve, not its bends; noise anew at
    each step does."""
    truth, rng = exact((0.4, 0.1, 0.8, 0.5), (5, 8)), np.random.default_rng(0)
    scale = np.exp(0.4 * rng.standard_normal((1, 4, 1, 6)))
    anew = np.exp(0.4 * rng.standard_normal((len(STEPS), 4, 1, 6)))
    widths = []
    for factor in (scale, anew):
        pieces = pieces_of(truth._replace(kl=truth.kl * factor))
        bounds = [pieces.bound(bend) for bend in range(len(pieces.bends))]
        widths.append([np.log(bound.high / bound.low) for bound in bounds])
    assert max(widths[0]) < 0.5 * min(widths[1])


def test_units_and_the_order_of_seeds_change_nothing():
    curve = planted(1, 3)
    order = [3, 0, 4, 1, 2]
    base, scaled, turned = (
        pieces_of(curve._replace(kl=kl))
        for kl in (curve.kl, 7 * curve.kl, curve.kl[:, order][:, :, order])
    )
    np.testing.assert_allclose(scaled.bends, base.bends, rtol=1e-6)
    np.testing.assert_allclose(turned.bends, base.bends, rtol=1e-6)
    np.testing.assert_allclose(scaled.fitted, 7 * base.fitted)


def test_influences_give_the_jackknife_variance():
    curve = planted(2, 2)
    without = jackknife.without_each_seed(curve.kl, curve.weights)
    influences = jackknife.influence(without)
    n = curve.kl.shape[1]
    expected = (n - 1) / n * ((without - without.mean(-1, keepdims=True)) ** 2).sum(-1)
    np.testing.assert_allclose((influences**2).sum(-1), expected)
    others = np.delete(np.delete(curve.kl, 1, 1), 1, 2)
    np.testing.assert_allclose(without[:, 1], jackknife.theta(others, curve.weights))


def test_least_squares_of_a_straight_line_is_the_textbooks():
    rng = np.random.default_rng(3)
    x, y = np.sort(rng.uniform(0, 9, 15)), rng.normal(size=(4, 15))
    fit = segmented.fit(x, y, np.eye(15), 0)
    np.testing.assert_allclose(fit.slopes[:, 0], np.polyfit(x, y.T, 1)[0])


def test_more_bends_fit_no_worse():
    rng = np.random.default_rng(4)
    x, y = np.arange(12.0), rng.normal(size=(20, 12))
    misfits = [segmented.fit(x, y, np.eye(12), bends).misfit for bends in range(4)]
    for fewer, more in itertools.pairwise(misfits):
        assert np.all(more <= fewer * (1 + 0.02))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda curve: (curve.steps[:4], curve.kl[:4], curve.weights), "4 steps"),
        (lambda curve: (curve.steps[::-1], curve.kl, curve.weights), "ascend"),
        (lambda curve: (curve.steps, curve.kl[..., :2], curve.weights[:2]), "2 documents"),
        (lambda curve: (curve.steps, curve.kl[:, :1, :1], curve.weights), "1 seeds"),
        (lambda curve: (curve.steps, curve.kl[:-1], curve.weights), "kl"),
        (
            lambda curve: (curve.steps, np.where(curve.kl > 0, np.inf, 0), curve.weights),
            "not finite",
        ),
        (lambda curve: (curve.steps, np.ones_like(curve.kl), curve.weights), "never changes"),
    ],
)
def test_bad_input_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        find_pieces(*change(planted(0, 1)))


def test_two_seeds_have_intervals_over_documents_alone():
    assert pieces_of(planted(3, 2, seeds=2)).rests_on == "20 documents"
