"""Divergence of masked language models, one mask at a time, and the loss they are trained on.

Axes: S seeds, B windows, T tokens of a window, P masked positions of a window, M positions of a
training batch's row, n masks of a chunk, E width of a hidden state, V vocabulary, G documents.
Units: nats.

A masked model's prediction of the token at position t is its output at t when a mask stands there
and all other tokens are visible: one forward pass for every prediction. Read off unmasked text, the
output would be a copy of the token itself. Shifted by one position, as a causal model's is, it
would be a prediction of a token that the model was shown.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Int32, PyTree

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import cross_entropy, divergence, token_chunks, window_blocks

_BLOCK_MASKS = 2048  # masks in one call of the compiled pass
# Floats of the widest activations of one chunk of forward passes, by backend.
_FORWARD_FLOATS = {"cpu": 2**22, "gpu": 2**27, "tpu": 2**27}


class Batch(NamedTuple):
    """What a masked model is trained on at one step."""

    tokens: Int32[Array, "B T"]  # some of them hidden
    positions: Int32[Array, "B M"]  # the positions to predict
    targets: Int32[Array, "B M"]  # the tokens that stood there


def choose_positions(windows: int, places: range, count: int) -> Int32[np.ndarray, "B P"]:
    """Positions to mask in each window, ascending: one at random in each of `count` even stretches.

    They depend on the window's number alone, so that all seeds and steps are asked the same.

    Args:
        windows: B.
        places: the positions that may be masked.
        count: P; 0, or as many as there are places or more, takes all places.

    Raises:
        InputError: no places.

    Example:
        >>> choose_positions(2, range(1, 5), 2).shape
        (2, 2)
        >>> choose_positions(2, range(1, 5), 0).tolist()
        [[1, 2, 3, 4], [1, 2, 3, 4]]
    """
    if not places:
        raise InputError(
            "windows without a token to mask",
            expected="at least one",
            mend="Use a longer --context.",
        )
    if count == 0 or count >= len(places):
        return np.tile(np.asarray(places, np.int32), (windows, 1))
    # Whole numbers, so that no place lies in two stretches.
    edges = np.arange(count + 1) * len(places) // count
    draws = np.stack(
        [np.random.default_rng([7, window]).random(count) for window in range(windows)]
    )
    return (places.start + np.floor(edges[:-1] + draws * np.diff(edges))).astype(np.int32)


@functools.cache
def loss_fn(config: models.Config, chunk: int | None = None) -> Callable:
    """loss(params, batch: Batch) -> mean surprisal of the hidden tokens, a scalar.

    Logits are made for those tokens alone, `chunk` at once; by default as many as suit the backend.
    """
    hidden, floats = models.hidden_fn(config), token_chunks.GRADIENT_FLOATS
    size = chunk or token_chunks.tokens_per_chunk(config.vocab_size, floats=floats)

    def loss(params, batch: Batch):
        models.check_tokens(config, batch.targets)
        h, _ = hidden(params, batch.tokens)
        masked = jnp.take_along_axis(h, batch.positions[..., None], axis=1)
        flat = (
            masked.reshape(-1, h.shape[-1]),
            models.unembedding(config, params),
            batch.targets.reshape(-1),
        )
        return cross_entropy.cross_entropy(*flat, chunk=size)

    return loss


def seed_divergence(
    config: models.Config,
    stacked_params: PyTree[Float[ArrayLike, "S ..."]],
    tokens: Int[ArrayLike, "B T"],
    positions: Int[ArrayLike, "B P"],
    mask: int,
    *,
    documents: Int[ArrayLike, " B"] | None = None,
    log_unigram: Float[ArrayLike, " V"] | None = None,
    js: bool = True,
    full: bool = False,
) -> dict[str, np.ndarray]:
    """`divergence.seed_divergence` for masked models: P masked positions, one mask at a time.

    Args:
        config: the seeds' common model config.
        stacked_params: params with a leading axis S on every leaf.
        tokens: [B,T], nothing masked.
        positions: [B,P], the positions to predict in each window.
        mask: id of the mask token.
        documents, log_unigram, js, full: as in `divergence.seed_divergence`.

    Returns:
        The arrays of `divergence.seed_divergence`, of P masked positions in place of T - 1 next
        tokens.

    Raises:
        InputError: fewer than two seeds; a mask or a position that is out of range; weights that
            are not finite, by leaf.
        AssertionError: an array whose shape does not fit the others.

    Example:
        >>> from dynamics.models import bert
        >>> config = bert.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> init = jax.jit(models.init, static_argnames="config")
        >>> seeds = [init(jax.random.key(seed), config) for seed in range(2)]
        >>> params = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
        >>> tokens = np.arange(3, 15).reshape(2, 6)
        >>> positions = choose_positions(2, range(1, 5), 3)
        >>> seed_divergence(config, params, tokens, positions, mask=0)["kl"].shape
        (2, 3)
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
    documents = None if documents is None else np.asarray(documents)
    reference = None if log_unigram is None else jnp.asarray(log_unigram, jnp.float32)
    divergence.check_shapes(config, params, tokens, documents, reference)
    chex.assert_shape(positions, (len(tokens), None))

    def statistics_of(rows, _):
        return _fused(config, js)(params, tokens[rows], positions[rows], jnp.int32(mask), reference)

    size = max(1, _BLOCK_MASKS // positions.shape[1])
    return window_blocks.collect(statistics_of, size, positions.shape, documents, full)


@functools.cache
def _fused(config: models.Config, js: bool):
    """Jitted pass over a block -> `window_blocks.Statistics` of [B,P] tokens.

    Arguments: params [S,...], tokens [B,T], positions [B,P], mask [], log_unigram [V] or None.
    """
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
            statistics = divergence.statistics(logits, text[at], log_unigram, js)
            return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), statistics)

        with jax.default_matmul_precision("highest"):
            size = _chunk(config, num_seeds, tokens.shape[1])
            mapped = token_chunks.map_chunks(of_chunk, (windows, positions.reshape(-1)), size)
            return jax.tree.map(
                lambda x: jnp.moveaxis(x, 0, -1).reshape(*x.shape[1:], *shape), mapped
            )

    return fused


def _chunk(config: models.Config, num_seeds: int, length: int) -> int:
    """How many forward passes of every seed to make at once."""
    widest = length * max(config.intermediate_size, config.num_heads * length)
    most = _FORWARD_FLOATS.get(jax.default_backend(), _FORWARD_FLOATS["cpu"])
    by_logits = token_chunks.tokens_per_chunk(config.vocab_size, num_seeds)
    return max(1, min(most // (num_seeds * widest), by_logits))
