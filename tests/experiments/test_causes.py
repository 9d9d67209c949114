"""A suite that crosses initialisations with data orders: what its runs share, and its page."""

import job
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import results
from dynamics.errors import InputError
from dynamics.study import Study
from dynamics.suite import folder_tree
from experiments import causes

SMOKE = ("--suite=smoke-causes", "--steps=0,16", "--cause_windows=8")


@pytest.mark.long
def test_runs_of_one_initialisation_part_by_their_data_alone_and_are_shown(cache, tmp_path):
    code, _, stderr = job.run("causes", *SMOKE, cache=cache, out=tmp_path)
    assert code == 0, stderr
    start, end = (
        data for name, data in sorted(job.numbers(tmp_path).items(), key=lambda pair: len(pair[0]))
    )
    np.testing.assert_array_equal(start["init"], np.repeat(range(3), 3))
    np.testing.assert_array_equal(start["data_order"], np.tile(range(3), 3))
    same_init = start["init"].values[:, None] == start["init"].values
    kl = start["kl"].values.mean(-1)
    assert (kl[same_init] == 0).all()  # nothing is trained yet
    # Pythia's initialisation, whatever the vocabulary.
    assert kl[~same_init].mean() == pytest.approx(0.4, abs=0.06)
    assert (end["kl"].values.mean(-1)[same_init & ~np.eye(9, dtype=bool)] > 0).all()
    assert job.run("report", "--suite=smoke-causes", cache=cache, out=tmp_path)[0] == 0
    data = tmp_path / "report" / "data"
    assert {path.stem for path in data.glob("*.csv")} >= {"causes-shares", "causes-loss"}
    code, _, stderr = job.run("convergence", *SMOKE[:1], cache=cache, out=tmp_path)
    assert code == 1
    assert "seeds whose pairs are all of one kind" in stderr


def test_seeds_that_share_nothing_have_no_causes(tmp_path):
    grid = folder_tree("toy", tmp_path, ["toy"], [0, 1], [0, 8])
    study = Study(suite=grid, store=results.Store(tmp_path))
    with flagsaver.flagsaver():
        flags.FLAGS(["test"])
        with pytest.raises(InputError, match="such as nano-causes"):
            causes.experiments(study)
