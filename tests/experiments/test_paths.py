"""The paths of a trained suite, as a user asks for them."""

import job
import numpy as np
import pytest

from dynamics.checkpoints import trajectories
from dynamics.questions.paths import record
from dynamics.results import Store

pytestmark = pytest.mark.long
FLAGS = (
    *job.SMALL[:1], "--models=smoke-16", "--seeds=0", "--context=64", "--loss_windows=8",
    "--tensors=embed_out|mlp.dense_h_to_4h.bias", "--sampled_weights=200", "--rank_draws=2",
)  # fmt: skip


def test_matrices_and_vectors_of_a_run_are_followed(cache, tmp_path):
    code, _, stderr = job.run("paths", *FLAGS, cache=cache, out=tmp_path)
    assert code == 0, stderr
    ((unit, data),) = Store(tmp_path).committed(record.MEASURE)
    paths = record.from_dataset(data)
    assert paths.tensors[:2] == ("embed_out.weight", "embed_out.weight, centred")
    assert all(name.endswith("bias") for name in paths.tensors[2:])
    assert paths.repeats == {1: 0}  # the warm-up starts at rate 0
    assert np.isfinite(paths.loss.value).all()
    assert paths.loss.value[-1] < paths.loss.value[0]
    assert paths.loss.excess[-1] == 0
    assert np.isnan(paths.rank.stable[2:]).all()
    assert np.isfinite(paths.rank.stable[:2]).all()
    # A bias starts at zero, all weights equal: no kurtosis, and no exponent of its variance yet.
    assert np.isnan(paths.spread.excess_kurtosis[2:, 0]).all()
    stack = trajectories.read(tmp_path / "trajectories" / unit.model / "seed0" / "embed_out.weight")
    moved = ((stack.weights[-1] - stack.weights[0]) ** 2).mean()
    from_first = paths.movement.value[0, record.KINDS.index("from_first"), len(paths.steps) - 1]
    assert from_first == pytest.approx(moved, rel=1e-5)
    code, _, stderr = job.run("report", FLAGS[0], cache=cache, out=tmp_path)
    assert code == 0, stderr
    assert (tmp_path / "report" / "paths.html").exists()
