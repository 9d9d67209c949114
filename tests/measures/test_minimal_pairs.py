"""Preferences against whole log-probabilities, pair KL against extended precision.

Axes: S seeds, N pairs.
"""

import jax
import numpy as np
import pytest

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import minimal_pairs
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=8,
    num_layers=1,
    num_heads=2,
    intermediate_size=8,
    vocab_size=23,
    max_positions=32,
    rotary_fraction=0.5,
)
APPLY = jax.jit(models.apply_fn(CONFIG))
LONGEST = 16  # tokens, at least as many as the longest sentence


@pytest.fixture(scope="module")
def seeds():
    own = [
        jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(seed), CONFIG) for seed in range(2)
    ]
    return jax.tree.map(lambda *leaves: 3 * np.stack(leaves), *own)


@pytest.fixture(scope="module")
def sentences():
    """(good, bad) of many lengths; some share a beginning, one is the beginning of the other."""
    rng = np.random.default_rng(0)
    good = [rng.integers(0, 23, n).astype(np.int32) for n in rng.integers(2, 14, 30)]
    bad = [np.r_[row[: len(row) // 2], rng.integers(0, 23, 3)].astype(np.int32) for row in good]
    return [*good, good[0]], [*bad, np.r_[good[0], 5].astype(np.int32)]


def log_prob(params, ids) -> float:
    """Sum over the tokens after the first, from whole logits.

    All sentences have one length here, since a causal model sees no padding.
    """
    padded = np.pad(ids, (0, LONGEST - len(ids)))
    logits = np.asarray(APPLY(params, padded[None])[0, : len(ids) - 1], np.float64)
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return float(log_p[np.arange(len(ids) - 1), ids[1:]].sum())


@pytest.mark.parametrize("lengths", [1, 4])
def test_preference_is_the_difference_of_whole_sentences(seeds, sentences, lengths):
    good, bad = sentences
    preference = minimal_pairs.preferences(
        CONFIG, seeds, minimal_pairs.batch_pairs(good, bad, lengths)
    )
    for s in range(2):
        params = jax.tree.map(lambda leaf, s=s: leaf[s], seeds)
        expected = [
            log_prob(params, a) - log_prob(params, b) for a, b in zip(good, bad, strict=True)
        ]
        np.testing.assert_allclose(preference[s], expected, atol=1e-4)


def test_batching_changes_nothing(seeds, sentences, monkeypatch):
    whole = minimal_pairs.preferences(CONFIG, seeds, minimal_pairs.batch_pairs(*sentences))
    monkeypatch.setattr(minimal_pairs, "_BATCH_TOKENS", {"cpu": 60})
    np.testing.assert_allclose(
        minimal_pairs.preferences(CONFIG, seeds, minimal_pairs.batch_pairs(*sentences)),
        whole,
        atol=1e-4,
    )


def test_kl_is_that_of_two_sentence_distributions():
    """Equation 5 in extended precision, from seeds 1e-7 apart to 300 nats apart."""
    rng = np.random.default_rng(1)
    base = rng.normal(0, 8, 400)
    x = np.stack([base, base + rng.normal(size=400) * np.geomspace(1e-7, 300, 400)])
    wide = x.astype(np.longdouble)
    log_p, log_q = (
        -np.logaddexp(0, -wide),
        -np.logaddexp(0, wide),
    )  # of the good sentence, of the bad one
    expected = np.exp(log_p[0]) * (log_p[0] - log_p[1]) + np.exp(log_q[0]) * (log_q[0] - log_q[1])
    kl = minimal_pairs.pair_kl(x)
    sound = expected > 1e-13 * np.abs(wide).max(0)  # below that the reference itself has cancelled
    assert sound.mean() > 0.6
    np.testing.assert_allclose(kl[0, 1][sound], expected[sound].astype(np.float64), rtol=1e-5)
    assert (kl >= 0).all()
    assert (kl[[0, 1], [0, 1]] == 0).all()


def test_close_seeds_follow_the_second_order():
    """KL = p q d^2 / 2 + O(d^3), where every digit of the direct form is lost."""
    a = np.linspace(-5, 5, 11)
    p = 1 / (1 + np.exp(-a))
    np.testing.assert_allclose(
        minimal_pairs.bernoulli_kl(a, a + 1e-6), p * (1 - p) * 1e-12 / 2, rtol=1e-4
    )


def test_one_seed_is_refused():
    with pytest.raises(InputError, match="1 seed"):
        minimal_pairs.pair_kl(np.zeros((1, 3)))


def test_words_beyond_the_vocabulary_are_refused(seeds):
    batches = minimal_pairs.batch_pairs([np.array([1, 2, 99])], [np.array([1, 2, 3])])
    with pytest.raises(InputError, match="99"):
        minimal_pairs.preferences(CONFIG, seeds, batches)
