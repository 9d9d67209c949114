"""The likeliest tokens against whole logits."""

import jax
import numpy as np
import pytest

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import token_chunks, top_tokens
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=8,
    num_layers=1,
    num_heads=2,
    intermediate_size=8,
    vocab_size=31,
    max_positions=32,
    rotary_fraction=0.5,
)


def test_they_are_those_of_the_whole_distribution(monkeypatch):
    monkeypatch.setitem(token_chunks._CHUNK_FLOATS, "cpu", 31 * 8)  # several chunks
    params = jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(0), CONFIG)
    tokens = np.random.default_rng(0).integers(0, 31, (3, 11)).astype(np.int32)
    top = top_tokens.top_tokens_fn(CONFIG, 4)(params, tokens)
    p = np.asarray(jax.nn.softmax(models.apply_fn(CONFIG)(params, tokens[:, :-1])))
    np.testing.assert_array_equal(top.ids, np.argsort(-p, axis=-1, kind="stable")[..., :4])
    np.testing.assert_allclose(top.probability, -np.sort(-p, axis=-1)[..., :4], rtol=1e-5)


@pytest.mark.parametrize("k", [0, 32])
def test_more_than_the_vocabulary_is_refused(k):
    with pytest.raises(InputError, match="likeliest"):
        top_tokens.top_tokens_fn(CONFIG, k)
