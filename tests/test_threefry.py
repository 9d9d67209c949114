"""Threefry's numbers: normal to the tails, even signs, independent of how they are drawn.

Axes: M numbers, K streams (chains, steps or leaves).
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry2x32_p
from scipy import special, stats

from dynamics.slt.noise import noise
from dynamics.threefry import like, normal, sign, words

M = 2_000_000


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return np.asarray(
        jax.jit(noise)(jax.random.key(0), {"w": jnp.zeros((M // 8, 8))})["w"], np.float64
    ).ravel()


def test_words_are_those_of_threefry():
    key = jnp.array([0x13198A2E, 0x03707344], jnp.uint32)
    first, second = jax.random.bits(jax.random.key(1), (2, 1000), jnp.uint32)
    expected = threefry2x32_p.bind(key[0], key[1], first, second)
    np.testing.assert_array_equal(words(key, first, second), expected)


def test_published_answer():
    """Random123's known-answer vectors for threefry2x32, 20 rounds."""
    for key, counter, answer in (
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ):
        answered = words(jnp.array(key, jnp.uint32), *(jnp.array([c], jnp.uint32) for c in counter))
        assert tuple(int(w[0]) for w in answered) == answer


def test_words_become_quantiles():
    """Against scipy's inverse in float64, at both ends, around 0 and between."""
    places = np.array([0, 1, 2**23 - 1, 2**23, 2**24 - 1, 5_000_000, 12_345_678], np.int64)
    words = jnp.asarray((places << 8).astype(np.uint32))
    signed = np.where(places < 2**23, places, places - 2**24)
    expected = np.sqrt(2) * special.erfinv((signed + 0.5) / 2**23)
    np.testing.assert_allclose(normal(words), expected, rtol=3e-5)
    assert 5.3 < np.abs(expected).max() < 5.5


def test_moments_to_the_fourth(drawn):
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((drawn**power).mean() - mean) < 4 * np.sqrt(variance / M)


def test_distribution_is_normal(drawn):
    assert stats.kstest(drawn, "norm").pvalue > 1e-3


@pytest.mark.parametrize("beyond", [2, 3, 4, 4.5])
def test_tails(drawn, beyond):
    expected = M * stats.norm.sf(beyond)
    for count in ((drawn > beyond).sum(), (drawn < -beyond).sum()):
        assert 1e-4 < stats.poisson.cdf(count, expected) < 1 - 1e-4


def streams(which: str) -> np.ndarray:
    """[K,M/8] noise of eight chains, steps or leaves, or the eight rows of one leaf."""
    key, leaf = jax.random.key(3), jnp.zeros(M // 8)
    if which == "leaves":
        tree = noise(key, dict.fromkeys("abcdefgh", leaf))
        return np.stack([tree[name] for name in "abcdefgh"])
    if which == "places":
        return np.asarray(noise(key, jnp.zeros((8, M // 8))))
    keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(8))
    keys = keys if which == "chains" else jax.vmap(lambda k: jax.random.fold_in(k, 5))(keys)
    return np.asarray(jax.vmap(lambda k: noise(k, leaf))(keys))


@pytest.mark.parametrize("which", ["chains", "steps", "leaves", "places"])
def test_streams_are_independent(which):
    """Neither numbers nor their squares correlate, at the same place or at the next."""
    numbers = streams(which).astype(np.float64)
    for values in (numbers, (numbers**2 - 1) / np.sqrt(2)):
        for other in (values, np.roll(values, 1, axis=1)):
            correlation = values @ other.T / values.shape[1]
            off = correlation[~np.eye(8, dtype=bool)]
            assert np.abs(off).max() < 4.5 / np.sqrt(
                values.shape[1]
            )  # 4.5: 224 pairs are looked at


def test_numbers_depend_on_key_leaf_and_place_alone():
    key, tree = (
        jax.random.key(7),
        {"a": jnp.zeros((5, 3)), "b": {"c": jnp.zeros(()), "d": jnp.zeros(4)}},
    )
    alone = noise(key, tree)
    keys = jnp.stack([key, jax.random.key(8)])
    together = jax.jit(jax.vmap(lambda k: noise(k, tree)))(keys)
    chex.assert_trees_all_equal(alone, jax.tree.map(lambda x: x[0], together))
    np.testing.assert_array_equal(
        noise(key, {"b": {"d": tree["b"]["d"]}})["b"]["d"], alone["b"]["d"]
    )
    values = np.concatenate([np.ravel(x) for x in jax.tree.leaves(together)])
    assert len(set(values)) == len(values)


def test_signs_are_even_and_independent():
    signs = np.asarray(like(jax.random.key(5), jnp.zeros((4, M // 4)), sign), np.float64)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / M**0.5
    correlation = signs @ signs.T / signs.shape[1]
    assert np.abs(correlation - np.eye(4)).max() < 4 / signs.shape[1] ** 0.5


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_any_typed_key_serves(impl):
    numbers = noise(jax.random.key(0, impl=impl), jnp.zeros((7, 3), jnp.bfloat16))
    assert numbers.shape == (7, 3)
    assert numbers.dtype == jnp.bfloat16
