"""The likeliest next tokens of a model, and their probabilities.

Axes: B windows, T tokens, P = T-1 predictions, K ranks, V vocabulary.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import token_chunks


class TopTokens(NamedTuple):
    """The K likeliest tokens of every prediction, in descending order."""

    ids: Int32[Array, "B P K"]
    probability: Float32[Array, "B P K"]


@functools.cache
def top_tokens_fn(config: models.Config, k: int) -> Callable[..., TopTokens]:
    """top(params, tokens [B,T]) -> TopTokens, jitted; logits are made and dropped chunk by chunk.

    Args:
        config: the model's config.
        k: how many tokens of every prediction.

    Raises:
        InputError: a model that is not causal, or k beyond the vocabulary.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> top = top_tokens_fn(config, 3)(params, jnp.arange(12).reshape(2, 6))
        >>> top.ids.shape, bool((top.probability[..., 0] >= top.probability[..., 1]).all())
        ((2, 5, 3), True)
    """
    models.check_causal(config)
    if not 1 <= k <= config.vocab_size:
        raise InputError(
            f"the {k} likeliest tokens",
            expected=f"1 to {config.vocab_size}, the model's vocabulary",
        )
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)
    size = token_chunks.tokens_per_chunk(config.vocab_size)

    @jax.jit
    def top(params, tokens) -> TopTokens:
        with jax.default_matmul_precision("highest"):
            h, _ = hidden(params, tokens[:, :-1])

            def of_chunk(h):
                logits = unembed(params, h)
                largest, ids = jax.lax.top_k(logits, k)
                return ids, jnp.exp(largest - jax.nn.logsumexp(logits, axis=-1, keepdims=True))

            ids, probability = token_chunks.map_chunks(of_chunk, h.reshape(-1, h.shape[-1]), size)
            shape = (*tokens[:, 1:].shape, k)
            return TopTokens(ids.reshape(shape), probability.reshape(shape))

    return top
