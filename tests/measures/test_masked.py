"""Masked models a mask at a time: against brute force, and what no prediction may depend on.

Axes: S seeds, B windows, T tokens, P positions, V vocabulary, G documents.
"""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import masked, surprisal
from dynamics.models import bert

S, B, T, P, V, MASK = 3, 5, 11, 4, 53, 2
CONFIG = bert.Config(
    hidden_size=14,
    num_layers=2,
    num_heads=2,
    intermediate_size=17,
    vocab_size=V,
    max_positions=13,
    initializer_range=0.4,
)
TOKENS = np.random.default_rng(0).integers(3, V, (B, T)).astype(np.int32)
POSITIONS = masked.choose_positions(B, range(1, T - 1), P)
DOCUMENTS = np.array([4, 4, 1, 4, 9])


def params_of(seed: int):
    """Every leaf random, the output bias too."""
    drawn = jax.jit(models.init, static_argnums=1)(jax.random.key(seed), CONFIG)
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) + draw.normal(0, 0.1, leaf.shape).astype(np.float32), drawn
    )


@pytest.fixture(scope="module")
def stacked():
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(params_of(seed) for seed in range(S)))


@pytest.fixture(scope="module")
def numbers(stacked):
    log_unigram = np.log(np.arange(1, V + 1) / (V * (V + 1) / 2))
    return masked.seed_divergence(
        CONFIG,
        stacked,
        TOKENS,
        POSITIONS,
        MASK,
        documents=DOCUMENTS,
        log_unigram=log_unigram,
        full=True,
    )


