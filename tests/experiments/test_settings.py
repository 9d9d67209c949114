"""Settings that decide a number are part of its configuration, and none is changed in silence."""

from types import SimpleNamespace

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics.data.windows import Windows
from dynamics.errors import InputError
from experiments import common, curvature, llc, sampler_flags

FLAGS = flags.FLAGS
CURVATURE = {
    "lanczos": "recurrence",
    "lanczos_steps": 17,
    "hessian_windows": 7,
    "hessian_probes": 15,
    "eigenvalues": 2,
    "density_probes": 3,
    "hessian_parts": "heads",
    "block": ["layers.0"],
}
LLC = {
    "sampler": "rmsprop",
    "step_size": 1e-6,
    "nbeta": 3.0,
    "localization": 7.0,
    "chains": 5,
    "draws": 177,
    "burn_in": 33,
    "thinning": 2,
    "llc_batch": 3,
    "baseline": "fresh_batch",
    "llc_windows": 99,
    "parts": ["layers.0"],
    "sensitivity": True,
    "common_noise": False,
    "pull_exponent": False,
    "target_error": 0.1,
    "error_floor": 1.0,
    "reference_probes": 2,
    "reference_matvecs": 5,
    "reference_windows": 3,
}


@pytest.fixture(autouse=True)
def parsed():
    if not FLAGS.is_parsed():
        FLAGS(["test"])
    with flagsaver.flagsaver():
        yield


def study(windows: int = 20, reads: str = "text"):
    """As much of a study as a configuration needs."""
    return SimpleNamespace(
        suite=SimpleNamespace(seeds=(0, 1), steps=(0, 8), reads=reads),
        regression=None,
        text_config=dict,
        single_units=lambda measure, seeds: [],
        train_windows=Windows(np.zeros((windows, 4), np.int32), np.zeros(windows, np.int64)),
    )


def config(script, name: str, value) -> dict:
    with flagsaver.flagsaver(**{name: value}):
        (experiment,) = script.experiments(study())
        return dict(experiment.config)


@pytest.mark.parametrize(("name", "value"), CURVATURE.items())
def test_every_setting_of_the_curvature_is_in_its_configuration(name, value):
    assert config(curvature, name, value) != config(curvature, name, FLAGS[name].value)


@pytest.mark.parametrize(("suite", "count"), [("nano", 2), ("smoke", 2), ("polypythia", 1)])
def test_all_seeds_of_a_suite_trained_here_are_taken_and_one_of_another(suite, count):
    with flagsaver.flagsaver(suite=suite):
        assert len(common.single_seeds(study(), None)) == count
        assert common.single_seeds(study(), 1) == (0,)
        assert common.single_seeds(study(), 0) == (0, 1)


def test_all_seeds_of_a_suite_that_reads_contexts_are_taken():
    with flagsaver.flagsaver(suite="icl.toml"):
        assert common.single_seeds(study(reads="contexts"), None) == (0, 1)
        assert common.single_seeds(study(), None) == (0,)


@pytest.mark.parametrize(("name", "value"), LLC.items())
def test_every_setting_of_the_llc_is_in_its_configuration(name, value):
    assert config(llc, name, value) != config(llc, name, FLAGS[name].value)


@pytest.mark.parametrize("windows", [2, 5, 10, 19, 21, 50, 511])
def test_windows_beyond_the_text_are_refused_where_they_were_asked_for(windows):
    with flagsaver.as_parsed(llc_windows=str(windows + 1)):
        with pytest.raises(
            InputError, match=rf"--llc_windows={windows + 1}.*the {windows} windows"
        ):
            sampler_flags.data(study(windows))
        assert sampler_flags.data(study(windows + 1)).shape == (windows + 1, 4)


def test_the_default_of_windows_beyond_the_text_is_said_once(caplog):
    assert sampler_flags.data(study(3)).shape == (3, 4)
    assert sampler_flags.data(study(3)).shape == (3, 4)
    (line,) = caplog.messages
    assert line.startswith("--llc_windows=512: all of the 3 windows of 128 tokens")
