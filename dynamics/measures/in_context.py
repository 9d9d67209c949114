"""What a longer context is worth: surprisal of one token given many tokens before it, and given
few.

Axes: B windows, T tokens, S seeds, C lengths of context. Units: nats.

Source: Olsson et al. 2022, "In-context Learning and Induction Heads", as taken by Fehlauer,
Mahowald & Pimentel (figure 1, footnote 2): the surprisal of a sentence's 500th token given the 400
tokens before it, minus that given 50. Both are of the same token, so that what makes it hard by
itself cancels; negative where the context helps.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import token_chunks

_BLOCK_TOKENS = {
    "cpu": 2**12,
    "gpu": 2**16,
    "tpu": 2**16,
}  # tokens whose hidden states are held at once


@functools.cache
def last_surprisal_fn(config):
    """last(params, tokens [B,T]) -> surprisal [B] of each window's last token given all before
    it."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    def last(params, tokens):
        h, _ = hidden(params, tokens[:, :-1])

        def of_chunk(inputs):
            h, target = inputs
            logits = unembed(params, h)
            return (
                jax.nn.logsumexp(logits, axis=-1)
                - jnp.take_along_axis(logits, target[:, None], axis=-1)[:, 0]
            )

        return token_chunks.map_chunks(
            of_chunk, (h[:, -1], tokens[:, -1]), token_chunks.tokens_per_chunk(config.vocab_size)
        )

    return last


def surprisal_by_context(config, stacked_params, tokens, lengths: Sequence[int]) -> np.ndarray:
    """Surprisal of each window's last token given the `lengths` tokens before it: float32 [S,B,C].

    Args:
        config: the seeds' common model config.
        stacked_params: params with a leading S on every leaf.
        tokens: [B,T] int32, T over the greatest of lengths.
        lengths: [C] tokens of context, each 1 or more.

    Raises:
        InputError: a length beyond the windows.
    """
    tokens = np.asarray(tokens)
    if not lengths or min(lengths) < 1 or max(lengths) >= tokens.shape[1]:
        raise InputError(
            f"contexts of {', '.join(map(str, lengths)) or 'no'} tokens in windows of {tokens.shape[1]}",
            expected=f"1 to {tokens.shape[1] - 1}, what stands before the last token",
        )
    return np.stack(
        [_of_length(config, stacked_params, tokens[:, -1 - n :]) for n in lengths], axis=-1
    )


def _of_length(config, stacked_params, tokens: np.ndarray) -> np.ndarray:
    """[S,B], block by block of one shape."""
    most = _BLOCK_TOKENS.get(jax.default_backend(), _BLOCK_TOKENS["cpu"])
    size = min(len(tokens), max(1, most // tokens.shape[1]))
    padded = np.concatenate([tokens, np.repeat(tokens[:1], -len(tokens) % size, axis=0)])
    found = [
        _jitted(config)(stacked_params, block)
        for block in padded.reshape(-1, size, tokens.shape[1])
    ]
    return np.concatenate([np.asarray(block) for block in found], axis=1)[:, : len(tokens)]


@functools.cache
def _jitted(config):
    """(params [S,...], tokens [B,T]) -> [S,B], one seed after the other."""
    last = last_surprisal_fn(config)

    @jax.jit
    def of_seeds(stacked_params, tokens):
        with jax.default_matmul_precision("highest"):
            return jax.lax.map(lambda params: last(params, tokens), stacked_params)

    return of_seeds
