"""Divergence from a known truth: closed forms, and what must hold of any numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models
from dynamics.data import synthetic
from dynamics.errors import InputError
from dynamics.measures import divergence, truth
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32, vocab_size=64, max_positions=64
)


@pytest.fixture(scope="module")
def measured():
    hmm = synthetic.draw_hmm()
    tokens = synthetic.windows(hmm, 100, 24, 0)
    params = [
        jax.jit(models.init, static_argnums=1)(jax.random.key(seed), CONFIG) for seed in range(3)
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
    log_truth = synthetic.log_predictive(hmm, tokens)
    return tokens, stacked, log_truth, np.log(hmm.unigram)


@pytest.fixture(scope="module")
def numbers(measured):
    tokens, stacked, log_truth, log_unigram = measured
    return truth.divergence_from_truth(CONFIG, stacked, tokens, log_truth, log_unigram)


def test_equals_float64_of_whole_distributions(measured, numbers):
    """100 windows are two blocks; the second is not full."""
    tokens, stacked, log_truth, _ = measured
    logits = jax.vmap(models.apply_fn(CONFIG), in_axes=(0, None))(stacked, tokens[:, :-1])
    log_p = np.asarray(logits, np.float64)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    log_q = np.asarray(log_truth, np.float64)
    log_q -= np.log(np.exp(log_q).sum(-1, keepdims=True))
    np.testing.assert_allclose(
        numbers["truth_model"], (np.exp(log_q) * (log_q - log_p)).sum(-1), rtol=2e-4
    )
    np.testing.assert_allclose(
        numbers["model_truth"], (np.exp(log_p) * (log_p - log_q)).sum(-1), rtol=2e-4
    )
    np.testing.assert_allclose(numbers["kl"], divergence.pairwise_kl(logits), rtol=1e-3, atol=1e-6)


def test_divergences_are_never_negative(numbers):
    for name in (
        "truth_model",
        "model_truth",
        "unigram_model",
        "model_unigram",
        "truth_unigram",
        "common",
        "kl",
    ):
        assert (numbers[name] >= 0).all(), name


def test_common_and_own_parts_sum_to_the_mean(numbers):
    np.testing.assert_allclose(
        numbers["common"] + numbers["variance"], numbers["truth_model"].mean(0), rtol=1e-4
    )


def test_own_part_is_a_quarter_of_the_divergence_of_two_close_models():
    """KL goes with the squared distance, and the middle is half as far as the other model."""
    rng = np.random.default_rng(1)
    base, step = rng.normal(size=(1, 5, 64)), 1e-2 * rng.normal(size=(1, 5, 64))
    logits = jnp.asarray(np.concatenate([base - step, base + step]), jnp.float32)
    even = jnp.full((5, 64), -np.log(64.0))
    numbers = truth.numbers(logits, jnp.zeros(5, jnp.int32), even, even[0])
    np.testing.assert_allclose(numbers["variance"], numbers["kl"][0, 1] / 4, rtol=2e-2)


@pytest.mark.parametrize("offset", [0.0, 10.0, 1_000.0])
@pytest.mark.parametrize("apart", [1e-4, 3e-3, 0.3, 20.0])
def test_own_part_of_close_models_is_that_of_float64(apart, offset):
    """On the same float32 logits; an offset of a model changes no distribution."""
    rng = np.random.default_rng(2)
    each = rng.normal(scale=3, size=(1, 7, 501)) + apart * rng.normal(size=(3, 7, 501))
    each[1] += offset
    logits = jnp.asarray(each, jnp.float32)
    log_p = np.asarray(logits, np.float64)
    log_p -= log_p.max(-1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    log_g = log_p.mean(0) - np.log(np.exp(log_p.mean(0)).sum(-1, keepdims=True))
    expected = (np.exp(log_g) * (log_g - log_p)).sum(-1).mean(0)
    even = jnp.full((7, 501), -np.log(501.0))
    numbers = truth.numbers(logits, jnp.zeros(7, jnp.int32), even, even[0])
    np.testing.assert_allclose(numbers["variance"], expected, rtol=1e-4)


def test_a_model_that_is_the_truth_has_none(measured):
    _, _, log_truth, log_unigram = measured
    exact = jnp.asarray(log_truth).reshape(-1, 64)[:50]
    numbers = truth.numbers(
        jnp.stack([exact, exact + 3.0]), jnp.zeros(50, jnp.int32), exact, jnp.asarray(log_unigram)
    )
    for name in ("truth_model", "model_truth", "kl", "common", "variance"):
        np.testing.assert_allclose(numbers[name], 0, atol=2e-6)


def test_excess_loss_is_the_divergence_in_expectation(numbers):
    """E[surprisal] - entropy = KL(truth || model) where targets are drawn from the truth.

    Windows are independent.
    """
    excess = (numbers["surprisal"] - numbers["true_surprisal"] - numbers["truth_model"]).mean(
        (0, 2), dtype=np.float64
    )
    assert abs(excess.mean()) < 4 * excess.std(ddof=1) / np.sqrt(len(excess))
    assert numbers["truth_model"].mean() > 1  # so that it is no identity of zeros


def test_what_is_not_one_distribution_a_prediction_is_told(measured):
    tokens, stacked, log_truth, log_unigram = measured
    with pytest.raises(InputError, match="one for every prediction"):
        truth.divergence_from_truth(CONFIG, stacked, tokens, log_truth[:, 1:], log_unigram)
    alone = jax.tree.map(lambda leaf: leaf[:1], stacked)
    with pytest.raises(InputError, match="1 seed"):
        truth.divergence_from_truth(CONFIG, alone, tokens, log_truth, log_unigram)
