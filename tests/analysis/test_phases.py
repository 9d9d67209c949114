"""Planted phases are found where they are, none is invented, and intervals hold the truth as often
as they say."""

import dataclasses
import itertools

import numpy as np
import pytest
from planted_phases import STEPS, Planted, planted

from dynamics.analysis import jackknife, segmented
from dynamics.analysis.phase_names import NAMES
from dynamics.analysis.phases import RULE, Phases, find_phases
from dynamics.errors import InputError

CURVES = 25
QUICK = dataclasses.replace(RULE, num_draws=100)


def found(one: Planted, rule=QUICK) -> Phases:
    return find_phases(one.steps, one.kl, one.weights, rule)


def exact(level, knots, steps=STEPS) -> Planted:
    """Four seeds and documents without any noise."""
    x = np.log1p(steps)
    truth = np.interp(x, [x[0], *knots, x[-1]], level)
    kl = truth[:, None, None, None] * np.ones((4, 4, 6)) * ~np.eye(4, dtype=bool)[..., None]
    return Planted(np.asarray(steps, float), kl, np.ones(6), np.asarray(knots), truth)


@pytest.fixture(scope="module")
def judged() -> dict:
    """(bends, seeds) -> [(planted, phases)]."""
    kinds = [(bends, seeds) for bends in (1, 2, 3) for seeds in (3, 5)] + [(0, 3)]
    return {
        (bends, seeds): [
            (one, found(one))
            for one in (
                planted(seed, bends, seeds) for seed in range(CURVES if bends else 4 * CURVES)
            )
        ]
        for bends, seeds in kinds
    }


def bend_counts(cases) -> np.ndarray:
    return np.array([len(there.bends) for _, there in cases])


@pytest.mark.parametrize("bends", [1, 2, 3])
def test_planted_bends_are_found(judged, bends):
    assert np.mean(bend_counts(judged[bends, 5]) >= bends) >= 0.9
    assert np.mean(bend_counts(judged[bends, 3]) >= bends) >= 0.7


@pytest.mark.parametrize(("bends", "seeds"), [(0, 3), (1, 3), (2, 3), (1, 5), (2, 5)])
def test_bends_that_are_not_there_are_not_found(judged, bends, seeds):
    assert np.mean(bend_counts(judged[bends, seeds]) > bends) <= 0.05


def test_intervals_hold_the_planted_bends(judged):
    for seeds in (3, 5):
        held = []
        for bends in (1, 2, 3):
            for one, there in judged[bends, seeds]:
                bounds = [phase.begin for phase in there.phases if phase.begin]
                if len(bounds) == bends:
                    pairs = zip(bounds, np.expm1(one.bends), strict=True)
                    held += [bound.low <= truth <= bound.high for bound, truth in pairs]
        assert len(held) > 120
        assert np.mean(held) >= 0.9


def test_all_four_phases_are_named_in_order(judged):
    named = [tuple(phase.name for phase in there.phases) for _, there in judged[3, 5]]
    assert np.mean([one == NAMES for one in named]) >= 0.85
    complete = [
        there for _, there in judged[3, 5] if tuple(phase.name for phase in there.phases) == NAMES
    ]
    for there in complete:
        assert not there.absent
        assert (
            there.phases[0].begin is None
        )  # both ends are censored: a phase may go on beyond the steps
        assert there.phases[-1].end is None
        assert all(a.end == b.begin for a, b in zip(there.phases, there.phases[1:], strict=False))


def test_exact_pieces_are_found_exactly():
    one = exact((0.4, 0.4, 0.1, 0.8, 0.5), (2.5, 5.3, 8.1))
    there = found(one)
    assert tuple(phase.name for phase in there.phases) == NAMES
    np.testing.assert_allclose(np.log1p(there.bends), one.bends, atol=2e-3)
    np.testing.assert_allclose(there.at(one.steps), one.truth, atol=1e-3)
    runs = np.diff([0, *one.bends, np.log1p(STEPS[-1])])
    slopes = [phase.slope.value for phase in there.phases]
    np.testing.assert_allclose(slopes, np.diff((0.4, 0.4, 0.1, 0.8, 0.5)) / runs, atol=2e-3)


