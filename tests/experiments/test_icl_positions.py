"""Which token an in-context score is about, and how it is scaled to a model of fewer positions."""

import pytest

from experiments.in_context import Positions

PAPER = Positions(target=500, long=400, short=50)


def test_a_model_of_enough_positions_is_asked_what_the_paper_asks():
    assert PAPER.scaled(2048) == PAPER.scaled(400) == PAPER


@pytest.mark.parametrize("most", [16, 128, 256, 399])
def test_a_smaller_one_keeps_the_proportions(most):
    positions = PAPER.scaled(most)
    assert positions.long == most < positions.target
    assert positions.short / positions.long == pytest.approx(50 / 400, abs=0.5 / most)
    assert positions.target / positions.long == pytest.approx(500 / 400, abs=1 / most)
