"""--suggest: a setting per model that is found once, and taken by every script that runs chains."""

import dataclasses

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import results
from dynamics.errors import InputError
from dynamics.questions.llc.record_settings import MEASURE, Settings, to_dataset
from dynamics.study import Study
from dynamics.suite import folder_tree
from experiments import calibration, llc, llc_settings

SETTING = Settings(
    step_size=2e-4,
    nbeta=50.0,
    localization=7.0,
    num_draws=300,
    burn_in=90,
    thinning=2,
    foretold_exponent=-0.4,
    measured_exponent=-0.45,
    sentence="Planted.",
)


@pytest.fixture
def study(tmp_path):
    grid = folder_tree("toy", tmp_path, ["toy"], [0, 1], [0, 8, 32])
    with flagsaver.flagsaver():
        flags.FLAGS(["test", "--suggest"])
        yield Study(suite=grid, store=results.Store(tmp_path / "out"))


@pytest.fixture
def suggested(monkeypatch):
    """Plants a setting; the list of units that it was asked for."""
    asked = []

    def planted(setting):
        def suggest(study, unit):
            asked.append(unit)
            return to_dataset(setting), []

        monkeypatch.setattr(llc_settings, "suggested", suggest)
        return asked

    return planted


def test_one_setting_serves_chains_and_grids_and_is_found_once(study, suggested):
    asked = suggested(SETTING)
    (estimates,) = llc.experiments(study)
    assert estimates.config["suggested"]["toy"] == dataclasses.asdict(SETTING)
    (calibrated,) = calibration.experiments(study)
    grid = calibrated.config["suggested"]["toy"]
    np.testing.assert_allclose(grid["step_size"], 2e-4 * np.array([0.25, 1, 4, 16]))
    np.testing.assert_allclose(grid["localization"], [0.7, 7, 70])
    sampler = llc_settings.sampler(study, "toy")
    assert (sampler.nbeta, sampler.burn_in, sampler.thinning) == (50, 90, 2)
    assert [(unit.measure, unit.model) for unit in asked] == [(MEASURE, "toy")]


def test_where_none_serves_it_is_one_sentence(study, suggested):
    suggested(Settings(measured_exponent=np.nan, sentence="No setting serves. Too flat."))
    for script in (llc, calibration):
        with pytest.raises(InputError, match=r"Too flat\..*--most_steps"):
            script.experiments(study)