@pytest.mark.parametrize(
    ("level", "knots", "steps", "names"),
    [
        ((0.4, 0.1), (), STEPS, ("sharp convergence",)),
        ((0.4, 0.4, 0.1), (4,), STEPS, ("uniform", "sharp convergence")),
        ((0.1, 0.8, 0.5), (9.5,), 1000 * STEPS[1:], ("sharp divergence", "slow reconvergence")),
        (
            (0.8, 0.5),
            (),
            1000 * STEPS[1:],
            ("convergence",),
        ),  # which of the two is not seen from here
        (
            (0.4, 0.1, 0.7, 0.8),
            (4, 7),
            STEPS,
            ("sharp convergence", "sharp divergence", "slow divergence"),
        ),
        ((0.4, 0.1, 0.8, 0.8), (4, 7), STEPS, ("sharp convergence", "sharp divergence", "plateau")),
    ],
)
def test_phases_that_are_not_there_are_not_named(level, knots, steps, names):
    there = found(exact(level, knots, steps))
    assert tuple(phase.name for phase in there.phases) == names
    assert set(there.absent) == set(NAMES) - set(names)
    for name, reason in there.absent.items():
        if name == "uniform" and steps[0] > 1:
            assert "before step 1000" in reason
        if name == "slow reconvergence":
            assert (
                f"by step {steps[-1]}" if steps[0] == 0 else "may be the fall that is seen"
            ) in reason


def test_what_all_steps_share_leaves_bends_sure():
    """A scale of each seed and document for all steps moves the curve, not its bends; noise anew at
    each step does."""
    truth, rng = exact((0.4, 0.1, 0.8, 0.5), (5, 8)), np.random.default_rng(0)
    scale = np.exp(0.4 * rng.standard_normal((1, 4, 1, 6)))
    anew = np.exp(0.4 * rng.standard_normal((len(STEPS), 4, 1, 6)))
    sure, unsure = (found(truth._replace(kl=truth.kl * factor)) for factor in (scale, anew))
    widths = [
        [np.log(bound.high / bound.low) for bound in (p.begin for p in one.phases) if bound]
        for one in (sure, unsure)
    ]
    assert max(widths[0]) < 0.5 * min(widths[1])


def test_units_and_the_order_of_seeds_change_nothing():
    one = planted(1, 3)
    order = [3, 0, 4, 1, 2]
    base, scaled, turned = (
        found(one._replace(kl=kl)) for kl in (one.kl, 7 * one.kl, one.kl[:, order][:, :, order])
    )
    np.testing.assert_allclose(scaled.bends, base.bends, rtol=1e-6)
    np.testing.assert_allclose(turned.bends, base.bends, rtol=1e-6)
    np.testing.assert_allclose(scaled.fitted, 7 * base.fitted)
    assert (
        [p.name for p in scaled.phases]
        == [p.name for p in base.phases]
        == [p.name for p in turned.phases]
    )


def test_influences_give_the_jackknife_variance():
    one = planted(2, 2)
    without = jackknife.without_each_seed(one.kl, one.weights)
    each = jackknife.influence(without)
    n = one.kl.shape[1]
    expected = (n - 1) / n * ((without - without.mean(-1, keepdims=True)) ** 2).sum(-1)
    np.testing.assert_allclose((each**2).sum(-1), expected)
    kept = np.delete(np.delete(one.kl, 1, 1), 1, 2)
    np.testing.assert_allclose(without[:, 1], jackknife.theta(kept, one.weights))


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
        (lambda one: (one.steps[:4], one.kl[:4], one.weights), "4 steps"),
        (lambda one: (one.steps[::-1], one.kl, one.weights), "ascend"),
        (lambda one: (one.steps, one.kl[..., :2], one.weights[:2]), "2 documents"),
        (lambda one: (one.steps, one.kl[:, :1, :1], one.weights), "1 seeds"),
        (lambda one: (one.steps, one.kl[:-1], one.weights), "kl"),
        (lambda one: (one.steps, np.where(one.kl > 0, np.inf, 0), one.weights), "not finite"),
        (lambda one: (one.steps, np.ones_like(one.kl), one.weights), "never changes"),
    ],
)
def test_bad_input_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        find_phases(*change(planted(0, 1)))


def test_two_seeds_have_intervals_over_documents_alone():
    assert found(planted(3, 2, seeds=2)).rests_on == "20 documents"
