"""The worth of a longer context: surprisal of one token after many tokens, and after few.

Axes: B windows, T tokens, S seeds, C lengths of context. Units: nats.

Source: Olsson et al. 2022, "In-context Learning and Induction Heads", as used by Fehlauer, Mahowald
& Pimentel (figure 1, footnote 2): the surprisal of a sentence's 500th token after 400 tokens of
context, minus that after 50. Both are of the same token, so that its own difficulty cancels; the
difference is negative where the context helps.
"""

import functools
from collections.abc import Callable, Sequence

import chex
import jax
import numpy as np
from jaxtyping import ArrayLike, Float, Float32, Int, PyTree

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import finite, surprisal, token_chunks

# Tokens whose hidden states are held at once.
_BLOCK_TOKENS = {"cpu": 2**12, "gpu": 2**16, "tpu": 2**16}


@functools.cache
def last_surprisal_fn(config: models.Config) -> Callable:
    """last(params, tokens [B,T]) -> surprisal [B] of each window's last token."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)
    size = token_chunks.tokens_per_chunk(config.vocab_size)

    def last(params, tokens):
        h, _ = hidden(params, tokens[:, :-1])

        def logits(h):
            return unembed(params, h)

        return surprisal.in_chunks(logits, h[:, -1], tokens[:, -1], size)

    return last


def surprisal_by_context(
    config: models.Config,
    stacked_params: PyTree[Float[ArrayLike, "S ..."]],
    tokens: Int[ArrayLike, "B T"],
    lengths: Sequence[int],
) -> Float32[np.ndarray, "S B C"]:
    """Surprisal of each window's last token after each length of context, nats.

    Args:
        config: the seeds' common model config.
        stacked_params: params with a leading axis S on every leaf.
        tokens: [B,T], with T above the greatest of `lengths`.
        lengths: [C], how many tokens right before the last one the model reads; each 1 or more.

    Raises:
        InputError: a length beyond the windows; weights that are not finite, by leaf.
        AssertionError: params or tokens of the wrong shape.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> init = jax.jit(models.init, static_argnames="config")
        >>> seeds = [init(jax.random.key(seed), config) for seed in range(2)]
        >>> params = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
        >>> tokens = np.arange(12).reshape(2, 6)
        >>> surprisal_by_context(config, params, tokens, [1, 5]).shape
        (2, 2, 2)
    """
    tokens = np.asarray(tokens)
    chex.assert_rank(tokens, 2)
    num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
    chex.assert_tree_shape_prefix(stacked_params, (num_seeds,))
    finite.check_params(stacked_params)
    longest = tokens.shape[1] - 1
    if not lengths or min(lengths) < 1 or max(lengths) > longest:
        contexts = ", ".join(map(str, lengths)) or "no"
        raise InputError(
            f"contexts of {contexts} tokens in windows of {tokens.shape[1]}",
            expected=f"1 to {longest}, what stands before the last token",
        )
    by_length = [_of_length(config, stacked_params, tokens[:, -1 - n :]) for n in lengths]
    return np.stack(by_length, axis=-1)


def _of_length(config: models.Config, stacked_params, tokens: np.ndarray) -> np.ndarray:
    """[S,B], in blocks of one shape."""
    most = _BLOCK_TOKENS.get(jax.default_backend(), _BLOCK_TOKENS["cpu"])
    size = min(len(tokens), max(1, most // tokens.shape[1]))
    padded = np.concatenate([tokens, np.repeat(tokens[:1], -len(tokens) % size, axis=0)])
    by_block = [
        np.asarray(_of_seeds(config)(stacked_params, block))
        for block in padded.reshape(-1, size, tokens.shape[1])
    ]
    return np.concatenate(by_block, axis=1)[:, : len(tokens)]


@functools.cache
def _of_seeds(config: models.Config):
    """Jitted (params [S,...], tokens [B,T]) -> [S,B], one seed after the other."""
    last = last_surprisal_fn(config)

    @jax.jit
    def of_seeds(stacked_params, tokens):
        with jax.default_matmul_precision("highest"):
            return jax.lax.map(lambda params: last(params, tokens), stacked_params)

    return of_seeds
