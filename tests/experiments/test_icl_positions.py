"""Which token a score of in-context learning is about, and what a model of fewer positions makes of
it."""

import pytest

from experiments.in_context import Positions

PAPER = Positions(target=500, long=400, short=50)


def test_a_model_of_enough_positions_is_asked_what_the_paper_asks():
    assert PAPER.scaled(2048) == PAPER.scaled(400) == PAPER


@pytest.mark.parametrize("most", [16, 128, 256, 399])
def test_a_smaller_one_keeps_the_proportions(most):
    found = PAPER.scaled(most)
    assert found.long == most < found.target
    assert found.short / found.long == pytest.approx(50 / 400, abs=0.5 / most)
    assert found.target / found.long == pytest.approx(500 / 400, abs=1 / most)
