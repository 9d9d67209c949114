"""Surprisal by chunks equals surprisal from whole logits, in value and gradient."""

import chex
import jax
import numpy as np
import pytest

from dynamics import models
from dynamics.measures import surprisal, token_chunks
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=24, num_layers=2, num_heads=3, intermediate_size=29, vocab_size=101
)
TOKENS = np.random.default_rng(0).integers(0, 101, (3, 12)).astype(np.int32)


@pytest.fixture(scope="module")
def params():
    return jax.jit(models.init, static_argnums=1)(jax.random.key(0), CONFIG)


def whole(params, tokens):
    log_p = jax.nn.log_softmax(jax.jit(models.apply_fn(CONFIG))(params, tokens[:, :-1]))
    return -np.take_along_axis(log_p, tokens[:, 1:, None], -1)[..., 0]


@pytest.mark.parametrize("chunk", [1, 7, 11, 33, 1000])
def test_equals_whole_logits(params, chunk):
    per_token = surprisal.surprisal_fn(CONFIG, chunk)(params, TOKENS)
    np.testing.assert_allclose(per_token, whole(params, TOKENS), rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_gradient_does_not_depend_on_chunks(params):
    short_chunks, one_chunk = (
        jax.jit(jax.grad(surprisal.loss_fn(CONFIG, chunk)))(params, TOKENS) for chunk in (7, 1000)
    )
    chex.assert_trees_all_close(short_chunks, one_chunk, rtol=1e-3, atol=1e-6)


def test_memory_of_gradient_does_not_hold_logits():
    """At V = 50304 the gradient's temporaries are a fraction of 1,024 tokens' logits, 206 MB."""
    config = gpt_neox.Config(
        hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, rotary_fraction=0.25
    )
    shapes = jax.eval_shape(lambda key: gpt_neox.init(key, config), jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((8, 129), np.int32)
    compiled = jax.jit(jax.grad(surprisal.loss_fn(config))).lower(shapes, tokens).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 50e6


def test_map_chunks_pads_and_cuts():
    xs = np.arange(10.0)
    np.testing.assert_array_equal(token_chunks.map_chunks(lambda x: x * 2, xs, 4), xs * 2)
