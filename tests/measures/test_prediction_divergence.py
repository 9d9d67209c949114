"""Predictions as normal distributions: the closed form is the integral, and models give it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from dynamics import models
from dynamics.data import contexts
from dynamics.errors import InputError
from dynamics.measures import prediction_divergence
from dynamics.models import icl_regression

CONFIG = icl_regression.Config(
    hidden_size=4, num_layers=1, num_heads=1, intermediate_size=4, task_size=2, num_pairs=3
)


def test_the_closed_form_is_the_integral():
    first, second = 0.3, -1.1

    def integrand(y: float) -> float:
        return norm.pdf(y, first) * (norm.logpdf(y, first) - norm.logpdf(y, second))

    kl = prediction_divergence.gaussian_kl([first, second])
    np.testing.assert_allclose(kl[0, 1], quad(integrand, -12, 12)[0], rtol=1e-8)
    np.testing.assert_array_equal(kl, kl.T)


def test_seeds_that_say_constants_are_half_their_squared_distance_apart():
    params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), CONFIG)
    constants = np.array([0.5, -1.0, 2.0])
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), params)
    stacked["unembed"] = {
        "kernel": jnp.zeros_like(stacked["unembed"]["kernel"]),
        "bias": jnp.tile(jnp.asarray(constants, jnp.float32)[:, None], (1, CONFIG.token_size)),
    }
    tokens = contexts.draw(
        jax.random.key(1), 5, task_size=2, num_pairs=3, noise_variance=0.125
    ).tokens
    found = prediction_divergence.seed_predictions(CONFIG, stacked, tokens)
    expected = np.square(constants[:, None] - constants) / 2
    np.testing.assert_allclose(found.kl, np.repeat(expected[..., None], 5, axis=-1))
    np.testing.assert_allclose(found.from_mean_task[:, 0], np.square(constants) / 2)
    y = np.asarray(contexts.targets_of(tokens), np.float64)
    errors = np.square(y[None] - constants[:, None, None]).mean(-1)
    np.testing.assert_allclose(found.squared_error, errors, rtol=1e-6)


def test_one_seed_has_no_pair():
    with pytest.raises(InputError, match="1 seed"):
        prediction_divergence.gaussian_kl([0.5])
