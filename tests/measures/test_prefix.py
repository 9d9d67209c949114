"""Loss at one position of each window: its parts are surprisals, its mean the usual loss."""

import jax
import numpy as np
import pytest

from dynamics import models
from dynamics.measures import prefix, surprisal
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=2, num_heads=2, intermediate_size=32, vocab_size=61
)


def test_is_the_surprisal_at_the_position():
    params = jax.jit(models.init, static_argnums=1)(jax.random.key(0), CONFIG)
    tokens = np.random.default_rng(0).integers(0, 61, (5, 12), dtype=np.int32)
    every = np.asarray(surprisal.surprisal_fn(CONFIG)(params, tokens))  # [5,11]
    for row in range(5):
        for position in (1, 7, 11):
            single = prefix.Prefixes(tokens[row : row + 1], np.array([position]))
            np.testing.assert_allclose(
                prefix.loss_fn(CONFIG)(params, single), every[row, position - 1], rtol=1e-5
            )


@pytest.mark.long
def test_averages_to_the_usual_loss():
    """Over all positions, each window with each."""
    params = jax.jit(models.init, static_argnums=1)(jax.random.key(1), CONFIG)
    tokens = np.random.default_rng(1).integers(0, 61, (4, 9), dtype=np.int32)
    every = prefix.Prefixes(np.repeat(tokens, 8, axis=0), np.tile(np.arange(1, 9), 4))
    usual = surprisal.loss_fn(CONFIG)(params, tokens)
    np.testing.assert_allclose(prefix.loss_fn(CONFIG)(params, every), usual, rtol=1e-5)


def test_positions_are_uniform_and_have_a_prefix():
    drawn = np.asarray(prefix.draw(jax.random.key(0), np.zeros((8000, 9), np.int32)).position)
    counts = np.bincount(drawn, minlength=9)
    assert counts[0] == 0
    assert len(counts) == 9
    np.testing.assert_allclose(counts[1:] / 1000, 1, atol=4 / 1000**0.5)
