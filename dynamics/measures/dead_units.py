"""At how many tokens each MLP unit is active: those that never are do nothing but leak.

Axes: N windows, T tokens, L layers, F MLP units.

A unit is active at a token where its pre-activation is above 0. GELU(x) = x Phi(x) has the sign of
x, so that the values after it, which the site "mlp" holds, tell the same. Voita, Ferrando &
Nalmpantis 2023 ("Neurons in Large Language Models: Dead, N-gram, Positional", section 3) call a
unit dead that is active at no token of a large text. They look at ReLU, whose dead units give
nothing and learn nothing; a GELU that is never above 0 still gives between -0.17 and 0, and passes
gradients, so that "never active" is what is said here.
"""

import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Int, Int64

from dynamics import models
from dynamics.measures import finite

# Floats of activations that are held at once.
_BLOCK_FLOATS = {"cpu": 2**20, "gpu": 2**28, "tpu": 2**28}


def active_tokens(
    config: models.Config, params: models.Params, tokens: Int[ArrayLike, "N T"]
) -> Int64[np.ndarray, "L F"]:
    """At how many of the N T tokens each unit's pre-activation is above 0.

    A unit that is active at none of n independent tokens is so at fewer than 3 / n of all, at 95 %
    confidence; tokens of one text are not independent. Windows are taken in blocks, so that memory
    does not grow with N.

    Raises:
        InputError: weights that are not finite; ids outside the vocabulary.
        AssertionError: tokens that are no [N,T].

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=16, num_layers=3, num_heads=2, intermediate_size=10, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> active = active_tokens(config, params, np.arange(12).reshape(2, 6))
        >>> active.shape, bool(active.max() <= 12)
        ((3, 10), True)
    """
    tokens = np.asarray(tokens, np.int32)
    chex.assert_rank(tokens, 2)
    finite.check_params(params)
    models.check_tokens(config, tokens)
    count, size = tokens.shape
    floats = _BLOCK_FLOATS.get(jax.default_backend(), _BLOCK_FLOATS["cpu"])
    units = config.num_layers * config.intermediate_size
    rows = min(count, max(1, floats // (units * size)))
    padded = np.concatenate([tokens, np.repeat(tokens[:1], -count % rows, axis=0)])
    counted = np.arange(len(padded)) < count
    run = _active(config)
    total = np.zeros((config.num_layers, config.intermediate_size), np.int64)
    for begin in range(0, len(padded), rows):
        part = slice(begin, begin + rows)
        total += np.asarray(run(params, padded[part], counted[part]))
    return total


@functools.cache
def _active(config: models.Config) -> Callable:
    """Jitted (params, tokens [N,T], counted [N]) -> int32 [L,F]."""
    hidden = models.hidden_fn(config)

    @jax.jit
    def run(params, tokens, counted):
        with jax.default_matmul_precision("highest"):
            _, captured = hidden(params, tokens, capture=("mlp",))
        active = (captured["mlp"] > 0) & counted[None, :, None, None]
        return active.sum((1, 2), dtype=jnp.int32)

    return run
