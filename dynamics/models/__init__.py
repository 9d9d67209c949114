"""Models as pure functions: params and tokens to hidden states, hidden states to logits.

Axes: B batch, T tokens, D width, V vocabulary.

Each architecture is one module with `Config`, `init(key, config)`, `hidden_fn(config)`,
`unembed_fn(config)` and `unembedding(params)`, the names of its parts, `PARTS` and `PART_GROUPS`,
and whether it is `CAUSAL`; the functions here pick the module by the type of the config, so that
measures never ask which model they hold. E is the width of a hidden
state: D, or D + 1 where its last coordinate is 1 and meets a bias.
"""

import functools
from types import ModuleType

import jax.numpy as jnp

from dynamics.errors import InputError
from dynamics.models import bert, gpt_neox

Config = gpt_neox.Config | bert.Config
ARCHITECTURES: dict[type, ModuleType] = {gpt_neox.Config: gpt_neox, bert.Config: bert}


def architecture(config) -> ModuleType:
    """The module that implements `config`. Raises InputError for a config of another type."""
    if type(config) not in ARCHITECTURES:
        raise InputError.unknown(
            "model config", type(config).__qualname__, (c.__module__ for c in ARCHITECTURES)
        )
    return ARCHITECTURES[type(config)]


def init(key, config):
    """Params as the suite's authors drew them, float32."""
    return architecture(config).init(key, config)


def hidden_fn(config):
    """hidden(params, tokens [B,T], capture=(), intervene=None) -> (h [B,T,E] after the final norm,
    captured)."""
    return architecture(config).hidden_fn(config)


def unembed_fn(config):
    """unembed(params, h [...,E]) -> logits float32 [...,V]."""
    return architecture(config).unembed_fn(config)


def unembedding(config, params):
    """The matrix [E,V] of `unembed_fn`, for measures that fuse its product with what they do to the
    logits."""
    return architecture(config).unembedding(params)


def check_causal(config):
    """Raises InputError for a model that sees the tokens it would be asked to predict."""
    if not architecture(config).CAUSAL:
        raise InputError(
            f"a {architecture(config).__name__.rpartition('.')[2]} asked for its next token",
            expected="a causal model: this one sees the tokens on either side",
            mend="Measure it one mask at a time: python -m experiments.masked.",
        )


@functools.cache
def apply_fn(config):
    """apply(params, tokens [B,T]) -> logits float32 [B,T,V]: the two composed, for inputs whose
    logits fit."""
    hidden, unembed = hidden_fn(config), unembed_fn(config)

    def apply(params, tokens):
        h, _ = hidden(params, tokens)
        return unembed(params, h)

    return apply


def num_params(params) -> int:
    """How many numbers a params tree holds."""
    import jax

    return sum(int(jnp.size(leaf)) for leaf in jax.tree.leaves(params))
