"""Paths of single weights on disk: what is written, refused and left out.

Axes: K checkpoints, N weights.
"""

import functools
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from dynamics.checkpoints import trajectories
from dynamics.checkpoints.formats import TensorFolder
from dynamics.errors import InputError

NAME = "embed_out.weight"
SHAPE = (30, 8)


def matrix(step: int, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(step).normal(size=shape).astype(np.float32)


def checkpoints(root: Path, tensors: dict[int, np.ndarray], name: str = NAME) -> list:
    """(step, what opens its tensors) of a folder for each step."""
    for step, values in tensors.items():
        folder = root / f"step{step}"
        folder.mkdir(parents=True)
        safetensors.numpy.save_file({name: values}, folder / "model.safetensors")
    return [(step, functools.partial(TensorFolder, root / f"step{step}")) for step in tensors]


@pytest.fixture
def run(tmp_path) -> list:
    return checkpoints(tmp_path, {step: matrix(step) for step in (0, 1, 8)})


def test_all_weights_are_the_tensor_at_every_step(tmp_path, run):
    paths = trajectories.stack(tmp_path / "all", NAME, run, num_weights=None)
    assert isinstance(paths.weights, np.memmap)
    assert paths.steps.tolist() == [0, 1, 8]
    for row, step in zip(paths.weights, (0, 1, 8), strict=True):
        np.testing.assert_array_equal(row.reshape(SHAPE), matrix(step))


def test_a_sample_is_the_same_weights_at_every_step_and_in_every_process(tmp_path, run):
    paths = trajectories.stack(tmp_path / "a", NAME, run, num_weights=50, seed=3)
    assert paths.weights.shape == (3, 50)
    assert len(np.unique(paths.places)) == 50
    for row, step in zip(paths.weights, (0, 1, 8), strict=True):
        np.testing.assert_array_equal(row, matrix(step).ravel()[paths.places])
    again = trajectories.stack(tmp_path / "b", NAME, run, num_weights=50, seed=3)
    np.testing.assert_array_equal(again.weights, paths.weights)
    other = trajectories.stack(tmp_path / "c", NAME, run, num_weights=50, seed=4)
    assert (other.places != paths.places).any()
    np.testing.assert_array_equal(trajectories.read(tmp_path / "a").weights, paths.weights)


def test_a_vector_added_to_every_row_is_centred_away(tmp_path):
    gauge = matrix(5, SHAPE[1:])
    moved = {step: matrix(0) + step * gauge for step in (0, 1, 2)}
    run = checkpoints(tmp_path, moved)
    paths = trajectories.stack(tmp_path / "all", NAME, run, num_weights=None, centred=True)
    assert np.abs(np.diff(paths.weights, axis=0)).max() > 0.1
    assert np.abs(np.diff(paths.centred, axis=0)).max() < 1e-5
    assert trajectories.stack(tmp_path / "raw", NAME, run).centred is None


def test_every_checkpoint_is_handed_on_whole(tmp_path, run):
    seen = []
    trajectories.stack(tmp_path / "all", NAME, run, num_weights=5, each=seen.append)
    np.testing.assert_array_equal(seen, [matrix(step) for step in (0, 1, 8)])


def test_a_duplicate_is_named_and_left_out_of_differences(tmp_path):
    run = checkpoints(
        tmp_path, {0: matrix(0), 1: matrix(0), 2: matrix(9), 4: matrix(4), 9: matrix(9)}
    )
    paths = trajectories.stack(tmp_path / "all", NAME, run)
    assert paths.repeats == {1: 0, 2: 9}  # warm-up begins at rate 0; step 2 serves the last weights
    assert paths.steps[paths.rows].tolist() == [0, 4, 9]


def test_half_precision_is_widened_exactly(tmp_path):
    values = matrix(0).astype(ml_dtypes.bfloat16)
    run = checkpoints(tmp_path, {0: values})
    paths = trajectories.stack(tmp_path / "all", NAME, run, num_weights=None)
    np.testing.assert_array_equal(paths.weights[0], values.astype(np.float32).ravel())


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_weights_that_are_all_equal_are_paths_too(tmp_path, level):
    run = checkpoints(tmp_path, {0: np.full((3, 2), level, np.float32)})
    assert (trajectories.stack(tmp_path / "all", NAME, run).weights == level).all()


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (matrix(1, (30, 9)), [r"\(30, 9\)", "at step 8", r"\(30, 8\), as at step 0", "--steps"]),
        (np.full(SHAPE, np.nan, np.float32), ["240 of 240", "not finite", "at step 8"]),
        (np.ones(SHAPE, np.int32), ["int32", "floating-point", "at step 8"]),
    ],
    ids=["shape", "NaN", "integers"],
)
def test_a_faulty_checkpoint_is_named_and_nothing_is_left(tmp_path, second, words):
    run = checkpoints(tmp_path, {0: matrix(0), 8: second})
    with pytest.raises(InputError) as error:
        trajectories.stack(tmp_path / "paths" / "all", NAME, run)
    for word in words:
        assert error.match(word)
    assert not list((tmp_path / "paths").iterdir())


def test_an_older_stack_stays_where_a_new_one_fails(tmp_path, run):
    folder = tmp_path / "all"
    trajectories.stack(folder, NAME, run)
    with pytest.raises(InputError, match="Did you mean"):
        trajectories.stack(folder, "embed_oot.weight", run)
    assert trajectories.read(folder).steps.tolist() == [0, 1, 8]


def test_what_is_no_stack_is_refused(tmp_path, run):
    folder = tmp_path / "all"
    trajectories.stack(folder, NAME, run)
    (folder / "about.json").write_text("[]")
    with pytest.raises(InputError, match="stack the checkpoints again"):
        trajectories.read(folder)
    with pytest.raises(InputError, match="ascending"):
        trajectories.stack(folder, NAME, run[::-1])
    with pytest.raises(InputError, match="one or more"):
        trajectories.stack(folder, NAME, [])


def test_memory_does_not_grow_with_the_number_of_checkpoints(tmp_path):
    shape = (2000, 200)
    (tensor,) = checkpoints(tmp_path, {0: matrix(0, shape)})

    def peak(count: int) -> int:
        run = [(step, tensor[1]) for step in range(count)]
        tracemalloc.start()
        trajectories.stack(tmp_path / "all", NAME, run, num_weights=None)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    few, many = peak(2), peak(12)
    assert many < 1.1 * few + 2**16
    assert few < 5 * 4 * np.prod(shape)  # a few copies of one tensor
