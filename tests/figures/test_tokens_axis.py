"""The axis of tokens stands above the right panels, and each of its ticks at the step it is of."""

import numpy as np
import pytest

from dynamics import suite
from dynamics.figures import style, tokens_axis
from dynamics.training import nano

STEPS = [0, 1, 2, 4, 512, 1000, 16_000, 143_000]


def above(figure):
    return [ax for ax in figure.axes if ax.get_xlabel() == "tokens seen"]


@pytest.mark.parametrize("steps", [STEPS, STEPS[4:], [0], [64]])
def test_tokens_stand_at_their_steps(steps):
    figure, ax = style.axes("loss (nats)")
    ax.plot(steps, np.ones(len(steps)))
    style.over_steps(figure, ax, steps)
    tokens_axis.add(figure, 2_097_152)
    figure.draw_without_rendering()
    (top,) = above(figure)
    at = [ax.transData.transform((step, 1))[0] for step in ax.get_xticks()]
    np.testing.assert_allclose([top.transData.transform((t, 0))[0] for t in top.get_xticks()], at)
    assert top.get_window_extent().x0 == pytest.approx(ax.get_window_extent().x0)
    labels = [label.get_text() for label in top.get_xticklabels()]
    named = [tokens_axis.short_tokens(2_097_152 * step) for step in ax.get_xticks()]
    assert labels == named
    assert steps[-1] != 143_000 or labels[-1] == "300B"


def test_of_panels_that_share_their_steps_the_uppermost_has_the_tokens():
    figure = style.sheet((4, 3))
    panels = figure.subplots(3, 1, sharex=True)
    for ax in panels:
        ax.plot(STEPS, STEPS)
        style.dress(ax, "", "training step" if ax is panels[-1] else "")
    style.step_axis(panels[-1], STEPS)
    tokens_axis.add(figure, 1536)
    figure.draw_without_rendering()
    (top,) = above(figure)
    assert top.get_window_extent().y1 == pytest.approx(panels[0].get_window_extent().y1)


def test_other_panels_are_left_as_they_are():
    figure, ax = style.axes("loss (nats)", "parameters")
    ax.plot([1, 2], [1, 2])
    assert not above(tokens_axis.add(figure, 1536))
    figure, ax = style.axes("loss (nats)")
    style.over_steps(figure, ax, STEPS)
    assert not above(tokens_axis.add(figure, None))


def test_suites_know_what_their_models_read():
    assert suite.polypythia().tokens_per_step == suite.pythia().tokens_per_step == 2_097_152
    assert suite.multibert().tokens_per_step == 131_072
    assert nano.suite("nano").tokens_per_step == 12 * 128
