"""What a recipe minimises: the next token's surprisal, or that of hidden tokens.

Axes: B batch, T tokens, M hidden tokens of a row.
"""

import jax
import jax.numpy as jnp

from dynamics.data.tokenizer import MASK_ID
from dynamics.measures import masked, surprisal
from dynamics.training.recipe import Recipe

# Devlin et al. 2019, section 3.1: of the hidden tokens, a tenth become another token and a tenth
# stay as they are.
SHARE, MASKED, REPLACED = 0.15, 0.8, 0.1


def loss_fn(recipe: Recipe):
    """loss(params, tokens [B,T], key) -> mean loss, nats; `key` is for what a batch leaves to
    chance."""
    if recipe.objective == "causal":
        causal = surprisal.loss_fn(recipe.config)
        return lambda params, tokens, key: causal(params, tokens)
    hidden = masked.loss_fn(recipe.config)
    return lambda params, tokens, key: hidden(params, hide(key, tokens, recipe.config.vocab_size))


def hide(key, tokens, vocab_size: int) -> masked.Batch:
    """Hides a fixed count of each row's tokens, 15 % of them: most behind the mask, some behind
    another token."""
    count = max(1, round(SHARE * tokens.shape[1]))
    where, how, which = jax.random.split(key, 3)
    _, positions = jax.lax.top_k(jax.random.uniform(where, tokens.shape), count)
    targets = jnp.take_along_axis(tokens, positions, axis=1)
    draw = jax.random.uniform(how, positions.shape)
    others = jax.random.randint(which, positions.shape, MASK_ID + 1, vocab_size)
    shown = jnp.where(draw < MASKED, MASK_ID, jnp.where(draw < MASKED + REPLACED, others, targets))
    rows = jnp.arange(len(tokens))[:, None]
    return masked.Batch(tokens.at[rows, positions].set(shown), positions, targets)
