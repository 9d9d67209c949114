"""Phases of the divergence have the names that their slopes give them.

Axes: K steps, S seeds, G documents.
"""

import dataclasses

import numpy as np
import pytest
from planted_phases import CURVES, STEPS, Planted, exact, planted

from dynamics.analysis.phases import RULE
from dynamics.questions.convergence.phases import NAMES, Phases, find_phases

QUICK = dataclasses.replace(RULE, num_draws=100)


def phases_of(curve: Planted) -> Phases:
    return find_phases(curve.steps, curve.kl, curve.weights, QUICK)


def names_of(phases: Phases) -> tuple[str, ...]:
    return tuple(phase.name for phase in phases.phases)


def test_all_four_phases_are_named_in_order():
    planted_phases = [phases_of(planted(seed, 3, 5)) for seed in range(CURVES)]
    complete = [phases for phases in planted_phases if names_of(phases) == NAMES]
    assert len(complete) >= 0.85 * CURVES
    for phases in complete:
        assert not phases.absent
        # Both ends are censored: a phase may go on beyond the steps.
        assert phases.phases[0].begin is None
        assert phases.phases[-1].end is None
        pairs = zip(phases.phases, phases.phases[1:], strict=False)
        assert all(before.end == after.begin for before, after in pairs)


def test_exact_pieces_have_exact_slopes():
    level, knots = (0.4, 0.4, 0.1, 0.8, 0.5), (2.5, 5.3, 8.1)
    phases = phases_of(exact(level, knots))
    assert names_of(phases) == NAMES
    runs = np.diff([0, *knots, np.log1p(STEPS[-1])])
    slopes = [phase.slope.value for phase in phases.phases]
    np.testing.assert_allclose(slopes, np.diff(level) / runs, atol=2e-3)


@pytest.mark.parametrize(
    ("level", "knots", "steps", "names"),
    [
        ((0.4, 0.1), (), STEPS, ("sharp convergence",)),
        ((0.4, 0.4, 0.1), (4,), STEPS, ("uniform", "sharp convergence")),
        ((0.1, 0.8, 0.5), (9.5,), 1000 * STEPS[1:], ("sharp divergence", "slow reconvergence")),
        # Which of the two falls this is cannot be seen from here.
        ((0.8, 0.5), (), 1000 * STEPS[1:], ("convergence",)),
        (
            (0.4, 0.1, 0.7, 0.8),
            (4, 7),
            STEPS,
            ("sharp convergence", "sharp divergence", "slow divergence"),
        ),
        ((0.4, 0.1, 0.8, 0.8), (4, 7), STEPS, ("sharp convergence", "sharp divergence", "plateau")),
    ],
)
def test_phases_that_do_not_occur_are_not_named(level, knots, steps, names):
    phases = phases_of(exact(level, knots, steps))
    assert names_of(phases) == names
    assert set(phases.absent) == set(NAMES) - set(names)
    for name, reason in phases.absent.items():
        if name == "uniform" and steps[0] > 1:
            assert "before step 1000" in reason
        if name == "slow reconvergence":
            unseen = f"by step {steps[-1]}" if steps[0] == 0 else "may be the fall that is seen"
            assert unseen in reason


def test_units_and_the_order_of_seeds_change_no_name():
    curve, order = planted(1, 3), [3, 0, 4, 1, 2]
    base, scaled, turned = (
        phases_of(curve._replace(kl=kl))
        for kl in (curve.kl, 7 * curve.kl, curve.kl[:, order][:, :, order])
    )
    assert names_of(scaled) == names_of(base) == names_of(turned)
