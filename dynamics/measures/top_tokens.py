"""The likeliest next tokens of a model, and their probabilities.

Axes: B windows, T tokens, P = T-1 predictions, K ranks, D width, V vocabulary.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import token_chunks


class TopTokens(NamedTuple):
    """The K likeliest tokens of every prediction, the likeliest first."""

    ids: Any  # [B,P,K] int32
    probability: Any  # [B,P,K] float32


@functools.cache
def top_tokens_fn(config, k: int):
    """top(params, tokens [B,T]) -> TopTokens, jitted; logits are made and dropped chunk by chunk.

    Raises InputError for a model that is not causal, or k beyond the vocabulary.
    """
    models.check_causal(config)
    if not 1 <= k <= config.vocab_size:
        raise InputError(
            f"the {k} likeliest tokens",
            expected=f"1 to {config.vocab_size}, the model's vocabulary",
        )
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def top(params, tokens) -> TopTokens:
        with jax.default_matmul_precision("highest"):
            h, _ = hidden(params, tokens[:, :-1])

            def of_chunk(h):
                logits = unembed(params, h)
                value, ids = jax.lax.top_k(logits, k)
                return ids, jnp.exp(value - jax.nn.logsumexp(logits, axis=-1, keepdims=True))

            flat = h.reshape(-1, h.shape[-1])
            found = token_chunks.map_chunks(
                of_chunk, flat, token_chunks.tokens_per_chunk(config.vocab_size)
            )
            return TopTokens(*(x.reshape(*tokens[:, 1:].shape, k) for x in found))

    return top
