"""Decoding with a memory equals recomputation from scratch; draws have the model's probabilities.

Axes: B rows, N texts, P lengths of a prefix, T tokens, V vocabulary.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_params import random_params
from scipy import stats

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import completions
from dynamics.models import bert, gpt_neox

SIZES = {
    "hidden_size": 24,
    "num_layers": 2,
    "num_heads": 3,
    "intermediate_size": 31,
    "vocab_size": 29,
    "max_positions": 19,
}
CONFIG = gpt_neox.Config(**SIZES, rotary_fraction=0.5)
N, T = 3, 13
TOKENS = np.random.default_rng(0).integers(0, 29, (N, T)).astype(np.int32)


@pytest.fixture(scope="module")
def params():
    return random_params(CONFIG)


@pytest.fixture(scope="module")
def unmasked(params):
    return completions.causal_unmasking(CONFIG, params, TOKENS)


def from_scratch(config, params, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Causal unmasking without a memory: each token by a pass over all that stands before it."""
    texts, size = tokens.shape
    apply = jax.jit(models.apply_fn(config))
    rows = np.repeat(tokens, size - 1, axis=0)
    length, in_text = np.tile(np.arange(1, size), texts), rows.copy()
    own, of_text = np.full((2, len(rows), size), np.nan)
    for place in range(1, size):
        # What stands at `place` and after it cannot be seen, so that all passes share a shape.
        with jax.default_matmul_precision("highest"):
            logits = np.asarray(apply(params, rows))[:, place - 1].astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        writes, every = place >= length, np.arange(len(rows))
        rows[writes, place] = log_p.argmax(1)[writes]
        own[writes, place] = -log_p[every, rows[:, place]][writes]
        of_text[writes, place] = -log_p[every, in_text[:, place]][writes]
    shape = (texts, size - 1)
    return rows.reshape(*shape, size), *(np.nanmean(s, 1).reshape(shape) for s in (own, of_text))


@pytest.mark.parametrize(
    "parallel", [True, pytest.param(False, marks=pytest.mark.long)], ids=["parallel", "sequential"]
)
def test_a_memory_gives_what_recomputation_gives(parallel, params, unmasked):
    config = CONFIG
    if not parallel:
        config = gpt_neox.Config(**SIZES, rotary_fraction=0.5, parallel_residual=False)
        unmasked = completions.causal_unmasking(config, params, TOKENS)
    tokens, own, of_text = from_scratch(config, params, TOKENS)
    np.testing.assert_array_equal(unmasked.tokens, tokens)
    np.testing.assert_allclose(unmasked.completion, own, rtol=1e-4)
    np.testing.assert_allclose(unmasked.text, of_text, rtol=1e-4)


def test_reading_on_gives_the_hidden_states_of_the_whole(params):
    """In pieces of any length."""
    with jax.default_matmul_precision("highest"):
        whole, _ = jax.jit(models.hidden_fn(CONFIG))(params, TOKENS)
        read_on, memory = jax.jit(models.continue_fn(CONFIG)), models.empty_memory(CONFIG, N, T)
        pieces, start = [], 0
        for size in (4, 5, 4):
            h, memory = read_on(params, TOKENS[:, start : start + size], memory, start)
            pieces, start = [*pieces, h], start + size
    np.testing.assert_allclose(np.concatenate(pieces, 1), whole, atol=1e-5)


def test_prefixes_stay_as_they_are(unmasked):
    for length in range(1, T):
        np.testing.assert_array_equal(unmasked.tokens[:, length - 1, :length], TOKENS[:, :length])


def test_greedy_tokens_are_never_less_likely_than_the_texts(unmasked):
    assert (unmasked.completion[:, -1] <= unmasked.text[:, -1] + 1e-6).all()


@pytest.mark.long
def test_blocks_of_rows_change_nothing(params, unmasked, monkeypatch):
    memory = 2 * 2 * T * 24  # floats of one text
    monkeypatch.setitem(completions._BLOCK_FLOATS, "cpu", 5 * (memory + 29))  # 5 rows
    monkeypatch.setitem(completions._TEXT_FLOATS, "cpu", 2 * memory)  # 2 of 3 texts
    key = jax.random.key(3)
    few_drawn = completions.causal_unmasking(CONFIG, params, TOKENS, temperature=1.0, key=key)
    monkeypatch.undo()
    # A draw does not depend on what is decoded beside it.
    first = completions.causal_unmasking(CONFIG, params, TOKENS[:1], temperature=1.0, key=key)
    np.testing.assert_array_equal(few_drawn.tokens[:1], first.tokens)
    assert (first.tokens != unmasked.tokens[:1]).any()


