"""Loss at one random position of every window: a negative log likelihood of independent items.

Axes: B batch, T tokens, V vocabulary. Units: nats.

The usual loss averages over all prefixes of a window, which are not independent. Where each window
comes with one position, uniform over its tokens, the items (window, position) are independent and
the loss is the likelihood's (appendix A.5 of "Loss Landscape Degeneracy and Stagewise Development
in Transformers"); its expectation is the usual loss.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Int, PRNGKeyArray

from dynamics import models
from dynamics.measures import cross_entropy


class Prefixes(NamedTuple):
    """Windows, and the position of the token that is predicted in each."""

    tokens: Int[ArrayLike, "B T"]
    position: Int[ArrayLike, " B"]  # 1 to T-1


def draw(key: PRNGKeyArray, tokens: Int[ArrayLike, "B T"]) -> Prefixes:
    """A position for every window, uniform over the tokens that have another one before them.

    Example:
        >>> tokens = jnp.arange(12).reshape(3, 4)
        >>> prefixes = draw(jax.random.key(0), tokens)
        >>> bool((prefixes.position >= 1).all() and (prefixes.position < 4).all())
        True
    """
    chex.assert_rank(tokens, 2)
    windows, length = jnp.shape(tokens)
    return Prefixes(jnp.asarray(tokens), jax.random.randint(key, (windows,), 1, length))


@functools.cache
def loss_fn(config: models.Config) -> Callable[..., Array]:
    """loss(params, Prefixes) -> mean surprisal of the tokens at the positions, a scalar.

    Logits are made for those B tokens alone.
    """
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    def loss(params, prefixes: Prefixes):
        models.check_tokens(config, prefixes.tokens)
        tokens, position = jnp.asarray(prefixes.tokens), jnp.asarray(prefixes.position)
        h, _ = hidden(params, tokens[:, :-1])
        rows = jnp.arange(len(tokens))
        logits = unembed(params, h[rows, position - 1])
        return cross_entropy.surprisal_of(logits, tokens[rows, position]).mean()

    return loss
