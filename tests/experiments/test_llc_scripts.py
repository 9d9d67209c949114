"""Calibration, sweeps and refined estimates as a user launches them, on the smallest suite."""

import json

import job
import numpy as np
import pytest

from dynamics.questions import Committed, calibration, llc_sweeps
from dynamics.results import Store

pytestmark = pytest.mark.long

ONE = ("--suite=smoke", "--steps=0,8,32", "--models=smoke-16", "--windows=24", "--context=64")
CHAINS = (*ONE, "--llc_seeds=1", "--draws=20", "--burn_in=5", "--llc_windows=32")


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    """(cache, out) of a suite whose sampler was calibrated on a small grid."""
    out = tmp_path_factory.mktemp("out")
    flags = ("--calibrate", "--step_sizes=1e-5,1e-1", "--nbetas=100,1000", "--localizations=300")
    code, _, stderr = job.run("llc", *CHAINS, *flags, cache=cache, out=out)
    assert code == 0, stderr
    return cache, out


def test_calibration_samples_what_is_stable_and_names_what_is_not(trained):
    (calibrated,) = calibration.find(Committed(Store(trained[1])))
    grid = calibrated.grid
    assert list(grid.steps) == [8, 32]  # step 0 has no basin
    beyond = grid.step_curvature >= 4
    assert beyond.any()
    np.testing.assert_array_equal(grid.failure == "unstable", beyond)
    np.testing.assert_array_equal(np.isnan(grid.llc), beyond)
    a = grid.nbetas[None, :] * grid.top_eigenvalue[:, None] + 300
    np.testing.assert_allclose(grid.step_curvature[:, 0, :, 0], 1e-5 * a, rtol=1e-5)
    assert calibrated.recommendation.setting.step_size == 1e-5


def test_sweeps(trained):
    cache, out = trained
    flags = ("--data_sizes=8,32", "--batch_sizes=2,4")
    code, _, stderr = job.run("llc_sweeps", *CHAINS, *flags, cache=cache, out=out)
    assert code == 0, stderr
    (sweeps,) = llc_sweeps.find(Committed(Store(out)))
    # One setting, seen four ways with one key: the flags' own batch, data set, noise and loss.
    plain = sweeps.data_size.llc[:, -1]
    np.testing.assert_allclose(sweeps.own_batch.llc[:, 0], plain, rtol=1e-5)
    np.testing.assert_allclose(sweeps.noise.common.value[1:], plain, rtol=1e-5)
    np.testing.assert_allclose(sweeps.by_loss.llc[:, -1], plain, rtol=1e-5)
    assert not np.allclose(sweeps.noise.own.value, sweeps.noise.common.value, rtol=0.01)


def test_a_head_with_its_sensitivity(trained, tmp_path):
    flags = (
        "--parts=layers.0.attention.heads.1",
        "--sensitivity",
        "--sampler=rmsprop",
        "--steps=32",
        "--llc_key=3",
        "--repeats=3",
    )
    code, _, stderr = job.run("llc", *CHAINS, *flags, cache=trained[0], out=tmp_path)
    assert code == 0, stderr
    ((_, data),) = Store(tmp_path).committed("llc")
    assert 0 < int(data.num_free) < 3000
    assert np.isfinite([data.step_effect, data.pull_effect]).all()
    estimates = {float(data.llc), *data.repeat_llc.values.tolist()}
    assert len(estimates) == 3  # each repeat has noise and batches of its own
    assert json.loads(data.attrs["config"])["llc_key"] == 3


@pytest.mark.parametrize(
    ("script", "flags", "words"),
    [
        ("llc", ["--parts=layers.0.atention"], ["layers.0.atention", "Did you mean"]),
        ("llc", ["--calibrate", "--step_sizes=1e-5,ten"], ["--step_sizes=ten", "a number from"]),
        ("llc", ["--preset=icl-regression", "--sampler=adam"], ["--sampler=adam", "sgld"]),
        ("llc", ["--preset=icl-regression"], ["batch_size=1024", "32 data items"]),
        ("llc", ["--calibrate", "--steps=0"], ["a checkpoint after step 0"]),
        ("llc_sweeps", ["--batch_sizes=64"], ["--batch_sizes=64", "--llc_windows=32"]),
        ("llc_sweeps", ["--data_sizes=1,32"], ["--data_sizes=1", "--llc_batch=2"]),
    ],
)
def test_one_line_and_a_mend(trained, tmp_path, script, flags, words):
    code, _, stderr = job.run(script, *CHAINS, *flags, cache=trained[0], out=tmp_path)
    assert code == 1
    message = stderr.strip().splitlines()[-1]
    assert message.startswith("error: ")
    for word in words:
        assert word in message
