"""Suites name their cells, and unknown names are refused with the known ones."""

import pytest

from dynamics import suite
from dynamics.errors import InputError


def test_pythia_grid():
    pythia = suite.pythia()
    assert len(pythia.steps) == 154
    assert pythia.source("14m", 0, 512) == ("EleutherAI/pythia-14m", "step512")
    assert suite.polypythia().source("14m", 3, 143000) == ("EleutherAI/pythia-14m-seed3", "step143000")
    assert suite.polypythia().source("14m", 0, 0) == ("EleutherAI/pythia-14m", "step0")
    assert set(suite.PYTHIA_LOG_STEPS) <= set(pythia.steps)


@pytest.mark.parametrize(("kind", "wanted"), [("models", ["15m"]), ("seeds", [11]), ("steps", [3])])
def test_unknown_names_list_the_known(kind, wanted):
    with pytest.raises(InputError, match=f"unknown {kind[:-1]} of the suite polypythia") as caught:
        suite.polypythia().select(**{kind: wanted})
    assert "14m" in str(caught.value) or "0" in str(caught.value)


def test_select_keeps_the_suites_order():
    chosen = suite.polypythia().select(models=["31m", "14m"], seeds=[5, 1], steps=[512, 0])
    assert (chosen.models, chosen.seeds, chosen.steps) == (("14m", "31m"), (1, 5), (0, 512))
