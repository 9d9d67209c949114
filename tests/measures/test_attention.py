"""Head scores: heads built by hand, uniform attention, and blocks that change nothing.

Axes: L layers, H heads, N sequences, T targets, S sources.
"""

import hand_built
import jax
import numpy as np
import pytest

from dynamics.errors import InputError
from dynamics.measures import attention

BLOCK, REPEATS = 8, 3


@pytest.fixture(scope="module")
def tokens():
    """[N,T] random blocks, repeated."""
    return attention.repeated_tokens(
        jax.random.key(0), np.arange(hand_built.V), count=6, block=BLOCK, repeats=REPEATS
    )


@pytest.fixture(scope="module")
def scores(tokens):
    """Of every head of the model that is built by hand, [L,H,N] each."""
    masks = attention.repeat_masks(BLOCK, REPEATS)
    return attention.head_scores(hand_built.CONFIG, hand_built.params(), tokens, masks)


def highest(score) -> tuple:
    mean = score.mean(-1)
    return tuple(map(int, np.unravel_index(mean.argmax(), mean.shape)))


@pytest.mark.parametrize(
    ("name", "head"),
    [
        (attention.PREVIOUS, hand_built.PREVIOUS_HEAD),
        (attention.PREFIX, hand_built.INDUCTION_HEAD),
        (attention.DUPLICATE, hand_built.DUPLICATE_HEAD),
    ],
)
def test_a_head_built_by_hand_has_the_highest_score(scores, name, head):
    assert highest(scores[name]) == head
    others = np.delete(scores[name].mean(-1).ravel(), head[0] * 2 + head[1])
    assert others.max() < 0.4 * scores[name].mean(-1)[head]


def test_heads_that_do_one_thing_alone_score_what_that_gives(scores):
    assert scores[attention.PREVIOUS][hand_built.PREVIOUS_HEAD].min() > 0.99
    # The first place has none before it, so that it looks like one that follows its own token: of
    # 16 targets two lose attention to it, half of it in the second block and a third in the third.
    induction = scores[attention.PREFIX][hand_built.INDUCTION_HEAD]
    np.testing.assert_allclose(induction, (14 + 1 / 2 + 2 / 3) / 16, atol=0.001)
    # A token's own instance counts as no earlier one: 1/2 in the second block, 2/3 in the third.
    duplicates = scores[attention.DUPLICATE][hand_built.DUPLICATE_HEAD]
    np.testing.assert_allclose(duplicates, (1 / 2 + 2 / 3) / 2, atol=0.01)


def test_a_head_that_does_nothing_scores_as_uniform_attention_does(scores):
    for name, mask in attention.repeat_masks(BLOCK, REPEATS).items():
        np.testing.assert_allclose(scores[name][1, 1], attention.uniform_score(mask), rtol=1e-5)


def test_sources_are_those_that_the_definition_names():
    """Against a search for each target, in a sequence of distinct tokens that comes again."""
    block, repeats = 5, 4
    row = np.tile(np.arange(block), repeats)
    masks = attention.repeat_masks(block, repeats)
    for t in range(len(row)):
        earlier = [s for s in range(t) if row[s] == row[t]]
        assert np.flatnonzero(masks[attention.DUPLICATE][t]).tolist() == earlier
        assert np.flatnonzero(masks[attention.PREFIX][t]).tolist() == [s + 1 for s in earlier]
        assert np.flatnonzero(masks[attention.PREVIOUS][t]).tolist() == [t - 1] * (t > 0)


def test_blocks_of_sequences_change_nothing(tokens, scores, monkeypatch):
    monkeypatch.setitem(attention._BLOCK_FLOATS, "cpu", 4 * 4 * tokens.shape[1] ** 2)  # 4 of 6
    masks = attention.repeat_masks(BLOCK, REPEATS)
    again = attention.head_scores(hand_built.CONFIG, hand_built.params(), tokens, masks)
    for name, score in scores.items():
        np.testing.assert_allclose(again[name], score, rtol=1e-5)


def test_blocks_are_of_distinct_ids_that_were_allowed(tokens):
    allowed = np.array([3, 5, 7, 11, 13, 17])
    drawn = attention.repeated_tokens(jax.random.key(1), allowed, count=9, block=4, repeats=2)
    assert np.isin(drawn, allowed).all()
    assert all(len(set(row.tolist())) == 4 for row in drawn)
    # A sequence does not depend on how many are drawn.
    more = attention.repeated_tokens(jax.random.key(1), allowed, count=20, block=4, repeats=2)
    np.testing.assert_array_equal(more[:9], drawn)


@pytest.mark.parametrize("change", [{"block": 17}, {"repeats": 1}, {"block": 1}, {"count": 0}])
def test_sequences_that_cannot_repeat_are_refused(change):
    sizes = {"count": 2, "block": 4, "repeats": 2} | change
    with pytest.raises(InputError):
        attention.repeated_tokens(jax.random.key(0), np.arange(16), **sizes)


def test_a_mask_without_a_source_is_refused(tokens):
    size = tokens.shape[1]
    masks = {"nowhere": np.zeros((size, size), bool)}
    with pytest.raises(InputError, match="nowhere"):
        attention.head_scores(hand_built.CONFIG, hand_built.params(), tokens, masks)
