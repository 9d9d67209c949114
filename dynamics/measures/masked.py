"""Masked language models one mask at a time, and the loss they are trained on.

Axes: S seeds, B windows, T tokens of a window, P masked positions of a window, M positions of a
training batch's row, N masked tokens (windows and positions flattened), E width of a hidden state,
V vocabulary, G documents. Units: nats.

A masked LM's prediction of the token at position t is what it says at t when a mask stands there
and all others can be
seen: one forward pass for every prediction. Read off unmasked text it would be a copy of the token
itself, and shifted by one position, as a causal model's is, a prediction of a token it was shown.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import cross_entropy, divergence, token_chunks, window_blocks

_BLOCK_MASKS = 2048  # in one call of the compiled pass
# Floats of the widest activations of one chunk of forward passes, by backend.
_FORWARD_FLOATS = {"cpu": 2**22, "gpu": 2**27, "tpu": 2**27}


class Batch(NamedTuple):
    """What a masked LM is trained on at one step."""

    tokens: Any  # [B,T] int32, some of them hidden
    positions: Any  # [B,M] int32, those to predict
    targets: Any  # [B,M] int32, what stood there


def choose_positions(windows: int, places: range, count: int) -> np.ndarray:
    """[B,P] positions to mask in each window, ascending: one at random of each of `count` even
    stretches of `places`.

    Fixed by the window's number alone, so that all seeds and steps are asked the same. All places
    where `count` is 0 or no fewer than there are. Raises InputError for no places.
    """
    if not places:
        raise InputError(
            "windows without a token to mask",
            expected="at least one",
            mend="Use a longer --context.",
        )
    if count == 0 or count >= len(places):
        return np.tile(np.asarray(places, np.int32), (windows, 1))
    edges = (
        np.arange(count + 1) * len(places) // count
    )  # whole numbers, so that no place is drawn twice
    draws = np.stack(
        [np.random.default_rng([7, window]).random(count) for window in range(windows)]
    )
    return (places.start + np.floor(edges[:-1] + draws * np.diff(edges))).astype(np.int32)


@functools.cache
def loss_fn(config, chunk: int | None = None):
    """loss(params, batch: Batch) -> mean surprisal of what was hidden, a scalar; logits are made
    for those alone."""
    hidden = models.hidden_fn(config)
    size = chunk or token_chunks.tokens_per_chunk(
        config.vocab_size, floats=token_chunks.GRADIENT_FLOATS
    )

    def loss(params, batch: Batch):
        h, _ = hidden(params, batch.tokens)
        chosen = jnp.take_along_axis(h, batch.positions[..., None], axis=1)
        flat = (
            chosen.reshape(-1, h.shape[-1]),
            models.unembedding(config, params),
            batch.targets.reshape(-1),
        )
        return cross_entropy.cross_entropy(*flat, chunk=size)

    return loss


def seed_divergence(
    config,
    stacked_params,
    tokens,
    positions,
    mask: int,
    *,
    documents=None,
    log_unigram=None,
    js: bool = True,
    full: bool = False,
) -> dict:
    """What `divergence.seed_divergence` says of causal models, of masked ones, a mask at a time.

    Args:
        config: the seeds' common model config.
        stacked_params: params with a leading S on every leaf.
        tokens: [B,T] int32, nothing masked.
        positions: [B,P] int, the predictions to take of each window.
        mask: id of the mask token.
        documents, log_unigram, js, full: as there.

    Returns:
        As there, of P masked positions in place of T - 1 next tokens.

    Raises:
        InputError: fewer than two seeds; a mask or a position that is out of range.
    """
    num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
    tokens, positions = np.asarray(tokens), np.asarray(positions)
    if num_seeds < 2:
        raise InputError(
            f"{num_seeds} seed", expected="two or more, to have a pair", mend="Select more --seeds."
        )
    if not 0 <= mask < config.vocab_size:
        raise InputError(
            f"mask token {mask}",
            expected=f"an id of the model's vocabulary, below {config.vocab_size}",
        )
    if positions.min() < 0 or positions.max() >= tokens.shape[1]:
        raise InputError(
            f"positions from {positions.min()} to {positions.max()}",
            expected=f"0 to {tokens.shape[1] - 1}",
        )
    params = jax.device_put(stacked_params)
    reference = None if log_unigram is None else jnp.asarray(log_unigram, jnp.float32)

    def numbers(rows):
        return _fused(config, js)(params, tokens[rows], positions[rows], jnp.int32(mask), reference)

    size = max(1, _BLOCK_MASKS // positions.shape[1])
    return window_blocks.collect(numbers, size, positions.shape, documents, full)


@functools.cache
def _fused(config, js: bool):
    """Jitted pass over a block: params [S,...], tokens [B,T], positions [B,P] -> dict of [S,B,P],
    pairs [S,S,B,P]."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def fused(stacked_params, tokens, positions, mask, log_unigram):
        num_seeds, shape = jax.tree.leaves(stacked_params)[0].shape[0], positions.shape
        windows = jnp.repeat(jnp.arange(shape[0]), shape[1])

        def of_chunk(inputs):
            window, position = inputs  # [n], [n]
            text = tokens[window]  # [n,T]
            at = jnp.arange(len(window)), position
            masked = text.at[at].set(mask)
            h = jax.lax.map(lambda p: hidden(p, masked)[0][at], stacked_params)  # [S,n,E]
            logits = jax.vmap(unembed)(stacked_params, h)  # [S,n,V]
            numbers = divergence.statistics(logits, text[at], log_unigram, js)
            return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), numbers)

        with jax.default_matmul_precision("highest"):
            size = _chunk(config, num_seeds, tokens.shape[1])
            mapped = token_chunks.map_chunks(of_chunk, (windows, positions.reshape(-1)), size)
            return jax.tree.map(
                lambda x: jnp.moveaxis(x, 0, -1).reshape(*x.shape[1:], *shape), mapped
            )

    return fused


def _chunk(config, num_seeds: int, length: int) -> int:
    """How many forward passes of every seed to make at once."""
    widest = length * max(config.intermediate_size, config.num_heads * length)
    most = _FORWARD_FLOATS.get(jax.default_backend(), _FORWARD_FLOATS["cpu"])
    return max(
        1,
        min(
            most // (num_seeds * widest),
            token_chunks.tokens_per_chunk(config.vocab_size, num_seeds),
        ),
    )
