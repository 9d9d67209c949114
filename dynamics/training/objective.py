"""The loss that a recipe minimises: the surprisal of the next token, or of hidden tokens.

Axes: B batch, T tokens, M hidden tokens of a row.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from dynamics.data.tokenizer import MASK_ID
from dynamics.measures import masked, surprisal
from dynamics.training.recipe import Recipe

# Devlin et al. 2019, section 3.1: 15 % of the tokens are hidden. Of these 80 % become the mask,
# 10 % another token, and 10 % stay as they are.
SHARE, MASKED, REPLACED = 0.15, 0.8, 0.1


def loss_fn(recipe: Recipe) -> Callable[..., Float[Array, ""]]:
    """loss(params, tokens [B,T], key) -> mean loss, nats; `key` draws which tokens are hidden."""
    if recipe.objective == "causal":
        causal = surprisal.loss_fn(recipe.config)
        return lambda params, tokens, key: causal(params, tokens)
    hidden = masked.loss_fn(recipe.config)
    return lambda params, tokens, key: hidden(params, hide(key, tokens, recipe.config.vocab_size))


def hide(key: Key[Array, ""], tokens: Int[Array, "B T"], vocab_size: int) -> masked.Batch:
    """Hides 15 % of each row's tokens: most behind the mask, some behind another token.

    Example:
        >>> batch = hide(jax.random.key(0), jnp.full((2, 40), 7), vocab_size=11)
        >>> batch.positions.shape, batch.targets.tolist()[0]
        ((2, 6), [7, 7, 7, 7, 7, 7])
    """
    chex.assert_rank(tokens, 2)
    count = max(1, round(SHARE * tokens.shape[1]))
    where, how, which = jax.random.split(key, 3)
    _, positions = jax.lax.top_k(jax.random.uniform(where, tokens.shape), count)
    targets = jnp.take_along_axis(tokens, positions, axis=1)
    draw = jax.random.uniform(how, positions.shape)
    others = jax.random.randint(which, positions.shape, MASK_ID + 1, vocab_size)
    shown = jnp.where(draw < MASKED, MASK_ID, jnp.where(draw < MASKED + REPLACED, others, targets))
    rows = jnp.arange(len(tokens))[:, None]
    return masked.Batch(tokens.at[rows, positions].set(shown), positions, targets)
