"""Traces and eigenvalues against dense float64 Hessians, closed forms of quadratics, and PyHessian.

Axes: P parameters, B batch, T tokens.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dynamics.errors import InputError
from dynamics.measures import curvature

KEY = jax.random.key(0)


def quadratic(params, matrix):
    """1/2 w'Aw of params of any tree."""
    w = ravel_pytree(params)[0]
    return 0.5 * w @ matrix @ w


def symmetric(size: int, seed: int = 0) -> np.ndarray:
    half = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    return (half + half.T) / 2


def test_residual_bound_holds_before_convergence():
    matrix = symmetric(60)
    extremes = curvature.extreme_eigenvalues(
        quadratic, jnp.ones(60), matrix, KEY, k=2, num_matvecs=8
    )
    exact = np.linalg.eigvalsh(matrix.astype(np.float64))
    assert extremes.smallest_error.max() > 0.1  # not converged, or there is nothing to test
    for values, errors in (
        (extremes.largest, extremes.largest_error),
        (extremes.smallest, extremes.smallest_error),
    ):
        assert (
            np.abs(values[:, None] - exact[None]).min(axis=1) <= errors + 1e-5 * exact[-1]
        ).all()


@pytest.mark.parametrize("whole_leaf", [True, False])
def test_mask_restricts_to_a_block(whole_leaf):
    matrix, params = symmetric(17), {"a": jnp.ones(5), "b": jnp.ones((3, 4))}
    mask = {
        "a": np.zeros(1),
        "b": np.ones((1, 1)) if whole_leaf else np.array([[True], [False], [True]]),
    }
    inside = np.asarray(
        ravel_pytree(jax.tree.map(lambda p, m: jnp.broadcast_to(m, p.shape), params, mask))[0], bool
    )
    block = matrix[np.ix_(inside, inside)].astype(np.float64)
    mean, sem = curvature.hessian_trace(
        quadratic, params, matrix, KEY, num_samples=2000, at_once=16, mask=mask
    )
    assert abs(mean - np.trace(block)) < 4 * sem
    extremes = curvature.extreme_eigenvalues(quadratic, params, matrix, KEY, k=3, mask=mask)
    exact = np.linalg.eigvalsh(block)
    np.testing.assert_allclose(extremes.smallest, exact[:3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(extremes.largest, exact[::-1][:3], rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match=f"with {inside.sum()} parameters"):
        curvature.extreme_eigenvalues(
            quadratic, params, matrix, KEY, num_matvecs=int(inside.sum()) + 1, mask=mask
        )


@pytest.mark.parametrize(
    "measure",
    [
        curvature.trace,
        curvature.probe,
        curvature.sketched_trace,
        curvature.ends,
        curvature.quadrature,
    ],
)
def test_a_mask_of_nothing_is_refused(measure):
    with pytest.raises(InputError, match="none of the parameters"):
        measure(curvature.hessian(quadratic), jnp.ones(17), symmetric(17), KEY, mask=np.zeros(1))


def test_diagonal_quadratic_is_exact():
    curvatures = np.array([-3.0, -0.5, 0.25, 1.0, 2.0, 8.0], np.float32)
    params = {"a": jnp.ones(2), "b": jnp.ones((2, 2))}
    assert curvature.hessian_trace(quadratic, params, np.diag(curvatures), KEY) == (
        curvatures.sum(),
        0.0,
    )
    extremes = curvature.extreme_eigenvalues(quadratic, params, np.diag(curvatures), KEY, k=6)
    np.testing.assert_allclose(extremes.smallest, curvatures, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(extremes.largest, curvatures[::-1], rtol=2e-5, atol=1e-6)
    assert max(extremes.largest_error.max(), extremes.smallest_error.max()) < 1e-4


def test_signs_survive_where_power_iteration_loses_them():
    matrix = np.diag([-10.0, -1.0, 2.0, 3.0]).astype(np.float32)
    extremes = curvature.extreme_eigenvalues(quadratic, jnp.ones(4), matrix, KEY)
    assert extremes.largest[0] == pytest.approx(3, rel=1e-5)
    assert extremes.smallest[0] == pytest.approx(-10, rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, 2.0, 3.3, 1e-20])
def test_repeated_eigenvalue_ends_the_recurrence_early(scale):
    extremes = curvature.extreme_eigenvalues(
        quadratic, jnp.ones(5), scale * np.eye(5, dtype=np.float32), KEY
    )
    np.testing.assert_allclose([extremes.largest[0], extremes.smallest[0]], scale, rtol=1e-5)


def test_low_rank_gives_its_eigenvalues_and_zero():
    vectors = np.linalg.qr(symmetric(50))[0][:, :3]
    matrix = (vectors * np.array([-2.0, 1.0, 5.0], np.float32)) @ vectors.T
    extremes = curvature.extreme_eigenvalues(
        quadratic, jnp.ones(50), matrix, KEY, k=2, num_matvecs=30
    )
    np.testing.assert_allclose([*extremes.largest, extremes.smallest[0]], [5, 1, -2], rtol=1e-5)


def test_more_eigenvalues_than_distinct_ones_are_refused():
    with pytest.raises(InputError, match="1 distinct"):
        curvature.extreme_eigenvalues(
            quadratic, jnp.ones(5), np.zeros((5, 5), np.float32), KEY, k=2
        )


def _covered(loss_fn, params, batch, exact: float, **choice) -> float:
    """The share of 2,000 keys whose t interval (39 degrees of freedom) holds the exact trace."""
    inside = 0
    for key in jax.random.split(KEY, 2000):
        mean, sem = curvature.hessian_trace(loss_fn, params, batch, key, at_once=16, **choice)
        inside += abs(mean - exact) < 2.02 * sem
    return inside / 2000


@pytest.mark.long
def test_standard_error_of_the_trace_covers_on_a_small_model():
    params, batch = _mlp(0)
    flat, unravel = ravel_pytree(params)
    exact = float(jnp.trace(jax.hessian(lambda w: _mlp_loss(unravel(w), batch))(flat)))
    assert 0.92 <= _covered(_mlp_loss, params, batch, exact, num_samples=40) <= 0.98


@pytest.mark.long
def test_standard_error_of_the_trace_covers_where_it_stops_the_probes():
    matrix = symmetric(30) + 4 * np.eye(30, dtype=np.float32)
    stop = {"min_samples": 32, "max_samples": 512, "relative_sem": 0.05}
    exact = float(np.trace(matrix))
    assert 0.92 <= _covered(quadratic, jnp.ones(30), jnp.asarray(matrix), exact, **stop) <= 0.98


def test_variance_of_a_probe_is_twice_the_off_diagonal():
    matrix = symmetric(12)
    _, sem = curvature.hessian_trace(quadratic, jnp.ones(12), matrix, KEY, num_samples=4000)
    expected = 2 * ((matrix**2).sum() - (np.diag(matrix) ** 2).sum())
    assert sem**2 * 4000 == pytest.approx(expected, rel=0.15)


def test_longer_run_repeats_the_probes_and_grouping_changes_nothing():
    matrix = symmetric(12)

    def trace(num_samples, at_once=1):
        return curvature.hessian_trace(
            quadratic, jnp.ones(12), matrix, KEY, num_samples=num_samples, at_once=at_once
        )[0]

    values = np.diff([n * trace(n) for n in range(2, 20)])
    np.testing.assert_allclose(values[-1], 19 * trace(19, 5) - 18 * trace(18, 3), rtol=1e-3)
    assert len(set(np.round(values, 2))) > 5  # probes differ


def test_a_sweep_over_checkpoints_compiles_once():
    traces = []

    def loss(params, batch):
        traces.append(None)
        return quadratic(params, batch)

    counts = []
    for seed in range(3):
        params, matrix = jnp.full(6, float(seed)), symmetric(6, seed)
        curvature.hessian_trace(loss, params, matrix, jax.random.key(seed), num_samples=50)
        curvature.extreme_eigenvalues(loss, params, matrix, jax.random.key(seed), num_matvecs=4)
        counts.append(len(traces))
    assert counts[0] == counts[-1]


@pytest.mark.parametrize(("k", "num_matvecs"), [(5, None), (1, 5), (3, 2), (0, None)])
def test_too_many_eigenvalues_are_refused(k, num_matvecs):
    with pytest.raises(InputError, match="4 parameters"):
        curvature.extreme_eigenvalues(
            quadratic, jnp.ones(4), symmetric(4), KEY, k=k, num_matvecs=num_matvecs
        )


@pytest.mark.parametrize(
    "choice", [{"num_samples": 1}, {"min_samples": 8, "max_samples": 4}, {"at_once": 0}]
)
def test_too_few_probes_are_refused(choice):
    with pytest.raises(InputError, match="at least 2"):
        curvature.hessian_trace(quadratic, jnp.ones(4), symmetric(4), KEY, **choice)


def _log_of_b(params, batch):
    return (params["a"] ** 2).sum() + jnp.log(params["b"]).sum() + 0 * batch


@pytest.mark.parametrize("measure", [curvature.hessian_trace, curvature.extreme_eigenvalues])
def test_non_finite_curvature_names_the_leaf(measure):
    zero_dim = {"a": jnp.ones(3), "b": jnp.zeros(3)}
    with pytest.raises(InputError, match=r"non-finite Hessian products in 1 of 2 leaves \(b\)"):
        measure(_log_of_b, zero_dim, 0.0, KEY)
    with pytest.raises(InputError, match=r"non-finite params in 1 of 2 leaves \(a\)"):
        measure(_log_of_b, {"a": jnp.array([1.0, jnp.nan, 1.0]), "b": jnp.ones(3)}, 0.0, KEY)


def test_half_precision_params_are_widened():
    params = {"a": jnp.ones(4, jnp.bfloat16)}
    mean, _ = curvature.hessian_trace(
        quadratic, params, symmetric(4), KEY, num_samples=4096, at_once=16
    )
    exact, _ = curvature.hessian_trace(
        quadratic, {"a": jnp.ones(4)}, symmetric(4), KEY, num_samples=4096, at_once=16
    )
    assert mean == pytest.approx(exact, rel=1e-6)


def _mlp(seed: int):
    """(params, batch) of a network with 38 parameters."""
    rng = np.random.default_rng(seed)
    shapes = {"w1": (6, 3), "b1": (6,), "w2": (2, 6), "b2": (2,)}
    params = {
        name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()
    }
    return params, tuple(jnp.asarray(rng.normal(size=(40, n)), jnp.float32) for n in (3, 2))


def _mlp_loss(params, batch):
    x, y = batch
    hidden = jnp.tanh(x @ params["w1"].T + params["b1"][None])
    return ((hidden @ params["w2"].T + params["b2"][None] - y) ** 2).mean()


@pytest.mark.long
@pytest.mark.filterwarnings(
    "ignore"
)  # torch warns of the cycle that PyHessian's create_graph makes
def test_pyhessian_agrees_on_an_mlp():
    torch, pyhessian = pytest.importorskip("torch"), pytest.importorskip("pyhessian")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    x, y = torch.randn(40, 3), 3 * torch.randn(40, 2)
    theirs = pyhessian.hessian(net, torch.nn.MSELoss(), data=(x, y), cuda=False)
    their_top = theirs.eigenvalues(maxIter=1000, tol=1e-7, top_n=1)[0][0]
    their_trace = np.asarray(theirs.trace(maxIter=2000, tol=0))
    params = dict(
        zip(("w1", "b1", "w2", "b2"), (p.detach().numpy() for p in net.parameters()), strict=True)
    )
    batch = (x.numpy(), y.numpy())
    top = curvature.extreme_eigenvalues(_mlp_loss, params, batch, KEY).largest[0]
    mean, sem = curvature.hessian_trace(_mlp_loss, params, batch, KEY, num_samples=2000, at_once=16)
    assert top == pytest.approx(their_top, rel=1e-3)
    assert abs(mean - their_trace.mean()) < 4 * np.hypot(
        sem, their_trace.std() / len(their_trace) ** 0.5
    )
