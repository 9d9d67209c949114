"""Surprisal of one token by the length of its context, against the surprisal of whole windows.

Axes: S seeds, B windows, T tokens, C lengths of context.
"""

import jax
import numpy as np
import pytest

from dynamics.errors import InputError
from dynamics.measures import in_context, surprisal
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=8,
    num_layers=1,
    num_heads=2,
    intermediate_size=8,
    vocab_size=31,
    max_positions=32,
    rotary_fraction=0.5,
)
TOKENS = np.random.default_rng(0).integers(0, 31, (7, 13)).astype(np.int32)


@pytest.fixture(scope="module")
def seeds():
    """[S,...], two of them, far from their initialisation, so that the context matters."""
    own = [
        jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(seed), CONFIG) for seed in range(2)
    ]
    return jax.tree.map(lambda *leaves: 3 * np.stack(leaves), *own)


@pytest.mark.long
def test_it_is_that_of_the_cut_window(seeds):
    by_context = in_context.surprisal_by_context(CONFIG, seeds, TOKENS, (12, 5))
    for s in range(2):
        params = jax.tree.map(lambda leaf, s=s: leaf[s], seeds)
        for c, length in enumerate((12, 5)):
            whole = surprisal.surprisal_fn(CONFIG)(params, TOKENS[:, -1 - length :])
            np.testing.assert_allclose(by_context[s, :, c], whole[:, -1], rtol=1e-5)
    assert (
        np.abs(by_context[..., 0] - by_context[..., 1]).max() > 0.01
    )  # the context does matter here


def test_blocks_change_nothing(seeds, monkeypatch):
    whole = in_context.surprisal_by_context(CONFIG, seeds, TOKENS, (6,))
    monkeypatch.setattr(
        in_context, "_BLOCK_TOKENS", {"cpu": 21}
    )  # three windows at once, the last block padded
    np.testing.assert_allclose(
        in_context.surprisal_by_context(CONFIG, seeds, TOKENS, (6,)), whole, rtol=1e-6
    )


def test_a_text_of_one_repeated_token_needs_no_more_context(seeds):
    """Rotary attention over equal tokens gives the same mixture however many there are."""
    same = np.full((2, 13), 4, np.int32)
    by_context = in_context.surprisal_by_context(CONFIG, seeds, same, (12, 3))
    np.testing.assert_allclose(by_context[..., 0], by_context[..., 1], rtol=1e-5)


@pytest.mark.parametrize("lengths", [(), (13,), (0, 3)])
def test_contexts_beyond_the_window_are_refused(seeds, lengths):
    with pytest.raises(InputError, match="windows of 13"):
        in_context.surprisal_by_context(CONFIG, seeds, TOKENS, lengths)
