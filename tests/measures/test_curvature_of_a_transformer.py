"""Curvature of a GPT-NeoX against its dense float64 matrices, whole and by part.

Axes: P parameters, B batch, T tokens, O outputs.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dynamics import models, restrict
from dynamics.measures import curvature, surprisal
from dynamics.models import gpt_neox

pytestmark = pytest.mark.long
KEY = jax.random.key(0)
CONFIG = gpt_neox.Config(
    hidden_size=8,
    num_layers=2,
    num_heads=2,
    intermediate_size=8,
    vocab_size=17,
    max_positions=16,
    rotary_fraction=0.5,
)
LOSS = surprisal.loss_fn(CONFIG)
LAYERS = restrict.groups(CONFIG, "layers")


def random_like(params, seed: int, scale: float = 0.5):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: jnp.asarray(scale * rng.normal(size=p.shape), jnp.float32), params
    )


def logits(params, tokens):
    return models.apply_fn(CONFIG)(params, tokens[:, :-1]).reshape(-1, CONFIG.vocab_size)


def cross_entropy(outputs, tokens):
    return -jnp.take_along_axis(
        jax.nn.log_softmax(outputs), tokens[:, 1:].reshape(-1, 1), axis=1
    ).mean()


GAUSS_NEWTON = curvature.gauss_newton(logits, cross_entropy)


@pytest.fixture(scope="module")
def transformer():
    """Every parameter is random, so that no part of the Hessian is zero by symmetry."""
    params = random_like(jax.jit(gpt_neox.init, static_argnums=1)(KEY, CONFIG), 1)
    tokens = np.random.default_rng(2).integers(0, CONFIG.vocab_size, (8, 9))
    return params, jnp.asarray(tokens, jnp.int32)


@pytest.fixture(scope="module")
def dense(transformer):
    """(Hessian [P,P], Gauss-Newton matrix [P,P]), float64."""
    params, tokens = transformer
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(
            jax.tree.map(lambda p: jnp.asarray(np.asarray(p, np.float64)), params)
        )
        hessian = jax.jit(jax.hessian(lambda w: LOSS(unravel(w), tokens)))(flat)
        outputs = logits(unravel(flat), tokens)  # [O,V]
        jacobian = jax.jit(jax.jacrev(lambda w: logits(unravel(w), tokens).reshape(-1)))(flat)
        jacobian = jacobian.reshape(*outputs.shape, -1)
        p = jax.nn.softmax(outputs)
        mean = jnp.einsum("ov,ovp->op", p, jacobian)
        newton = jnp.einsum("ov,ovp,ovq->pq", p, jacobian, jacobian) - mean.T @ mean
        return np.asarray(hessian), np.asarray(newton / len(outputs))


@pytest.fixture(scope="module", params=["Hessian", "Gauss-Newton"])
def case(request, dense):
    """(product, dense matrix)."""
    first = request.param == "Hessian"
    return (curvature.hessian(LOSS), dense[0]) if first else (GAUSS_NEWTON, dense[1])


def inside(params, mask) -> np.ndarray:
    """bool [P]"""
    return np.asarray(
        ravel_pytree(jax.tree.map(lambda p, m: jnp.broadcast_to(m, p.shape), params, mask))[0], bool
    )


def test_has_a_size_worth_the_name(dense):
    assert 1000 <= len(dense[0]) <= 3000


def test_product(transformer, case):
    params, tokens = transformer
    vector = random_like(params, 3)
    product = jax.jit(case[0].apply)(params, tokens, vector)
    expected = case[1] @ np.asarray(ravel_pytree(vector)[0], np.float64)
    np.testing.assert_allclose(
        ravel_pytree(product)[0], expected, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("method", ["full", "recurrence"])
def test_eigenvalues(transformer, case, method):
    extremes = curvature.ends(case[0], *transformer, KEY, k=3, num_matvecs=80, method=method)
    exact = np.linalg.eigvalsh(case[1])
    rounding = 1e-5 * exact[-1]
    np.testing.assert_allclose(extremes.largest, exact[::-1][:3], rtol=0.01)
    assert (np.abs(extremes.largest - exact[::-1][:3]) <= extremes.largest_error + rounding).all()
    if case[0].name == "Hessian":
        assert exact[0] < 0
        np.testing.assert_allclose(extremes.smallest, exact[:3], rtol=0.01)
        assert (np.abs(extremes.smallest - exact[:3]) <= extremes.smallest_error + rounding).all()
    else:
        assert (
            np.abs(extremes.smallest).max() < 1e-3 * exact[-1]
        )  # positive semidefinite, of low rank


def test_vectors(transformer, case):
    params, tokens = transformer
    values, exact = np.linalg.eigh(case[1])
    for method in ("full", "recurrence"):
        extremes = curvature.ends(
            case[0], params, tokens, KEY, k=2, num_matvecs=80, method=method, vectors=True
        )
        for number in range(2):
            vector = jax.tree.map(lambda leaf, n=number: leaf[n], extremes.largest_vectors)
            overlap = abs(np.asarray(ravel_pytree(vector)[0]) @ exact[:, -1 - number])
            assert overlap > 0.999
    assert values[-1] > values[-2] * 1.01  # told apart, or the vectors are not defined


def test_density_moments(transformer, case):
    """Within 2 %.

    Without deflation the second moment of 100 probes would scatter by a tenth.
    """
    density = curvature.quadrature(
        case[0], *transformer, KEY, num_probes=100, num_matvecs=10, deflate=12
    )
    np.testing.assert_allclose(density.weights.sum(1), 1, rtol=1e-4)
    for order in (2, 3, 4) if case[0].name == "Gauss-Newton" else (2, 4):
        exact = np.trace(np.linalg.matrix_power(case[1], order)) / len(case[1])
        mean, sem = density.moment(order)
        assert abs(mean - exact) < 4 * sem + 1e-4 * exact
        assert abs(mean - exact) < 0.02 * exact


def test_trace(transformer, case):
    # The Hessian's spectrum is indefinite, so one probe scatters by two thirds of the trace: half
    # the error takes four times the products.
    name, exact = case[0].name, np.trace(case[1])
    error = {"Hessian": 0.009, "Gauss-Newton": 0.0045}[name]
    options = {"min_samples": 2048, "max_samples": 65536, "relative_sem": error, "at_once": 16}
    mean, sem = curvature.trace(case[0], *transformer, KEY, **options)
    assert sem <= error * mean
    assert abs(mean - exact) < 2.2 * error * exact


def test_traces_of_layers_sum_to_the_whole(transformer, case):
    params, tokens = transformer
    forms = curvature.probe(case[0], params, tokens, KEY, parts=LAYERS, num_samples=400, at_once=16)
    parts = forms.by_part()
    np.testing.assert_allclose(sum(forms.parts.values()), forms.trace, rtol=1e-4, atol=1e-3)
    assert sum(mean for mean, _ in parts.values()) == pytest.approx(forms.moments().trace, rel=1e-5)
    for name, (mean, sem) in parts.items():
        exact = case[1][inside(params, LAYERS[name])][:, inside(params, LAYERS[name])].trace()
        assert abs(mean - exact) < 4 * sem


def test_traces_of_layers_by_a_sketch_of_their_whole_range(transformer, dense):
    """A sketch with a product per parameter leaves no rest: traces and their sum to 1 %."""
    params, tokens = transformer
    total = 0.0
    for mask in LAYERS.values():
        block = inside(params, mask)
        products = 3 * int(block.sum())
        options = {"num_matvecs": products, "at_once": 16, "mask": mask}
        mean, _ = curvature.sketched_trace(curvature.hessian(LOSS), params, tokens, KEY, **options)
        exact = dense[0][block][:, block].trace()
        assert abs(mean - exact) < 0.01 * abs(exact)
        total += mean
    assert total == pytest.approx(dense[0].trace(), rel=1e-3)


def test_moments(transformer, case):
    moments = curvature.probe(case[0], *transformer, KEY, num_samples=2000, at_once=16).moments()
    square = (case[1] ** 2).sum()
    assert abs(moments.trace - np.trace(case[1])) < 4 * moments.trace_sem
    assert abs(moments.frobenius - square**0.5) < 4 * moments.frobenius_sem
    assert (
        abs(moments.effective_rank - np.trace(case[1]) ** 2 / square)
        < 4 * moments.effective_rank_sem
    )


def test_a_sketch_pays_where_few_eigenvalues_dominate(transformer, dense):
    exact = np.trace(dense[1])
    plain = curvature.trace(GAUSS_NEWTON, *transformer, KEY, num_samples=90, at_once=16)
    sketched = curvature.sketched_trace(GAUSS_NEWTON, *transformer, KEY, num_matvecs=90, at_once=16)
    assert abs(sketched[0] - exact) < 4 * sketched[1]
    assert sketched[1] < plain[1] / 2
