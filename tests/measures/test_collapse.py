"""Collapsed scales that feed nothing can be set to 0; random ones cannot."""

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.data import contexts
from dynamics.measures import collapse, squared_error
from dynamics.models import icl_regression

CONFIG = icl_regression.Config(
    hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8, task_size=2, num_pairs=3
)


def test_planted_dead_scales_do_nothing_when_set_to_zero():
    """A last norm's scale of 0.05 whose row of the unembedding is 0 does not reach the output."""
    params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), CONFIG)
    dead = jnp.arange(8) < 3
    scale = jnp.where(dead, 0.05, params["final_norm"]["scale"])
    params["final_norm"] = {"scale": scale, "bias": params["final_norm"]["bias"]}
    kernel = jnp.where(dead[:, None], 0.0, params["unembed"]["kernel"])
    params["unembed"] = {"kernel": kernel, "bias": params["unembed"]["bias"]}
    mask = collapse.collapsed(params, 0.1)
    assert collapse.count(mask) == 3
    np.testing.assert_array_equal(mask["final_norm"]["scale"], dead)
    other = collapse.random_like(jax.random.key(1), mask)
    assert collapse.count(other) == 3
    tokens = contexts.draw(
        jax.random.key(2), 20, task_size=2, num_pairs=3, noise_variance=0.125
    ).tokens
    loss = squared_error.loss_fn(CONFIG)
    before, without, at_random = (
        float(loss(weights, tokens))
        for weights in (params, collapse.zeroed(params, mask), collapse.zeroed(params, other))
    )
    assert abs(without - before) < 1e-6
    assert abs(at_random - before) > 1e-4
