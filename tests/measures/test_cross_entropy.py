"""Value and every kind of derivative of the chunked cross-entropy against whole logits in float64.

Axes: N tokens, D width, V vocabulary, C chains.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import InputError
from dynamics.measures.cross_entropy import cross_entropy

N, D, V = 13, 5, 31
CHUNKS = [1, 4, 50]


def plain(h, kernel, targets, weights):
    log_p = jax.nn.log_softmax(h @ kernel, axis=-1)
    surprisal = -jnp.take_along_axis(log_p, targets[:, None], axis=-1)[:, 0]
    return (weights * surprisal).sum() / weights.sum()


def drawn(seed: int = 0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    h, kernel, weights = rng.normal(size=(N, D)) * 3, rng.normal(size=(D, V)), rng.uniform(0, 2, N)
    weights[[2, 7]] = 0
    return (
        *(jnp.asarray(x, dtype) for x in (h, kernel)),
        jnp.asarray(rng.integers(0, V, N)),
        jnp.asarray(weights, dtype),
    )


def exact(fn, *inputs):
    """fn of whole logits on the same numbers in float64."""
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda x: np.asarray(x, np.float64 if x.dtype.kind == "f" else x.dtype), inputs
        )
        return jax.tree.map(np.asarray, jax.jit(fn)(*jax.tree.map(jnp.asarray, wide)))


def close(actual, expected, share=2e-6):
    def check(x, y):
        np.testing.assert_allclose(x, y, rtol=share * 10, atol=share * np.abs(y).max())

    jax.tree.map(check, actual, expected)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("weighted", [False, True])
def test_value_and_gradients(chunk, weighted):
    h, kernel, targets, weights = drawn()
    weights = weights if weighted else jnp.ones(N)

    def chunked(h, kernel, weights):
        return cross_entropy(h, kernel, targets, weights if weighted else None, chunk=chunk)

    over = (0, 1, 2) if weighted else (0, 1)
    value_and_gradients = jax.jit(jax.value_and_grad(chunked, over))(h, kernel, weights)
    close(
        value_and_gradients,
        exact(
            jax.value_and_grad(lambda h, k, w: plain(h, k, targets, w), over), h, kernel, weights
        ),
    )
    assert chunked(h, kernel, weights) == pytest.approx(float(value_and_gradients[0]), rel=1e-6)


def test_tokens_of_weight_zero_do_not_count():
    h, kernel, targets, weights = drawn()
    loss = functools.partial(cross_entropy, chunk=4)
    plain_loss, slope = jax.value_and_grad(loss)(h, kernel, targets, weights)
    changed_loss = loss(h.at[2].set(100.0), kernel, targets.at[7].set(0), weights)
    assert plain_loss == pytest.approx(float(changed_loss), rel=1e-6)
    assert not slope[jnp.array([2, 7])].any()


def test_confident_tokens_lose_no_digits():
    """At p(target) = 1 - 1e-4 the slope is a small difference of probabilities."""
    h, kernel, targets, weights = drawn()
    h, kernel = jnp.zeros((N, V)).at[jnp.arange(N), targets].set(12.6), jnp.eye(V)
    gradient = jax.grad(lambda h: cross_entropy(h, kernel, targets, weights, chunk=4))(h)
    close(gradient, exact(jax.grad(lambda h, k: plain(h, k, targets, weights)), h, kernel), 1e-3)


@pytest.mark.parametrize("chunk", [4])
def test_forward_mode(chunk):
    h, kernel, targets, weights = drawn()
    along = drawn(1)[:2]
    value_and_tangent = jax.jvp(
        lambda h, k: cross_entropy(h, k, targets, weights, chunk=chunk), (h, kernel), along
    )
    close(
        value_and_tangent,
        exact(
            lambda x, v: jax.jvp(lambda h, k: plain(h, k, targets, weights), x, v),
            (h, kernel),
            along,
        ),
    )


def product(loss, order: str):
    """(x, v) -> Hessian of loss times v."""
    if order == "forward over reverse":
        return lambda x, v: jax.jvp(jax.grad(loss, (0, 1)), x, v)[1]
    if order == "reverse over forward":
        return lambda x, v: jax.grad(lambda *x: jax.jvp(loss, x, v)[1], (0, 1))(*x)
    return lambda x, v: jax.vjp(lambda *x: jax.grad(loss, (0, 1))(*x), *x)[1](v)


@pytest.mark.parametrize(
    "order", ["forward over reverse", "reverse over forward", "reverse over reverse"]
)
@pytest.mark.parametrize("chunk", [4])
def test_hessian_products(order, chunk):
    h, kernel, targets, weights = drawn()
    along = drawn(1)[:2]
    hessian_product = jax.jit(
        product(lambda h, k: cross_entropy(h, k, targets, weights, chunk=chunk), order)
    )
    expected = exact(product(lambda h, k: plain(h, k, targets, weights), order), (h, kernel), along)
    close(hessian_product((h, kernel), along), expected, 5e-6)


def test_hessian_in_the_logits_is_diag_p_minus_pp():
    """With W = I, h are the logits, and a token's loss has the Hessian diag(p) - p p^T."""
    logits, targets = drawn()[0][:1], drawn()[2][:1]
    hessian = jax.hessian(lambda h: cross_entropy(h, jnp.eye(D), targets % D, chunk=4))(logits)[
        0, :, 0
    ]
    p = np.asarray(jax.nn.softmax(logits[0]))
    np.testing.assert_allclose(hessian, np.diag(p) - np.outer(p, p), atol=1e-6)


@pytest.mark.parametrize("chunk", [4])
def test_chains_are_vmapped(chunk):
    both = [drawn(seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *both)
    slope = jax.value_and_grad(functools.partial(cross_entropy, chunk=chunk), (0, 1))
    batched = jax.jit(jax.vmap(slope))(*stacked)
    close(batched, jax.tree.map(lambda *x: jnp.stack(x), *(slope(*inputs) for inputs in both)))


def test_half_precision_keeps_logits_in_float32():
    h, kernel, targets, weights = drawn(dtype=jnp.bfloat16)
    total, slopes = jax.value_and_grad(functools.partial(cross_entropy, chunk=4), (0, 1))(
        h, kernel, targets, weights
    )
    assert total.dtype == jnp.float32
    assert {slope.dtype for slope in slopes} == {jnp.dtype(jnp.bfloat16)}
    wide = [x.astype(jnp.float32) for x in (h, kernel, weights)]
    assert total == pytest.approx(float(exact(plain, *wide[:2], targets, wide[2])), rel=1e-2)


def test_memory_does_not_hold_logits():
    """Temporaries of gradient and Hessian product stay under a quarter of the logits' 103 MB."""
    n, v = 512, 50304
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in ((n, 4), (4, v))]
    targets = jax.ShapeDtypeStruct((n,), np.int32)
    loss = functools.partial(cross_entropy, chunk=16)
    slope = jax.grad(loss, (0, 1))

    def twice(h, kernel, targets):
        return jax.jvp(lambda h, k: slope(h, k, targets), (h, kernel), (h, kernel))[1]

    for fn in (slope, twice):
        assert (
            jax.jit(fn).lower(*shapes, targets).compile().memory_analysis().temp_size_in_bytes
            < 25e6
        )


def test_no_token_is_refused():
    with pytest.raises(InputError, match="no token to predict"):
        cross_entropy(jnp.zeros((0, 3)), jnp.zeros((3, 5)), jnp.zeros(0, jnp.int32), chunk=4)
