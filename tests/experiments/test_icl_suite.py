"""Experiments of losses and landscapes take a suite of in-context regression as they take text."""

import dataclasses
import sys

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import results, suite
from dynamics.data import contexts
from dynamics.errors import InputError
from dynamics.models import icl_regression as model
from dynamics.questions import Committed, seed_predictions
from dynamics.questions import calibration as calibrations
from dynamics.questions import curvature as curvatures
from dynamics.questions import llc as llcs
from dynamics.questions import llc_sweeps as sweeps
from dynamics.study import Study
from dynamics.training import icl_recipe, icl_regression
from experiments import (
    calibration,
    common,
    convergence,
    curvature,
    development,
    in_context,
    llc,
    llc_sweeps,
    weights,
)

pytestmark = pytest.mark.long

CONFIG = model.Config(
    hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8, task_size=2, num_pairs=3
)
RECIPE = icl_recipe.Recipe(
    name="tiny", config=CONFIG, num_steps=30, num_seeds=2, batch_size=16, checkpoints=(0, 10, 30)
)
SMALL = {
    "draws": 12, "burn_in": 4, "llc_windows": 32, "llc_batch": 2, "hessian_windows": 4,
    "hessian_probes": 4,
    "lanczos_steps": 4, "hessian_batches": 2, "step_sizes": [1e-5], "nbetas": [100.0],
    "localizations": [300.0], "data_sizes": [8, 32], "batch_sizes": [2, 4], "sweep_at": 1,
    "development_contexts": 64,
    # The main job has defaults of its own, for every script of a process that imports it.
    "llc_every": 1, "llc_from": 0, "llc_seeds": None, "curvature_seeds": None,
    "reference_probes": 2, "reference_matvecs": 4, "pictures": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("icl")
    icl_regression.train(RECIPE, folder / "run")
    flags.FLAGS(sys.argv[:1])
    return Study(
        suite=suite.read(folder / "run" / "suite.toml"), store=results.Store(folder / "out")
    )


def run_script(script, study: Study):
    for experiment in script.experiments(study):
        common.run(study, experiment)


def test_scripts_of_landscapes_run_on_it(study):
    with flagsaver.flagsaver(**SMALL):
        for script in (llc, calibration, llc_sweeps, curvature, weights, development, convergence):
            run_script(script, study)
    committed = Committed(study.store)
    (estimates,) = llcs.find(committed)
    assert len(estimates.runs) == 2
    for run in estimates.runs:
        np.testing.assert_array_equal(run.llc.steps, [0, 10, 30])
        assert np.isfinite(run.llc.value).all()
    for _, data in study.store.committed("llc"):
        assert float(data.trivial_loss) == 2.125  # Var y = X + noise
    for question in (calibrations, curvatures, sweeps):
        assert question.find(committed)
    assert len(list(study.store.committed("weights"))) == 6
    (seeds,) = seed_predictions.find(committed)
    assert seeds.seeds == (0, 1)
    assert (seeds.seed_kl.value > 0).all()


def test_questions_of_text_refuse_it(study):
    with pytest.raises(InputError, match="whose models read numbers; expected models of text"):
        study.corpus  # noqa: B018
    with pytest.raises(InputError, match="whose models read numbers"):
        run_script(in_context, study)


def test_a_finite_set_of_tasks_has_its_own_prior(tmp_path):
    """What is measured on, what predicting 0 loses and the mean task are those of the set."""
    recipe = dataclasses.replace(RECIPE, num_tasks=2, num_steps=1, num_seeds=1, checkpoints=(0,))
    icl_regression.train(recipe, tmp_path / "run")
    few = Study(
        suite=suite.read(tmp_path / "run" / "suite.toml"), store=results.Store(tmp_path / "out")
    )
    assert few.suite.num_tasks == 2
    with flagsaver.flagsaver(**SMALL):
        run_script(development, few)
    ((_, data),) = few.store.committed("development")
    tasks = np.asarray(contexts.task_set(0, 2, CONFIG.task_size))
    assert float(data.trivial_loss) == pytest.approx(0.125 + np.square(tasks).sum(1).mean())
    assert float(data.from_prior) != float(data.mean_square)
    fresh = dataclasses.replace(few, suite=dataclasses.replace(few.suite, num_tasks=None))
    assert few.corpus_fingerprint != fresh.corpus_fingerprint
    y = contexts.targets_of(few.evaluation_windows.tokens)
    assert np.square(y).mean() == pytest.approx(float(data.trivial_loss), rel=0.05)
