"""Hessian and Gauss-Newton products of the chunked loss against dense float64 matrices.

Axes: P parameters, N tokens, B batch, T tokens of a window, V vocabulary.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dynamics import models
from dynamics.measures import curvature, surprisal
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=8,
    num_layers=1,
    num_heads=2,
    intermediate_size=8,
    vocab_size=17,
    max_positions=16,
    rotary_fraction=0.5,
)
TOKENS = jnp.asarray(np.random.default_rng(2).integers(0, CONFIG.vocab_size, (5, 8)), jnp.int32)
CHUNK = 8  # of 35 tokens: the last chunk is padded


def random_like(tree, seed: int):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(0.5 * rng.normal(size=p.shape), jnp.float32), tree)


@pytest.fixture(scope="module")
def params():
    return random_like(jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(0), CONFIG), 1)


@pytest.fixture(scope="module")
def dense(params):
    """(Hessian, J' H J), each [P,P] float64, from whole logits."""
    apply = models.apply_fn(CONFIG)
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(
            jax.tree.map(lambda p: jnp.asarray(np.asarray(p, np.float64)), params)
        )

        def logits(w):
            return (
                apply(unravel(w), TOKENS[:, :-1]).astype(jnp.float64).reshape(-1, CONFIG.vocab_size)
            )

        def loss(w):
            return -jnp.take_along_axis(
                jax.nn.log_softmax(logits(w)), TOKENS[:, 1:].reshape(-1, 1), 1
            ).mean()

        p, jacobian = (
            np.asarray(jax.nn.softmax(logits(flat))),
            np.asarray(jax.jit(jax.jacrev(logits))(flat)),
        )
        middle = np.einsum("nv,vw->nvw", p, np.eye(p.shape[1])) - np.einsum("nv,nw->nvw", p, p)
        gauss_newton = np.einsum(
            "nvp,nvw,nwq->pq", jacobian, middle / len(p), jacobian, optimize=True
        )
        return np.asarray(jax.jit(jax.hessian(loss))(flat)), gauss_newton


@pytest.mark.long
@pytest.mark.parametrize("which", [0, 1], ids=["Hessian", "Gauss-Newton"])
def test_products_are_those_of_the_dense_matrix(params, dense, which):
    product = (
        curvature.hessian(surprisal.loss_fn(CONFIG, CHUNK)),
        surprisal.gauss_newton(CONFIG, CHUNK),
    )[which]
    for seed in (3, 4):
        vector = random_like(params, seed)
        image = ravel_pytree(jax.jit(product.apply)(params, TOKENS, vector))[0]
        expected = dense[which] @ np.asarray(ravel_pytree(vector)[0], np.float64)
        np.testing.assert_allclose(image, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.long
@pytest.mark.parametrize("which", [0, 1], ids=["Hessian", "Gauss-Newton"])
def test_memory_does_not_hold_logits(which):
    """512 more tokens take under 5 MB at V = 50304, where their logits are 103 MB."""
    config = gpt_neox.Config(hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8)
    shapes = jax.eval_shape(lambda key: gpt_neox.init(key, config), jax.random.key(0))
    product = (
        curvature.hessian(surprisal.loss_fn(config, 16)),
        surprisal.gauss_newton(config, 16),
    )[which]

    def needed(windows: int) -> int:
        tokens = jax.ShapeDtypeStruct((windows, 33), np.int32)
        return (
            jax.jit(product.apply)
            .lower(shapes, tokens, shapes)
            .compile()
            .memory_analysis()
            .temp_size_in_bytes
        )

    assert needed(32) - needed(16) < 5e6


@pytest.mark.long
def test_a_product_at_160m_fits_a_laptop():
    """2,048 tokens at V = 50304 in under 8 GB, and no more for twice the tokens.

    Params and vectors are included.
    """
    config = gpt_neox.Config(hidden_size=768, num_layers=12, num_heads=12, intermediate_size=3072)
    shapes = jax.eval_shape(lambda key: gpt_neox.init(key, config), jax.random.key(0))

    def needed(windows: int) -> int:
        product = curvature.accumulated(curvature.hessian(surprisal.loss_fn(config)), windows)
        tokens = jax.ShapeDtypeStruct((windows, 129), np.int32)
        sizes = jax.jit(product.apply).lower(shapes, tokens, shapes).compile().memory_analysis()
        return sizes.temp_size_in_bytes + sizes.argument_size_in_bytes + sizes.output_size_in_bytes

    once, twice = needed(16), needed(32)
    assert once < 8e9
    assert twice < 1.1 * once


@pytest.mark.long
def test_gauss_newton_is_positive_and_forgets_a_common_shift(params):
    """v'Gv >= 0, and a shift that no softmax sees has no curvature.

    The shift adds one vector to every column of the unembedding.
    """
    product = jax.jit(surprisal.gauss_newton(CONFIG, CHUNK).apply)
    vector = random_like(params, 5)
    assert ravel_pytree(vector)[0] @ ravel_pytree(product(params, TOKENS, vector))[0] > 0
    zero = jax.tree.map(jnp.zeros_like, params)
    shift = zero | {
        "unembed": {"kernel": jnp.broadcast_to(vector["unembed"]["kernel"][:, :1], (8, 17))}
    }
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(product(params, TOKENS, shift)))
    assert largest < 1e-5
