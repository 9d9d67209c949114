"""Perplexity of texts: closed forms, the surprisal's own pass, and numbers that cannot be.

Axes: N texts, T places, V vocabulary.
"""

import dataclasses

import numpy as np
import pytest
from random_params import random_params

from dynamics import models
from dynamics.errors import InputError, located
from dynamics.measures import perplexity, surprisal
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=1, num_heads=2, intermediate_size=8, vocab_size=29, max_positions=19
)
TOKENS = np.random.default_rng(0).integers(0, 29, (5, 11)).astype(np.int32)


@pytest.fixture(scope="module")
def params():
    return random_params(CONFIG)


@pytest.fixture(scope="module")
def by_token(params):
    return np.asarray(surprisal.surprisal_fn(CONFIG)(params, TOKENS))


def test_a_model_that_knows_nothing_has_the_vocabulary_as_perplexity(params):
    blank = {**params, "unembed": {"kernel": np.zeros((16, 29), np.float32)}}
    mean = perplexity.text_surprisal(CONFIG, blank, TOKENS).mean
    np.testing.assert_allclose(np.exp(mean), 29, rtol=1e-5)


def test_texts_have_the_mean_of_their_tokens(params, by_token):
    texts = perplexity.text_surprisal(CONFIG, params, TOKENS)
    np.testing.assert_allclose(texts.mean, by_token.mean(1), rtol=1e-5)
    assert texts.scored.tolist() == [10] * 5
    assert texts.last_word is None


def test_what_stands_beyond_a_text_is_not_scored(params, by_token, monkeypatch):
    monkeypatch.setitem(perplexity._BLOCK_TOKENS, "cpu", 22)  # two texts of a block
    lengths = np.array([11, 2, 5, 7, 3])
    texts = perplexity.text_surprisal(CONFIG, params, TOKENS, lengths)
    expected = [row[: n - 1].mean() for row, n in zip(by_token, lengths, strict=True)]
    np.testing.assert_allclose(texts.mean, expected, rtol=1e-5)
    assert texts.scored.tolist() == (lengths - 1).tolist()


def test_a_last_word_is_the_sum_of_its_tokens(params, by_token):
    lengths, begins = np.array([11, 4, 5, 7, 3]), np.array([9, 3, 2, 6, 1])
    texts = perplexity.text_surprisal(CONFIG, params, TOKENS, lengths, begins)
    expected = [
        row[a - 1 : n - 1].sum() for row, a, n in zip(by_token, begins, lengths, strict=True)
    ]
    np.testing.assert_allclose(texts.last_word, expected, rtol=1e-5)


def test_a_last_word_of_many_tokens_may_be_less_likely_than_numbers_go(params):
    blank = {**params, "unembed": {"kernel": np.zeros((16, 29), np.float32)}}
    tokens = np.zeros((1, 260), np.int32)
    config = dataclasses.replace(CONFIG, max_positions=260)
    texts = perplexity.text_surprisal(config, blank, tokens, last_word=np.array([2]))
    assert texts.last_word is not None
    assert texts.last_word[0] == pytest.approx(258 * np.log(29), rel=1e-5)  # exp of it is infinite


def test_a_last_word_is_right_where_each_of_its_tokens_is_the_likeliest(params):
    likeliest = np.asarray(models.apply_fn(CONFIG)(params, TOKENS)).argmax(-1)
    tokens = TOKENS.copy()
    tokens[0, 10] = likeliest[0, 9]
    tokens[1, 10] = (likeliest[1, 9] + 1) % 29
    texts = perplexity.text_surprisal(CONFIG, params, tokens, last_word=np.full(5, 10))
    assert texts.last_right is not None
    assert texts.last_right[:2].tolist() == [True, False]
    both = perplexity.text_surprisal(CONFIG, params, tokens, last_word=np.full(5, 9))
    assert both.last_right is not None
    assert both.last_right[0] == (tokens[0, 9] == likeliest[0, 8])


@pytest.mark.parametrize("mean", [-4.6, np.nan, np.inf, 1e4])
def test_an_impossible_perplexity_is_an_error_that_names_the_checkpoint(mean):
    with (
        pytest.raises(InputError, match=r"perplexity of .*toy seed 0 step 8.*no probability"),
        located("toy seed 0 step 8"),
    ):
        perplexity.check_surprisal([0.3, mean])


def test_logits_that_overflow_are_an_error(params):
    """A model whose finite weights make logits of infinity, as float32 may."""
    huge = {**params, "unembed": {"kernel": np.full((16, 29), 3e38, np.float32)}}
    with pytest.raises(InputError, match="a perplexity of nan"):
        perplexity.text_surprisal(CONFIG, huge, TOKENS)


@pytest.mark.parametrize(
    ("lengths", "last_word"), [([1, 11, 11, 11, 11], None), ([12] * 5, None), (None, [0] * 5)]
)
def test_texts_without_anything_to_score_are_refused(params, lengths, last_word):
    with pytest.raises(InputError):
        perplexity.text_surprisal(CONFIG, params, TOKENS, lengths, last_word)
