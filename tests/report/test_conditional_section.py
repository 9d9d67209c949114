"""The page's section on properties of tokens, from committed data sets."""

import made_contexts
import numpy as np
import pytest

from dynamics.analysis.properties import properties
from dynamics.figures import style
from dynamics.report import conditional


@pytest.fixture(scope="module")
def found():
    return properties(*made_contexts.committed(made_contexts.text()))


def test_a_panel_for_every_property_and_coefficient(found):
    section = conditional.section(found, style.Look(["toy-8", "toy-32"]))
    names = [panel.name for panel in section.panels]
    assert "by-frequency-predicted-token" in names
    assert "by-final-surprisal-predicted-token" in names
    assert "by-final-surprisal-last-context-token" in names
    assert names[-2:] == ["regression-frequency", "regression-size"]
    for panel in section.panels:
        assert "nan" not in panel.caption
        for ax in panel.draw().axes:
            assert ax.get_ylabel()
            assert all(np.isfinite(line.get_ydata()).all() for line in ax.lines)


def test_the_table_shows_tokens_of_the_largest_model(found):
    section = conditional.section(found, style.Look(["toy-8", "toy-32"]))
    groups = [row["toy-32, step 64"] for row in section.rows]
    assert groups == ["most divergent"] * 8 + ["middle"] * 8 + ["least divergent"] * 8
    assert all(row["token"] in row["in context"] for row in section.rows)


def test_stores_without_either_measure_have_no_section():
    convergence, text = made_contexts.committed(made_contexts.text())
    assert properties(convergence, []) is None
    assert properties([], text) is None
    old = [(unit, data.drop_vars("surprisal_token")) for unit, data in convergence]
    assert properties(old, text) is None
