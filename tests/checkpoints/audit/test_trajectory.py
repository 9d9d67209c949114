"""A run's checkpoints lie on one path: planted strangers are found, real paths pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics.checkpoints.audit import check_trajectory
from dynamics.checkpoints.audit.trajectory import matrices
from dynamics.errors import InputError
from dynamics.suite import Cell

STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


def path(
    seed: int = 0, drift: float = 1.0, noise: float = 1.0
) -> dict[Cell, dict[str, np.ndarray]]:
    """Weights that drift and diffuse from a random start, as an optimiser's do."""
    rng = np.random.default_rng(seed)
    start, direction = rng.normal(0, 0.1, (40, 50)), rng.normal(0, 1e-4, (40, 50))
    weights, run = start.copy(), {}
    for previous, step in zip((0, *STEPS), STEPS, strict=False):
        taken = step - previous
        weights = (
            weights
            + drift * direction * taken
            + noise * 1e-3 * taken**0.5 * rng.normal(size=start.shape)
        )
        run[Cell("m", 0, step)] = {"w": weights}
    return run


def kinds(run) -> dict[int, str]:
    return {f.cell.step: f.kind for f in check_trajectory(list(run), run.__getitem__)}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(1, 0), (0, 1), (1, 1), (0, 0), (3, 0.3)]))
def test_an_optimisers_path_passes(seed, shape):
    assert kinds(path(seed, *shape)) == {}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_uncorrelated_noise_around_a_mean_passes(seed):
    """Late in training a path may only rattle: distances do not grow with the gap."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(0, 0.1, 2000)
    assert (
        kinds(
            {
                Cell("m", 0, step): {"w": mean + rng.normal(0, 0.05, 2000)}
                for step in range(1000, 9000, 1000)
            }
        )
        == {}
    )


@pytest.mark.parametrize("step", STEPS[2:-1])
def test_a_checkpoint_of_another_run_is_a_detour(step):
    run = path(drift=0.5)
    run[Cell("m", 0, step)] = path(seed=1)[Cell("m", 0, step)]
    assert kinds(run) == {step: "detour"}


def test_a_checkpoint_from_the_end_is_a_detour():
    run = path(drift=3)
    run[Cell("m", 0, 64)] = run[Cell("m", 0, 1000)]
    assert kinds(run)[64] == "detour"


def test_a_last_checkpoint_near_the_start_jumps_back():
    run = path()
    run[Cell("m", 0, 1000)] = run[Cell("m", 0, 8)]
    assert kinds(run) == {1000: "jump back"}


def test_a_run_that_does_not_descend_from_its_start():
    run = path()
    run[Cell("m", 0, 0)] = path(seed=1)[Cell("m", 0, 0)]
    assert kinds(run) == {0: "foreign start"}


def test_what_cannot_be_read_or_is_not_finite_is_told_and_the_rest_still_judged():
    run = path()
    run[Cell("m", 0, 16)] = path(seed=1)[Cell("m", 0, 16)]
    broken = {"w": run[Cell("m", 0, 128)]["w"].copy()}
    broken["w"][3, 5] = np.nan
    run[Cell("m", 0, 128)] = broken

    def read(cell):
        if cell.step == 512:
            raise InputError("a cut file")
        return run[cell]

    assert {f.cell.step: f.kind for f in check_trajectory(list(run), read)} == {
        16: "detour",
        128: "non-finite",
        512: "unreadable",
    }


def test_tensors_of_other_sizes_are_told():
    run = path()
    run[Cell("m", 0, 16)] = {"w": np.zeros((40, 51))}
    run[Cell("m", 0, 64)] = {"v": np.zeros((40, 50))}
    run[Cell("m", 0, 256)] = {"w": np.full((40, 50), 1e300)}
    assert kinds(run) == {16: "unreadable", 64: "unreadable", 256: "non-finite"}


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool"])
def test_integers_are_no_weights(dtype):
    run = path()
    run[Cell("m", 0, 16)] = {"w": np.ones((40, 50), dtype)}
    (fault,) = check_trajectory(list(run), run.__getitem__)
    assert (fault.cell.step, fault.kind, fault.detail) == (
        16,
        "unreadable",
        f"w of {dtype} numbers",
    )


def test_sampled_matrices_are_those_of_first_and_last_layer():
    parts = ("attention.dense", "mlp.dense_4h_to_h", "mlp.dense_h_to_4h", "input_layernorm")
    names = [f"gpt_neox.layers.{k}.{part}.weight" for k in range(12) for part in parts]
    sampled = matrices(names, sample=True)
    assert {name.split(".")[2] for name in sampled} == {"0", "11"}
    assert len(sampled) == 4
    assert all("norm" not in name for name in matrices(names, sample=False))
