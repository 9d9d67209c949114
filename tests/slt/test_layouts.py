"""Where chains run must not matter: devices, chain batching, meshes, segments.

Axes: C chains. Over layouts the first 20 steps agree to 1e-5 and estimates to 0.1 standard error;
on one layout, cut into segments or not, every bit agrees.
"""

import os
import pathlib
import socket
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from dynamics import devices, slt
from dynamics.errors import InputError
from dynamics.slt import batches, noise

CHAINS, DRAWS = 5, 60  # five chains divide over neither two devices nor batches of two


def loss(params, batch):
    """A small net with a matrix, a vector and a batch, so that layouts can reorder sums."""
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["hidden"]) @ params["out"] - y) ** 2)


def make_problem():
    rng = np.random.default_rng(1)
    data = tuple(rng.normal(size=shape).astype(np.float32) for shape in ((64, 3), (64,)))
    params = {
        "hidden": rng.normal(size=(3, 8)).astype(np.float32),
        "out": rng.normal(size=8).astype(np.float32),
    }
    return params, data


@pytest.fixture(scope="module")
def problem():
    return make_problem()


def sampler(**changes):
    settings = {
        "step_size": 1e-3,
        "localization": 5.0,
        "num_chains": CHAINS,
        "num_draws": DRAWS,
        "batch_size": 16,
    }
    return slt.SGLD(**{**settings, **changes})


def grid(chain: int, model: int, axis_type=AxisType.Auto) -> Mesh:
    grid_of_devices = np.array(jax.devices()[: chain * model]).reshape(chain, model)
    return Mesh(grid_of_devices, ("chain", "model"), axis_types=(axis_type,) * 2)


@pytest.fixture(scope="module")
def reference(problem):
    return slt.estimate_llc(loss, *problem, jax.random.key(3), sampler())


def agrees(got, reference):
    np.testing.assert_allclose(
        got.loss_trace[:, :20], reference.loss_trace[:, :20], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        got.distance[:, :20], reference.distance[:, :20], rtol=1e-5, atol=1e-5
    )
    assert abs(got.llc - reference.llc) < 0.1 * reference.sem


def test_two_devices_are_there():
    assert len(jax.local_devices()) == 2


def test_one_device(problem, reference, monkeypatch):
    first = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: first)
    agrees(slt.estimate_llc(loss, *problem, jax.random.key(3), sampler()), reference)


@pytest.mark.parametrize("chain_batch", [1, 2, 4])
def test_chain_batching(problem, reference, chain_batch):
    agrees(
        slt.estimate_llc(loss, *problem, jax.random.key(3), sampler(chain_batch=chain_batch)),
        reference,
    )


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 2)])
def test_mesh(problem, reference, shape):
    agrees(
        slt.estimate_llc(loss, *problem, jax.random.key(3), sampler(), mesh=grid(*shape)), reference
    )


def test_mesh_with_explicit_axes_and_batches(problem, reference):
    mesh = grid(1, 2, AxisType.Explicit)
    agrees(
        slt.estimate_llc(loss, *problem, jax.random.key(3), sampler(chain_batch=2), mesh=mesh),
        reference,
    )


def test_mesh_of_other_axes_is_refused(problem):
    with pytest.raises(InputError, match="chain"):
        slt.estimate_llc(
            loss,
            *problem,
            jax.random.key(3),
            sampler(),
            mesh=Mesh(np.array(jax.devices()), ("data",)),
        )


def test_plain_loop(problem, reference):
    params, data = problem
    params, data = jax.tree.map(jnp.asarray, (params, data))
    nbeta = sampler().constants(64).nbeta

    @jax.jit
    def advance(step_key, w):
        batch = batches.draw_batch(batches.fold_name(step_key, "batch"), data, 16)
        before, gradient = jax.value_and_grad(loss)(w, batch)
        pull = jax.tree.map(lambda g, x, o: nbeta * g + 5.0 * (x - o), gradient, w, params)
        eta = noise.noise(step_key, w)
        moved = jax.tree.map(
            lambda x, d, n: x - 5e-4 * d + np.float32(1e-3) ** 0.5 * n, w, pull, eta
        )
        return moved, before, loss(params, batch)

    losses, init_losses = np.zeros((CHAINS, DRAWS)), np.zeros((CHAINS, DRAWS))
    for chain in range(CHAINS):
        key, w = jax.random.fold_in(jax.random.key(3), chain), params
        for step in range(DRAWS):
            w, losses[chain, step], init_losses[chain, step] = advance(
                jax.random.fold_in(key, step), w
            )
    np.testing.assert_allclose(reference.loss_trace[:, :20], losses[:, :20], rtol=1e-5, atol=1e-5)
    assert abs(nbeta * (losses - init_losses).mean() - reference.llc) < 0.1 * reference.sem


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"chain_batch": 2, "batch_size": None}, marks=pytest.mark.long),
        pytest.param({"thinning": 3}, marks=pytest.mark.long),
    ],
)
def test_segments_are_bit_equal(problem, changes):
    *_, whole = slt.segments(loss, sampler(**changes), *problem, jax.random.key(3))
    *_, cut = slt.segments(loss, sampler(**changes, segment=23), *problem, jax.random.key(3))
    chex.assert_tree_shape_prefix(whole.traces, (CHAINS, DRAWS))
    chex.assert_trees_all_equal(whole.traces, cut.traces)