@pytest.fixture(scope="module")
def brute(stacked):
    """Log-probabilities [S,B,P,V] in float64, of one forward pass for each mask."""
    apply = jax.jit(models.apply_fn(CONFIG))
    logits = np.zeros((S, B, P, V))
    with jax.default_matmul_precision("highest"):
        for seed in range(S):
            own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], stacked)
            for window in range(B):
                for p, position in enumerate(POSITIONS[window]):
                    text = TOKENS[window].copy()
                    text[position] = MASK
                    logits[seed, window, p] = np.asarray(apply(own, text[None]))[0, position]
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_numbers_equal_brute_force(numbers, brute):
    p = np.exp(brute)
    kl = np.einsum("ibpv,ijbpv->ijbp", p, brute[:, None] - brute[None])
    mixed = np.log((p[:, None] + p[None]) / 2)
    to_mixed = np.einsum("ibpv,ijbpv->ijbp", p, brute[:, None] - mixed)
    targets = np.take_along_axis(TOKENS, POSITIONS, axis=1)
    lost = -np.take_along_axis(brute, targets[None, :, :, None], axis=-1)[..., 0]
    assert kl.mean() > 0.1
    np.testing.assert_allclose(numbers["kl_pairs"], kl, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        numbers["js_pairs"], (to_mixed + to_mixed.swapaxes(0, 1)) / 2, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(numbers["kl"], kl.sum((0, 1)) / (S * (S - 1)), rtol=1e-4)
    np.testing.assert_allclose(numbers["surprisal"], lost, rtol=1e-4)


def test_documents_hold_the_means_of_their_masks(numbers, brute):
    p = np.exp(brute)
    entropy = -(p * brute).sum(-1)
    unigram = np.log(np.arange(1, V + 1) / (V * (V + 1) / 2))
    expected = {
        "entropy": entropy,
        "kl_uniform": math.log(V) - entropy,
        "kl_unigram": (p * (brute - unigram)).sum(-1),
    }
    assert numbers["document_tokens"].tolist() == [P, 3 * P, P]  # documents 1, 4 and 9
    for name, values in expected.items():
        means = np.stack([values[:, g == DOCUMENTS].mean((1, 2)) for g in (1, 4, 9)], axis=-1)
        np.testing.assert_allclose(numbers[f"{name}_documents"], means, rtol=1e-4, err_msg=name)


def test_a_prediction_does_not_depend_on_the_token_that_was_masked(numbers, stacked):
    """Bit for bit: the model never sees it, however the text that is given differs there."""
    changed = TOKENS.copy()
    rows = np.arange(B)
    changed[rows, POSITIONS[:, 1]] = (changed[rows, POSITIONS[:, 1]] - 3 + 1) % (V - 3) + 3
    other = masked.seed_divergence(CONFIG, stacked, changed, POSITIONS, MASK, full=True)
    np.testing.assert_array_equal(other["kl_pairs"][..., 1], numbers["kl_pairs"][..., 1])
    assert (other["surprisal"][..., 1] != numbers["surprisal"][..., 1]).all()
    # The other gaps of the window do see it.
    assert (other["kl_pairs"][0, 1, :, 0] != numbers["kl_pairs"][0, 1, :, 0]).all()


def test_equal_seeds_do_not_differ(stacked):
    twins = jax.tree.map(lambda leaf: np.stack([leaf[0], leaf[0]]), stacked)
    numbers = masked.seed_divergence(CONFIG, twins, TOKENS, POSITIONS, MASK)
    np.testing.assert_array_equal(numbers["kl"], 0)
    np.testing.assert_array_equal(numbers["js"], 0)
    np.testing.assert_array_equal(numbers["surprisal"][0], numbers["surprisal"][1])


def test_the_order_of_layers_matters(numbers, stacked):
    turned = {**stacked, "layers": jax.tree.map(lambda leaf: leaf[:, ::-1], stacked["layers"])}
    other = masked.seed_divergence(CONFIG, turned, TOKENS, POSITIONS, MASK)
    assert np.abs(other["surprisal"] - numbers["surprisal"]).max() > 0.1


@pytest.mark.parametrize("masks", [1, 2 * P, 3 * P + 1])
def test_blocks_of_any_size_give_the_same(numbers, stacked, monkeypatch, masks):
    monkeypatch.setattr(masked, "_BLOCK_MASKS", masks)
    other = masked.seed_divergence(CONFIG, stacked, TOKENS, POSITIONS, MASK, documents=DOCUMENTS)
    for name in ("kl", "js", "surprisal", "entropy_documents", "kl_documents", "max_logit"):
        np.testing.assert_allclose(other[name], numbers[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_sweep_compiles_once(stacked):
    masked._fused.cache_clear()
    for scale in (1.0, 0.5):
        moved = jax.tree.map(lambda leaf, scale=scale: scale * leaf, stacked)
        masked.seed_divergence(CONFIG, moved, TOKENS, POSITIONS, MASK)
    assert masked._fused(CONFIG, True)._cache_size() == 1


def test_positions_are_one_of_every_stretch():
    places = range(2, 32)
    positions = masked.choose_positions(4000, places, 5)
    for k, column in enumerate(positions.T):
        stretch, counts = np.unique(column, return_counts=True)
        np.testing.assert_array_equal(stretch, 2 + 6 * k + np.arange(6))
        np.testing.assert_allclose(counts / 4000, 1 / 6, atol=5 * (5 / 36 / 4000) ** 0.5)
    np.testing.assert_array_equal(
        positions[:7], masked.choose_positions(7, places, 5)
    )  # of any number of windows


def test_uneven_stretches_leave_no_place_out():
    positions = masked.choose_positions(2000, range(7), 3)
    assert set(np.unique(positions)) == set(range(7))
    assert (np.diff(positions) > 0).all()


@pytest.mark.parametrize("count", [0, 30, 99])
def test_all_positions(count):
    np.testing.assert_array_equal(
        masked.choose_positions(2, range(2, 32), count), [np.arange(2, 32)] * 2
    )


@pytest.mark.long
def test_training_loss_is_the_mean_surprisal_of_what_was_hidden():
    params = params_of(1)
    positions = POSITIONS[:, ::-1].copy()
    batch = masked.Batch(TOKENS, positions, (np.take_along_axis(TOKENS, positions, 1) * 5 + 1) % V)

    def plain(params):
        log_p = jax.nn.log_softmax(models.apply_fn(CONFIG)(params, batch.tokens))
        return -jnp.mean(log_p[jnp.arange(B)[:, None], batch.positions, batch.targets])

    loss, gradient = jax.jit(jax.value_and_grad(masked.loss_fn(CONFIG, chunk=7)))(params, batch)
    expected, slope = jax.jit(jax.value_and_grad(plain))(params)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    chex.assert_trees_all_close(gradient, slope, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "make", [surprisal.surprisal_fn, surprisal.loss_fn, surprisal.gauss_newton]
)
def test_no_next_token_is_asked_of_a_masked_model(make):
    with pytest.raises(InputError, match=r"a bert asked for its next token"):
        make(CONFIG)


def test_bad_input_is_refused(stacked):
    single = jax.tree.map(lambda leaf: leaf[:1], stacked)
    with pytest.raises(InputError, match="1 seed; expected two or more"):
        masked.seed_divergence(CONFIG, single, TOKENS, POSITIONS, MASK)
    with pytest.raises(
        InputError, match=f"mask token {V}; expected an id of the model's vocabulary, below {V}"
    ):
        masked.seed_divergence(CONFIG, stacked, TOKENS, POSITIONS, V)
    with pytest.raises(InputError, match=r"positions from 1 to 11; expected 0 to 10"):
        masked.seed_divergence(CONFIG, stacked, TOKENS, np.array([[1, 11]] * B), MASK)
    with pytest.raises(InputError, match="windows without a token to mask"):
        masked.choose_positions(3, range(2, 2), 5)


def test_other_configs_give_other_programs():
    assert masked.loss_fn(CONFIG) is masked.loss_fn(CONFIG)
    assert masked.loss_fn(CONFIG) is not masked.loss_fn(
        dataclasses.replace(CONFIG, layer_norm_eps=1e-3)
    )
