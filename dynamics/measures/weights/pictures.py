"""What Figure 1 of "The Garden of Forking Paths" shows of a model: matrices, attention, logits.

Axes: T tokens of a sentence, D width, V vocabulary, O outputs of the first layer's queries, keys
and values together. Source: Nicolini et al. (2024), Figure 1 B, C and D. C is called the first
layer's attention matrix: both readings of it are here, the matrix of weights and the pattern.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dynamics import models


class Pictures(NamedTuple):
    """Of one checkpoint. The first and the last are None for a model without a head."""

    unembedding: Float[Array, "D V"] | None
    attention_matrix: Float[Array, "D O"]  # of the first layer; O as it is stored, head by head
    attention: Float[Array, "T T"]  # its pattern, target by source, averaged over heads
    mean_logit: Float[Array, " V"] | None  # of each token, averaged over the sentence


@functools.cache
def picture_fn(config: models.Config) -> Callable[..., Pictures]:
    """pictures(params, tokens [T]) -> Pictures; one compiled program for each config.

    Raises what `models.hidden_fn` raises.

    Example:
        >>> import jax, numpy as np
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=1, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> pictures = picture_fn(config)(params, np.array([1, 2, 3]))
        >>> pictures.attention.shape, bool(jnp.allclose(pictures.attention.sum(1), 1))
        ((3, 3), True)
    """
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)
    architecture = models.architecture(config)

    @jax.jit
    def pictures(params: models.Params, tokens: Int[Array, " T"]) -> Pictures:
        h, captured = hidden(params, tokens[None], capture=("attention",))
        matrices = architecture.matrices(params)
        qkv = matrices["attention_qkv"][0]
        attention = captured["attention"][0, 0].mean(0)
        if not models.has_head(params):
            return Pictures(None, qkv.reshape(len(qkv), -1), attention, None)
        matrices |= {name: matrices[stored].T for name, stored in architecture.TIED.items()}
        mean_logit = unembed(params, h[0].mean(0))  # logits are linear in the hidden state
        return Pictures(matrices["unembed"], qkv.reshape(len(qkv), -1), attention, mean_logit)

    def checked(params: models.Params, tokens: Int[Array, " T"]) -> Pictures:
        models.check_tokens(config, tokens)
        return pictures(params, jnp.asarray(tokens))

    return checked