def test_a_saved_run_goes_on_bit_for_bit(problem):
    settings = sampler(segment=20)
    runs = list(slt.segments(loss, settings, *problem, jax.random.key(3)))
    saved = jax.tree.map(np.asarray, runs[0])  # through the host, as a file would
    assert saved.traces.loss.shape == (CHAINS, 20)
    *_, resumed = slt.segments(loss, settings, *problem, jax.random.key(3), run=saved)
    np.testing.assert_array_equal(resumed.traces.loss, runs[-1].traces.loss)
    straight = slt.estimate_llc(loss, *problem, jax.random.key(3), settings)
    assert (
        slt.summarise(loss, *problem, jax.random.key(3), settings, resumed.traces).llc
        == straight.llc
    )


@pytest.mark.parametrize("segment", [None, 8])
def test_a_saved_run_goes_on_whatever_the_segments_are(problem, segment):
    first, *_, straight = slt.segments(loss, sampler(segment=20), *problem, jax.random.key(3))
    *_, resumed = slt.segments(
        loss, sampler(segment=segment), *problem, jax.random.key(3), run=first
    )
    np.testing.assert_array_equal(resumed.traces.distance, straight.traces.distance)


def test_a_run_that_cannot_go_on_is_refused(problem):
    *_, whole = slt.segments(loss, sampler(), *problem, jax.random.key(3))
    with pytest.raises(InputError, match="without its state"):
        next(
            slt.segments(
                loss,
                sampler(num_draws=2 * DRAWS, segment=20),
                *problem,
                jax.random.key(3),
                run=whole,
            )
        )
    with pytest.raises(InputError, match="5 chains"):
        next(slt.segments(loss, sampler(num_chains=4), *problem, jax.random.key(3), run=whole))


def test_an_unfinished_run_is_no_estimate(problem):
    first, *_ = slt.segments(loss, sampler(segment=20), *problem, jax.random.key(3))
    with pytest.raises(InputError, match=r"\(5, 20\)"):
        slt.summarise(loss, *problem, jax.random.key(3), sampler(burn_in=30), first.traces)


def test_progress_after_each_segment(problem):
    seen = []
    slt.estimate_llc(
        loss,
        *problem,
        jax.random.key(3),
        sampler(segment=20),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(20, 60), (40, 60), (60, 60)]


def test_noise_and_batches_repeat_at_every_checkpoint(problem):
    """On a loss linear in w, noise, pull and gradients do not depend on the checkpoint."""

    def linear(params, batch):
        return jnp.mean(batch[0] @ params["hidden"]) + jnp.sum(params["out"])

    params, data = problem
    moved = jax.tree.map(
        lambda x: np.round(x * 8) / 4, params
    )  # short binary fractions keep rounding small
    runs = [
        slt.estimate_llc(linear, p, data, jax.random.key(3), sampler()) for p in (params, moved)
    ]
    np.testing.assert_allclose(runs[0].distance, runs[1].distance, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(runs[0].grad_norm, runs[1].grad_norm)


def test_chains_do_not_depend_on_how_many_there_are(problem, reference):
    more = slt.estimate_llc(loss, *problem, jax.random.key(3), sampler(num_chains=CHAINS + 2))
    np.testing.assert_allclose(
        more.loss_trace[:CHAINS, :20], reference.loss_trace[:, :20], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("count", "chain_batch"), [(1, None), (2, None), (5, None), (7, 2)])
def test_map_chains_keeps_order_and_shapes(count, chain_batch):
    def fn(key, offset):
        return {"value": jax.random.normal(key, (2,)) + offset, "bits": jax.random.bits(key)}

    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(count))
    got = devices.map_chains(fn, chain_batch=chain_batch)(keys, 3.0)
    expected = [fn(keys[i], 3.0) for i in range(count)]
    np.testing.assert_array_equal(got["bits"], [e["bits"] for e in expected])
    np.testing.assert_allclose(got["value"], np.stack([e["value"] for e in expected]), rtol=1e-6)


_PROCESS = """
import sys
import jax
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
import numpy as np
from jax.sharding import Mesh
from dynamics import slt
import test_layouts as layouts
mesh = None
if sys.argv[3] == "mesh":
    mesh = Mesh(np.array(jax.devices()).reshape(2, 1), ("chain", "model"))
assert (jax.process_count(), len(jax.local_devices())) == (2, 1)
problem, sampler = layouts.make_problem(), layouts.sampler(segment=20)
estimate = slt.estimate_llc(layouts.loss, *problem, jax.random.key(3), sampler, mesh=mesh)
print("estimate", estimate.llc)
"""


@pytest.mark.long
@pytest.mark.parametrize("layout", ["pmap", "mesh"])
def test_two_processes_share_the_chains(reference, layout):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    here = os.environ | {
        "XLA_FLAGS": "",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(pathlib.Path(__file__).parent),
    }
    command = [sys.executable, "-c", _PROCESS, address]
    pair = [
        subprocess.Popen(
            [*command, str(i), layout],
            env=here,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in pair]
    finally:
        for process in pair:
            process.kill()  # one that waits for a dead peer
    for process, output in zip(pair, outputs, strict=True):
        assert process.returncode == 0, output
        assert abs(float(output.split("estimate")[-1]) - reference.llc) < 0.1 * reference.sem
