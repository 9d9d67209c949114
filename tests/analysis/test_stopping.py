"""When a rule that watches movement stops: false alarms, delay, price. Axes: K checkpoints."""

import numpy as np
import pytest

from dynamics.analysis.stopping import RULE, Rule, cost, find_stop
from dynamics.errors import InputError

STEPS = np.arange(0, 31_000, 1000)
WEIGHTS, GROUPS = 4000, 20


def walk(rates: np.ndarray, rng, steps: np.ndarray = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """Squared displacement over every gap of a diffusion at these rates, and its error."""
    moved = rng.normal(size=(len(rates), WEIGHTS)) * np.sqrt(rates * np.diff(steps))[:, None]
    of_groups = (moved**2).reshape(len(rates), GROUPS, -1).mean(-1)
    return of_groups.mean(1), of_groups.std(1, ddof=1) / GROUPS**0.5


def rates(share: float, at: int = 10) -> np.ndarray:
    """Full speed, and from a gap on a share of it."""
    return np.where(np.arange(len(STEPS) - 1) < at, 1.0, share)


def test_false_alarms_keep_their_rate_under_the_stated_null():
    """The worst case: a rate that stays at the very share under which it would count as none."""
    rng = np.random.default_rng(0)
    alarms = [find_stop(STEPS, *walk(rates(RULE.share), rng)).step for _ in range(100)]
    assert np.mean([step is not None for step in alarms]) <= RULE.level


def test_no_alarm_while_weights_diffuse():
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert find_stop(STEPS, *walk(rates(1.0), rng)).step is None


@pytest.mark.parametrize("share", [0.0, 0.03, 0.08])
def test_the_delay_is_the_gaps_that_are_held(share):
    rng = np.random.default_rng(2)
    for _ in range(10):
        stop = find_stop(STEPS, *walk(rates(share), rng))
        assert stop.since == STEPS[10]
        assert stop.step == STEPS[10 + RULE.hold]


def test_uneven_gaps_are_judged_by_their_rate():
    steps = np.r_[0, 2 ** np.arange(12)]
    rng, rule = np.random.default_rng(3), Rule(share=0.5)
    even = np.ones(len(steps) - 1)
    assert find_stop(steps, *walk(even, rng, steps), rule).step is None
    velocity = np.diff(steps) ** 2.0  # drift at a steady pace
    error = 0.01 * velocity
    assert find_stop(steps, velocity, error, Rule(share=0.5, exponent=2)).step is None


def test_weights_that_never_move_raise_no_alarm():
    nothing = np.zeros(len(STEPS) - 1)
    assert find_stop(STEPS, nothing, nothing).step is None


@pytest.mark.parametrize("field", [0, 1])
def test_gaps_of_which_nothing_is_known_raise_no_alarm(field):
    known = np.array([[1.0, 4.0, 4.0, 0.1, 0.1, 4.0, 0.1, 0.1], [0.01] * 8])
    assert find_stop(np.arange(9), *known).step == 5
    known[field, 3:5] = np.nan
    stop = find_stop(np.arange(9), *known)
    assert stop.step == 8  # what comes later is judged as before
    assert np.isnan(stop.rate[3:5]).all() == (field == 0)


def test_obeying_costs_the_loss_at_the_stop():
    stop = find_stop(STEPS, *walk(rates(0.0), np.random.default_rng(0)))
    excess = np.linspace(3, 0, len(STEPS))
    price = cost(STEPS, excess, np.full(len(STEPS), 0.1), stop)
    assert price is not None
    assert price.steps_saved == 18_000
    assert price.share_saved == pytest.approx(0.6)
    assert price.loss == pytest.approx(1.8)
    assert price.loss_sem == 0.1
    assert cost(STEPS, excess, excess, find_stop(STEPS, np.ones(30), np.ones(30))) is None


@pytest.mark.parametrize(
    ("squared", "steps"), [(np.ones(3), STEPS), (-np.ones(30), STEPS), (np.ones(2), [0, 2, 2])]
)
def test_bad_displacements_are_refused(squared, steps):
    with pytest.raises(InputError):
        find_stop(steps, squared, np.zeros(len(squared)))
