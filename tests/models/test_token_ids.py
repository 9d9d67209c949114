"""Ids outside the vocabulary: an error where they can be seen, NaN where they cannot."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import divergence, masked, prefix, surprisal

V = 11
SHAPE = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 8}
SHAPE |= {"vocab_size": V, "max_positions": 8}
NEOX, BERT = models.gpt_neox.Config(**SHAPE), models.bert.Config(**SHAPE)
BAD_IDS = (-1, -V, -V - 1, V, V + 1, 127, -128, 2**15, 2**31 - 1, -(2**31))


@functools.cache
def params_of(config):
    return jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)


def two_seeds(config):
    return jax.tree.map(lambda leaf: np.stack([leaf, leaf]), params_of(config))


def batch_of(tokens):
    return masked.Batch(tokens, jnp.zeros((1, 1), jnp.int32), tokens[:, -1:])


CALLS = {
    "apply_fn": (NEOX, models.apply_fn(NEOX)),
    "apply_fn of a BERT": (BERT, models.apply_fn(BERT)),
    "surprisal_fn": (NEOX, surprisal.surprisal_fn(NEOX)),
    "loss_fn": (NEOX, surprisal.loss_fn(NEOX)),
    "gradient": (NEOX, jax.value_and_grad(surprisal.loss_fn(NEOX))),
    "masked loss_fn": (BERT, lambda p, tokens: masked.loss_fn(BERT)(p, batch_of(tokens))),
    "prefix loss_fn": (
        NEOX,
        lambda p, tokens: prefix.loss_fn(NEOX)(p, prefix.Prefixes(tokens, jnp.array([3]))),
    ),
}


def windows(bad: int, place: int):
    ids = np.array([[1, 2, 3, 4]], np.int32)
    ids[0, place] = bad
    return jnp.asarray(ids)


@pytest.mark.parametrize("name", CALLS)
def test_token_ids_out_of_range_are_an_error_outside_jit_and_nan_inside(name):
    config, call = CALLS[name]
    jitted = jax.jit(call)
    finite = jitted(params_of(config), windows(5, 0))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(finite))
    for bad in BAD_IDS:
        for place in (0, 3):
            with pytest.raises(InputError, match=r"token ids from .* expected 0 to 10"):
                call(params_of(config), windows(bad, place))
            numbers = jitted(params_of(config), windows(bad, place))
            assert all(np.isnan(leaf).any() for leaf in jax.tree.leaves(numbers)[:1]), (bad, place)


def test_a_gradient_of_a_target_out_of_range_is_nan():
    gradient = jax.jit(jax.grad(surprisal.loss_fn(NEOX)))(params_of(NEOX), windows(V, 3))
    assert all(np.isnan(leaf).any() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("bad", BAD_IDS)
def test_seed_divergence_refuses_token_ids_out_of_range(bad):
    tokens = np.array(windows(bad, 2))
    with pytest.raises(InputError, match="token ids"):
        divergence.seed_divergence(NEOX, two_seeds(NEOX), tokens)
    with pytest.raises(InputError, match="token ids"):
        masked.seed_divergence(BERT, two_seeds(BERT), tokens, np.array([[0]]), mask=0)


def test_ids_of_a_narrow_type_are_compared_as_they_are():
    ids = models.ids_or_end(jnp.array([-1, 3, 100], jnp.int8), 300)
    assert ids.tolist() == [300, 3, 100]


def test_a_vocabulary_of_one_token_knows_no_other():
    config = models.gpt_neox.Config(**{**SHAPE, "vocab_size": 1})
    params = models.init(jax.random.key(0), config)
    apply = jax.jit(models.apply_fn(config))
    assert np.isfinite(apply(params, jnp.array([[0]]))).all()
    assert np.isnan(apply(params, jnp.array([[1]]))).all()
