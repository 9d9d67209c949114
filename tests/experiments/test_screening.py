"""What is left out before measuring is said where it is lost."""

import pytest

from dynamics.suite import Cell, folder_tree
from experiments import screening

STEPS = range(12)


@pytest.mark.parametrize("seeds", [[0], [0, 1], [0, 1, 2]])
def test_steps_that_a_seed_takes_from_all_are_counted(tmp_path, seeds):
    grid = folder_tree("mine", tmp_path, ["small", "large"], seeds, STEPS)
    grid = grid.without([Cell("small", 0, step) for step in (3, 4, 5)])
    lines = screening._lost_comparisons(grid)
    if len(seeds) == 1:
        assert lines == []  # nothing is compared
    else:
        (line,) = lines
        assert line.startswith("small: seeds are compared at 9 of 12 steps, since seed 0 lacks")


def test_where_every_seed_has_every_step_nothing_is_said(tmp_path):
    grid = folder_tree("mine", tmp_path, ["small"], [0, 1], STEPS)
    assert screening._lost_comparisons(grid) == []
