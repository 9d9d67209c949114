"""Pictures of a checkpoint are what a forward pass and the params say."""

import jax
import numpy as np
import pytest

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures.weights import picture_fn
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=24, num_layers=2, num_heads=3, intermediate_size=8, vocab_size=17, max_positions=9
)
TOKENS = np.array([3, 1, 4, 1, 5])


@pytest.fixture(scope="module")
def params():
    return jax.jit(models.init, static_argnames="config")(jax.random.key(0), CONFIG)


def test_pictures_are_those_of_a_forward_pass(params):
    pictures = picture_fn(CONFIG)(params, TOKENS)
    assert pictures.mean_logit is not None
    logits = models.apply_fn(CONFIG)(params, TOKENS[None])
    np.testing.assert_allclose(pictures.mean_logit, logits[0].mean(0), atol=1e-5)
    _, captured = models.hidden_fn(CONFIG)(params, TOKENS[None], capture=("attention",))
    pattern = captured["attention"][0, 0].mean(0)
    np.testing.assert_allclose(pictures.attention, pattern, atol=1e-6)
    np.testing.assert_array_equal(pictures.unembedding, params["unembed"]["kernel"])
    kernel = params["layers"]["attention"]["qkv"]["kernel"][0]
    np.testing.assert_array_equal(pictures.attention_matrix, kernel.reshape(24, -1))


def test_without_a_head_there_are_no_logits(params):
    trunk = {name: leaf for name, leaf in params.items() if name != "unembed"}
    pictures = picture_fn(CONFIG)(trunk, TOKENS)
    assert pictures.unembedding is None
    assert pictures.mean_logit is None
    with pytest.raises(InputError, match="17"):
        picture_fn(CONFIG)(params, np.array([17]))
