"""Surprisal of every token under a language model, and the mean loss made of it.

Axes: B batch, T tokens, D width, V vocabulary. Units: nats. Masked models are refused: they see the
tokens to predict.
"""

import functools

import jax
import jax.numpy as jnp

from dynamics import models
from dynamics.measures import cross_entropy, token_chunks
from dynamics.measures.curvature.products import Product


@functools.cache
def surprisal_fn(config, chunk: int | None = None):
    """surprisal(params, tokens [B,T]) -> -log p(token t | tokens < t), float32 [B,T-1]; the first
    token has none.

    Logits are made and dropped chunk by chunk, in the backward pass too.
    """
    models.check_causal(config)
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)
    size = chunk or token_chunks.tokens_per_chunk(config.vocab_size)

    def surprisal(params, tokens):
        h, _ = hidden(params, tokens[:, :-1])
        targets = tokens[:, 1:]

        def of_chunk(inputs):
            h, target = inputs
            logits = unembed(params, h)
            return (
                jax.nn.logsumexp(logits, axis=-1)
                - jnp.take_along_axis(logits, target[:, None], axis=-1)[:, 0]
            )

        flat = (h.reshape(-1, h.shape[-1]), targets.reshape(-1))
        return token_chunks.map_chunks(of_chunk, flat, size, remat=True).reshape(targets.shape)

    return surprisal


@functools.cache
def loss_fn(config, chunk: int | None = None):
    """loss(params, tokens [B,T]) -> mean surprisal, a scalar: what SGLD, Hessians and training are
    about.

    Its gradient is made while a chunk's logits are at hand, where that of `surprisal_fn` makes them
    twice.
    """
    models.check_causal(config)
    hidden = models.hidden_fn(config)
    size = chunk or token_chunks.tokens_per_chunk(
        config.vocab_size, floats=token_chunks.GRADIENT_FLOATS
    )

    def loss(params, tokens):
        h, _ = hidden(params, tokens[:, :-1])
        flat = (
            h.reshape(-1, h.shape[-1]),
            models.unembedding(config, params),
            tokens[:, 1:].reshape(-1),
        )
        return cross_entropy.cross_entropy(*flat, chunk=size)

    return loss


@functools.cache
def gauss_newton(config, chunk: int | None = None) -> Product:
    """J' H J of `loss_fn`, J the Jacobian of the logits and H their loss's Hessian, by chunks; for
    `curvature`.

    The Fisher information of the softmax too (Martens 2020, section 9): the expected outer product
    of the gradient of a token's surprisal, the token drawn from the model. Each chunk's logits are
    made once, and none are held.
    """
    models.check_causal(config)
    hidden = models.hidden_fn(config)
    size = chunk or token_chunks.tokens_per_chunk(
        config.vocab_size, floats=token_chunks.GRADIENT_FLOATS
    )

    def apply(params, tokens, vector):
        def halves(params):
            h, _ = hidden(params, tokens[:, :-1])
            return h.reshape(-1, h.shape[-1]), models.unembedding(config, params)

        with jax.default_matmul_precision("highest"):
            (h, kernel), push = jax.linearize(halves, params)
            (product,) = jax.linear_transpose(push, params)(
                cross_entropy.curved(h, kernel, push(vector), chunk=size)
            )
        return product

    return Product("Gauss-Newton", apply)