def test_a_temperature_too_small_for_single_precision_is_greedy(params, unmasked):
    key = jax.random.key(0)
    cold = completions.causal_unmasking(CONFIG, params, TOKENS, temperature=1e-300, key=key)
    np.testing.assert_array_equal(cold.tokens, unmasked.tokens)


@pytest.mark.long
def test_draws_have_the_tempered_probabilities(params):
    temperature, count = 1.7, 2000
    rows = np.repeat(TOKENS[:1, :3], count, axis=0)
    complete = jax.jit(completions.complete_fn(CONFIG, temperature))
    keys = jax.random.split(jax.random.key(0), count)
    written = complete(params, rows, np.full(count, 2), keys)
    logits = models.apply_fn(CONFIG)(params, rows[:1])[0, 1]
    expected = count * np.asarray(jax.nn.softmax(logits / temperature), np.float64)
    counts = np.bincount(np.asarray(written.tokens)[:, 2], minlength=29)
    group = np.where(expected > 5, np.arange(29), 29)  # rare tokens are pooled
    observed, pooled = (np.bincount(group, weights=w, minlength=30) for w in (counts, expected))
    filled = pooled > 0
    scale = count / pooled.sum()  # float32 probabilities do not sum to 1 exactly
    assert stats.chisquare(observed[filled], pooled[filled] * scale).pvalue > 1e-3
    # Surprisal is the model's own, at temperature 1.
    own = -np.asarray(jax.nn.log_softmax(logits))[np.asarray(written.tokens)[:, 2]]
    np.testing.assert_allclose(np.asarray(written.completion)[:, 1], own, rtol=1e-4)


def test_a_memory_compiles_once_for_all_checkpoints(params):
    run = completions._compiled(CONFIG, 0.0)
    completions.causal_unmasking(CONFIG, params, TOKENS)
    compiled = run._cache_size()
    completions.causal_unmasking(CONFIG, random_params(CONFIG, 1), TOKENS)
    assert run._cache_size() == compiled


def test_repeated_ngrams_are_counted():
    rows = np.array([[5, 1, 1, 1, 1, 1], [5, 1, 2, 3, 4, 6], [5, 1, 2, 1, 2, 1]])
    repeated, total = completions.repeated_ngrams(rows, np.array([1, 1, 4]), n=2)
    assert repeated.tolist() == [3, 0, 0]
    assert total.tolist() == [4, 4, 1]
    assert completions.repeated_ngrams(rows, np.array([4, 4, 4]), n=3)[1].tolist() == [0, 0, 0]


def test_a_number_that_a_broken_model_gives_stays_one(params):
    """A NaN at one place is not left out of the mean: logits of finite weights may overflow."""
    huge = {**params, "unembed": {"kernel": np.full((24, 29), 3e38, np.float32)}}
    unmasked = completions.causal_unmasking(CONFIG, huge, TOKENS)
    assert not np.isfinite(unmasked.completion).any()


def test_bad_input_is_refused(params):
    masked = bert.Config(**SIZES)
    with pytest.raises(InputError, match="asked for its next token"):
        completions.complete_fn(masked)
    with pytest.raises(InputError, match="asked to read on"):
        bert.continue_fn(masked)
    with pytest.raises(InputError, match="key"):
        completions.causal_unmasking(CONFIG, params, TOKENS, temperature=1.0)
    with pytest.raises(InputError, match="temperature"):
        completions.complete_fn(CONFIG, -1.0)
    with pytest.raises(InputError, match="2 or more"):
        completions.causal_unmasking(CONFIG, params, TOKENS[:, :1])
    with pytest.raises(InputError, match="positions"):
        completions.causal_unmasking(CONFIG, params, np.zeros((1, 20), np.int32))
    broken = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)
    with pytest.raises(InputError, match="non-finite"):
        completions.causal_unmasking(CONFIG, broken, TOKENS)
