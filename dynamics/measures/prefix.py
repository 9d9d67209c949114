"""Loss of one position drawn for every window: a proper negative log likelihood of independent
items.

Axes: B batch, T tokens, D width, V vocabulary. Units: nats.

The usual loss averages over all prefixes of a window, which are not independent. Where each window
comes with one position k, uniform over its tokens, the items (window, k) are independent and the
loss is their likelihood's (appendix A.5 of "Loss Landscape Degeneracy and Stagewise Development in
Transformers"); its expectation is the usual loss.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics import models


class Prefixes(NamedTuple):
    """Windows and the token of each that is predicted."""

    tokens: Any  # [B,T]
    position: Any  # [B], 1 to T-1


def draw(key, tokens) -> Prefixes:
    """A position for every window [B,T], uniform over the tokens that have something before
    them."""
    return Prefixes(
        jnp.asarray(tokens), jax.random.randint(key, (len(tokens),), 1, tokens.shape[1])
    )


@functools.cache
def loss_fn(config):
    """loss(params, Prefixes) -> mean surprisal of the tokens at those positions, a scalar; makes
    logits of B tokens."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    def loss(params, prefixes: Prefixes):
        h, _ = hidden(params, prefixes.tokens[:, :-1])
        rows = jnp.arange(len(prefixes.tokens))
        logits = unembed(params, h[rows, prefixes.position - 1])
        target = prefixes.tokens[rows, prefixes.position]
        return (jax.nn.logsumexp(logits, axis=-1) - logits[rows, target]).mean()

    return loss
