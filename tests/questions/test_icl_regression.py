"""Boundaries of planted curves, in both times, and their meetings against chance."""

import numpy as np
from test_every_room import icl_regression as made

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions import Committed, icl_regression
from dynamics.questions.icl_regression import findings
from dynamics.questions.stages.findings import run_stages


def curve(steps: np.ndarray, value: np.ndarray) -> Curve:
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(steps))
    return Curve.with_sem("toy", steps, value + noise, np.full(len(steps), 0.01), "")


def test_a_turn_in_linear_time_is_found_over_the_step():
    """A tent over the step itself turns at its top; over its logarithm it turns there as well."""
    steps = np.linspace(0, 10_000, 80).round()
    found = findings.quantity("made up", curve(steps, -np.abs(steps - 6000) / 1000))
    (turn,) = [b for b in found.over_steps if b.kind == "peak"]
    assert turn.low <= 6000 <= turn.high
    assert turn.high - turn.low < 1000
    assert found.ours is not None
    assert [b.kind for b in found.ours.boundaries if b.low <= 6000 <= b.high] == ["peak"]


def test_seeds_that_turn_together_meet_and_others_do_not():
    steps = np.geomspace(20, 100_000, 60).round()
    x = np.log1p(steps)
    together, apart = (
        [run_stages("toy", k, "LLC", curve(steps, -np.abs(x - top))) for k, top in enumerate(tops)]
        for tops in ((7.0, 7.0), (6.0, 9.0))
    )
    for runs, inside in ((together, 1), (apart, 0)):
        meetings = list(findings._over_seeds(runs))
        assert [(m.inside, m.of) for m in meetings] == [(inside, 1)] * 2
        assert all((m.chance < 0.1) == bool(inside) for m in meetings)


def test_the_page_says_what_is_not_local_and_why_nothing_was_searched():
    pictures = icl_regression.find(Committed(made()))
    assert pictures is not None
    first = pictures[0]
    assert [one.label for one in first.quantities] == [
        "test loss", "LLC", "weight norm", "Hessian trace",
    ]  # fmt: skip
    loss, llc = first.quantities[:2]
    assert loss.ours is None  # four checkpoints are too few
    assert "finite" in loss.refusal
    assert not llc.trusted.all()
    page = icl_regression.QUESTION.section(pictures, style.Look([p.model for p in pictures]))
    assert f"{llc.trusted.sum()} of {len(llc.trusted)} LLCs" in page.panels[0].caption
    assert "LLC: " in page.findings[1].sentence


def test_without_behaviour_there_is_no_picture():
    measures = made()
    assert icl_regression.find(Committed({k: measures[k] for k in ("llc", "curvature")})) is None
