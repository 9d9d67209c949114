"""The objectives: which tokens are hidden and behind what; causal models see the text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models
from dynamics.data.tokenizer import MASK_ID
from dynamics.measures import surprisal
from dynamics.training import nano, objective, pretrain

V = 211
TOKENS = np.random.default_rng(0).integers(MASK_ID + 1, V, (300, 64)).astype(np.int32)


@pytest.fixture(scope="module")
def batch():
    return jax.device_get(objective.hide(jax.random.key(1), jnp.asarray(TOKENS), V))


def test_every_row_hides_fifteen_percent_and_keeps_what_stood_there(batch):
    assert batch.positions.shape == (300, round(0.15 * 64))
    assert all(len(set(row)) == len(row) for row in batch.positions.tolist())
    np.testing.assert_array_equal(
        batch.targets, np.take_along_axis(TOKENS, batch.positions, axis=1)
    )
    untouched = np.ones(TOKENS.shape, bool)
    np.put_along_axis(untouched, batch.positions, False, axis=1)
    np.testing.assert_array_equal(batch.tokens[untouched], TOKENS[untouched])


def test_most_stand_behind_the_mask_some_behind_another_some_behind_themselves(batch):
    shown = np.take_along_axis(batch.tokens, batch.positions, axis=1)
    masked, unchanged = shown == MASK_ID, shown == batch.targets
    other = ~masked & ~unchanged
    noise = 4 * 0.5 / shown.size**0.5
    assert masked.mean() == pytest.approx(0.8, abs=noise)
    assert other.mean() == pytest.approx(0.1 * (1 - 1 / (V - 2)), abs=noise)
    assert unchanged.mean() == pytest.approx(0.1, abs=noise)
    assert shown[other].min() > MASK_ID  # neither the separator nor the mask


def test_every_place_is_hidden_as_often(batch):
    counts = np.bincount(batch.positions.ravel(), minlength=64)
    assert counts.max() < 300 * 0.15 + 5 * (300 * 0.15 * 0.85) ** 0.5
    assert counts.min() > 300 * 0.15 - 5 * (300 * 0.15 * 0.85) ** 0.5


def test_the_architecture_decides_what_is_predicted():
    kinds = {
        name: {recipe.objective for recipe in recipes} for name, recipes in nano.RECIPES.items()
    }
    assert {name for name, objectives in kinds.items() if objectives != {"causal"}} == {
        "nano-masked",
        "smoke-masked",
    }
    assert kinds["nano-masked"] == kinds["smoke-masked"] == {"masked"}


def test_causal_models_are_trained_on_the_text_as_it_is():
    recipe = nano.RECIPES["smoke"][0]
    params = jax.jit(models.init, static_argnums=1)(jax.random.key(0), recipe.config)
    tokens = jnp.asarray(TOKENS[:3, :20] % recipe.config.vocab_size)
    expected = jax.jit(surprisal.loss_fn(recipe.config))(params, tokens)
    loss = jax.jit(objective.loss_fn(recipe))
    for key in (0, 1):
        np.testing.assert_array_equal(loss(params, tokens, jax.random.key(key)), expected)


@pytest.mark.long
def test_what_is_hidden_depends_on_seed_and_step_alone():
    """A run that is resumed, or trained alone, hides what it would have hidden among others."""
    recipe = nano.RECIPES["smoke-masked"][0]
    stream = jnp.asarray(TOKENS.ravel()[:3000] % recipe.config.vocab_size)
    start, advance = pretrain.functions(recipe)
    together, alone = start(jnp.arange(3)), start(jnp.array([1]))
    losses = []
    for _ in range(3):
        together, alone = (
            advance(together, jnp.arange(3), stream),
            advance(alone, jnp.array([1]), stream),
        )
        np.testing.assert_allclose(together.loss[1], alone.loss[0], rtol=1e-5)
        losses.append(np.asarray(together.loss))
    assert len(np.unique(losses)) == 9
