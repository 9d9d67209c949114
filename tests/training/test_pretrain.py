"""Batches are functions of (seed, step), seeds do not interact, the first step changes nothing."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics.errors import InputError
from dynamics.training import nano, pretrain

RECIPE = dataclasses.replace(nano.RECIPES["smoke"][0], num_steps=4, warmup=2)
STREAM = np.random.default_rng(0).integers(0, RECIPE.config.vocab_size, 3000).astype(np.int32)


def test_batches_depend_on_seed_and_step_alone():
    batch = pretrain.batch_at(RECIPE, jnp.asarray(STREAM), 1, 5)
    np.testing.assert_array_equal(batch, pretrain.batch_at(RECIPE, jnp.asarray(STREAM), 1, 5))
    assert (batch != pretrain.batch_at(RECIPE, jnp.asarray(STREAM), 1, 6)).any()
    assert (batch != pretrain.batch_at(RECIPE, jnp.asarray(STREAM), 2, 5)).any()
    assert batch.shape == (RECIPE.batch_size, RECIPE.context)


def test_crossed_seeds_share_an_initialisation_or_a_data_order():
    crossed = dataclasses.replace(RECIPE, num_seeds=6, num_orders=3)
    start, _ = pretrain.functions(crossed)
    drawn = np.asarray(start(jnp.arange(6)).params["unembed"]["kernel"])
    batches = np.array([pretrain.batch_at(crossed, jnp.asarray(STREAM), k, 5) for k in range(6)])
    for first, other in itertools.combinations(range(6), 2):
        same_init, same_order = first // 3 == other // 3, first % 3 == other % 3
        assert np.array_equal(drawn[first], drawn[other]) == same_init
        assert np.array_equal(batches[first], batches[other]) == same_order
    # An order is that of the seed of its number in a suite that crosses nothing.
    np.testing.assert_array_equal(batches[4], pretrain.batch_at(RECIPE, jnp.asarray(STREAM), 1, 5))
    assert crossed.fingerprint("a") != dataclasses.replace(RECIPE, num_seeds=6).fingerprint("a")
    with pytest.raises(InputError, match="7 seeds"):
        dataclasses.replace(crossed, num_seeds=7)


def test_first_step_has_rate_zero_as_in_pythia():
    start, advance = pretrain.functions(RECIPE)
    state = start(jnp.arange(3))
    before = jax.device_get(state.params)
    after = advance(state, jnp.arange(3), jnp.asarray(STREAM))
    chex.assert_trees_all_equal(before, jax.device_get(after.params))
    again = advance(after, jnp.arange(3), jnp.asarray(STREAM))
    assert (np.asarray(again.params["unembed"]["kernel"]) != before["unembed"]["kernel"]).any()


def test_a_seed_trains_alike_alone_and_among_others():
    start, advance = pretrain.functions(RECIPE)
    together, alone = start(jnp.arange(3)), start(jnp.array([1]))
    for _ in range(3):
        together = advance(together, jnp.arange(3), jnp.asarray(STREAM))
        alone = advance(alone, jnp.array([1]), jnp.asarray(STREAM))
    np.testing.assert_allclose(together.loss[1], alone.loss[0], rtol=1e-5)
    chex.assert_tree_all_finite(together.params)


def test_a_run_that_diverges_is_refused_where_a_checkpoint_is_due(tmp_path):
    start, _ = pretrain.functions(RECIPE)
    state = start(jnp.arange(3))
    state.params["unembed"]["kernel"] = state.params["unembed"]["kernel"].at[1].set(jnp.inf)
    with pytest.raises(InputError, match=r"step 0 in 1 of \d+ leaves \(unembed/kernel\).*diverged"):
        pretrain._save_seeds(RECIPE, state, tmp_path, tmp_path / "tokenizer.json")
    assert not list(tmp_path.iterdir())


def test_compiles_once():
    start, advance = pretrain.functions(RECIPE)
    advance.clear_cache()
    state = start(jnp.arange(3))
    for _ in range(3):
        state = advance(state, jnp.arange(3), jnp.asarray(STREAM))
    assert advance._cache_size() == 1


def test_checkpoint_steps_are_pythias():
    recipe = nano.RECIPES["nano"][0]
    assert recipe.checkpoint_steps() == (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 640)
    assert recipe.fingerprint("a") != recipe.fingerprint("b")


@pytest.mark.parametrize("recipe", [nano.RECIPES["nano"][1], nano.RECIPES["nano-warmup"][0]])
def test_the_stated_rate_is_the_optimisers(recipe):
    stated = recipe.learning_rate()
    theirs = optax.warmup_cosine_decay_schedule(
        0.0,
        recipe.peak_rate,
        recipe.warmup,
        recipe.num_steps,
        recipe.peak_rate * recipe.final_rate_share,
    )
    steps = range(0, recipe.num_steps + 20, 7)
    np.testing.assert_allclose(
        [stated(step) for step in steps], [float(theirs(step)) for step in steps], rtol=1e-5
    )
