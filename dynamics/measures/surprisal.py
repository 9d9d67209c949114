"""Surprisal of every token under a causal language model, and the mean loss that it makes.

Axes: B batch, T tokens, N = B (T-1) predictions, c of them in a chunk, E width of a hidden state, V
vocabulary. Units: nats. Masked models are refused, because they see the
tokens that they would have to predict.
"""

import functools
from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Int

from dynamics import models
from dynamics.measures import cross_entropy, token_chunks
from dynamics.measures.curvature.products import Product


@functools.cache
def surprisal_fn(config: models.Config, chunk: int | None = None) -> Callable:
    """surprisal(params, tokens [B,T]) -> -log p(token t | tokens < t), float32 [B,T-1].

    The first token has none. Logits are made and dropped chunk by chunk, in the backward pass too;
    `chunk` is the number of tokens in one, by default as many as suit the backend.

    Raises:
        InputError: a masked model.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> tokens = jax.numpy.arange(12).reshape(2, 6)
        >>> surprisal_fn(config)(params, tokens).shape
        (2, 5)
    """
    models.check_causal(config)
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)
    size = chunk or token_chunks.tokens_per_chunk(config.vocab_size)

    def surprisal(params, tokens):
        models.check_tokens(config, tokens)
        h, _ = hidden(params, tokens[:, :-1])
        targets = tokens[:, 1:]

        def logits(h):
            return unembed(params, h)

        flat = h.reshape(-1, h.shape[-1])
        by_token = in_chunks(logits, flat, targets.reshape(-1), size, remat=True)
        return by_token.reshape(targets.shape)

    return surprisal


def in_chunks(
    logits: Callable[[Float[Array, "c E"]], Float[Array, "c V"]],
    h: Float[Array, "N E"],
    targets: Int[Array, " N"],
    chunk: int,
    remat: bool = False,
) -> Float[Array, " N"]:
    """Surprisal of every target, the logits of `chunk` tokens at a time made and dropped.

    With `remat` the backward pass makes a chunk's logits again instead of holding them.
    """

    def of_chunk(inputs):
        h, target = inputs
        return cross_entropy.surprisal_of(logits(h), target)

    return token_chunks.map_chunks(of_chunk, (h, targets), chunk, remat=remat)


@functools.cache
def loss_fn(config: models.Config, chunk: int | None = None) -> Callable:
    """loss(params, tokens [B,T]) -> mean surprisal, a scalar, for SGLD, Hessians and training.

    Its gradient is made while a chunk's logits are at hand; that of the mean of `surprisal_fn`
    makes them twice. `chunk` is as there.

    Raises:
        InputError: a masked model.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> tokens = jax.numpy.arange(12).reshape(2, 6)
        >>> loss, gradient = jax.jit(jax.value_and_grad(loss_fn(config)))(params, tokens)
        >>> print(f"{loss:.1f} nats; log V is {jax.numpy.log(17):.1f}")
        3.2 nats; log V is 2.8
    """
    models.check_causal(config)
    hidden, size = models.hidden_fn(config), _gradient_chunk(config, chunk)

    def loss(params, tokens):
        models.check_tokens(config, tokens)
        h, _ = hidden(params, tokens[:, :-1])
        flat = (
            h.reshape(-1, h.shape[-1]),
            models.unembedding(config, params),
            tokens[:, 1:].reshape(-1),
        )
        return cross_entropy.cross_entropy(*flat, chunk=size)

    return loss


@functools.cache
def gauss_newton(config: models.Config, chunk: int | None = None) -> Product:
    """The Gauss-Newton matrix J' H J of `loss_fn`, for `curvature`.

    J is the Jacobian of the logits, H the Hessian of their loss. It is also the Fisher information
    of the softmax (Martens 2020, section 9): the expected outer product of the gradient of a
    token's surprisal, the token drawn from the model. Each chunk's logits are made once, and none
    are held.

    Raises:
        InputError: a masked model.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> tokens = jax.numpy.arange(12).reshape(2, 6)
        >>> product = jax.jit(gauss_newton(config).apply)(params, tokens, params)  # G times params
        >>> bool(jax.tree.structure(product) == jax.tree.structure(params))
        True
    """
    models.check_causal(config)
    hidden, size = models.hidden_fn(config), _gradient_chunk(config, chunk)

    def apply(params, tokens, vector):
        def hidden_and_kernel(params):
            h, _ = hidden(params, tokens[:, :-1])
            return h.reshape(-1, h.shape[-1]), models.unembedding(config, params)

        with jax.default_matmul_precision("highest"):
            (h, kernel), push = jax.linearize(hidden_and_kernel, params)
            (product,) = jax.linear_transpose(push, params)(
                cross_entropy.gauss_newton_product(h, kernel, push(vector), chunk=size)
            )
        return product

    return Product("Gauss-Newton", apply)


def _gradient_chunk(config: models.Config, chunk: int | None) -> int:
    """Tokens of a chunk where a gradient is made with its logits."""
    floats = token_chunks.GRADIENT_FLOATS
    return chunk or token_chunks.tokens_per_chunk(config.vocab_size, floats=floats)
