"""What the transformers of several families share: attention core, MLP, sites, scan, checks.

Axes: B batch, T (and S) tokens, D width, H heads, K head dim, F MLP width, L layers.

A family's module holds what is its own: the config, the initial draws, how queries and keys are
made, where the norms stand, the embedding and the unembedding.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.nn.initializers import Initializer
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

from dynamics.errors import InputError
from dynamics.inputs import Range, Real, Whole, check_vocabulary

Params: TypeAlias = PyTree[Float[ArrayLike, "..."]]
# intervene(site, value, layer): what takes the value's place in this layer, a traced int32 scalar.
Intervention: TypeAlias = Callable[[str, Array, Int[Array, ""]], Array]
# hook(site, value): captures the value, and returns it or what takes its place.
Hook: TypeAlias = Callable[[str, Array], Array]

# Where a value inside a layer can be captured or replaced: site -> its shape in one layer.
SITES = {
    "residual": "[B,T,D] the stream as it enters the layer",
    "attention": "[B,H,T,S] attention probabilities, target by source",
    "heads": "[B,T,H,K] what each head adds, before the output matrix",
    "mlp": "[B,T,F] MLP activations after GELU",
}

# The sizes that every family has. The limits are far above any model's, and low enough that a tree
# of such shapes can be described before it is compared with a file.
SIZES: dict[str, Range] = {
    "hidden_size": Whole(1, 1 << 20),
    "num_layers": Whole(1, 10_000),
    "num_heads": Whole(1, 1 << 16),
    "intermediate_size": Whole(1, 1 << 22),
    "vocab_size": Whole(1, 1 << 24),
    "max_positions": Whole(1, 1 << 24),
}
NORM_EPSILON = Real(0, 1)


def hook_of(
    layer: Int[Array, ""], capture: Sequence[str], intervene: Intervention | None
) -> tuple[Hook, dict[str, Array]]:
    """The hook of one layer, and the dictionary that it fills with the captured values."""
    captured: dict[str, Array] = {}

    def hook(site: str, value: Array) -> Array:
        value = value if intervene is None else intervene(site, value, layer)
        if site in capture:
            captured[site] = value
        return value

    return hook, captured


def attend(
    query: Float[Array, "B H T K"],
    key: Float[Array, "B H S K"],
    value: Float[Array, "B H S K"],
    visible: Bool[Array, "#B #H #T S"] | None,
    hook: Hook,
) -> Float[Array, "B T H K"]:
    """Softmax attention; a target takes nothing from sources where `visible` is False.

    Scores and probabilities are float32 whatever the inputs. A target that sees no source at all
    gives NaN.
    """
    scores = jnp.einsum("bhtk,bhsk->bhts", query, key, preferred_element_type=jnp.float32)
    scores = scores / query.shape[-1] ** 0.5
    if visible is not None:
        scores = jnp.where(visible, scores, -jnp.inf)
    weights = hook("attention", jax.nn.softmax(scores, axis=-1))
    heads = jnp.einsum("bhts,bhsk->bhtk", weights.astype(value.dtype), value)
    return hook("heads", heads.swapaxes(1, 2))


class Memory(NamedTuple):
    """Keys and values of the tokens that a causal model has read, so that none is made twice.

    Leaves of all layers are stacked: [L,B,H,S,K], S places of which the first ones are filled.
    """

    key: Float[Array, "*L B H S K"]
    value: Float[Array, "*L B H S K"]

    @classmethod
    def empty(cls, config: Any, batch: int, places: int, dtype: Any = jnp.float32) -> "Memory":
        """Room for `places` tokens of each of `batch` sequences."""
        heads = config.num_heads
        shape = (config.num_layers, batch, heads, places, config.hidden_size // heads)
        return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    def extended(
        self, key: Float[Array, "B H T K"], value: Float[Array, "B H T K"], start: Int[Array, ""]
    ) -> "Memory":
        """One layer's memory with T tokens written to the places from `start` on."""
        place = (0, 0, start, 0)
        return Memory(
            jax.lax.dynamic_update_slice(self.key, key.astype(self.key.dtype), place),
            jax.lax.dynamic_update_slice(self.value, value.astype(self.value.dtype), place),
        )


def causal_mask(
    targets: int, sources: int, start: Int[ArrayLike, ""] = 0
) -> Bool[Array, "1 1 T S"]:
    """Which sources a target sees: itself and those before it. Targets begin at place `start`."""
    places = start + jnp.arange(targets)
    return (jnp.arange(sources)[None, :] <= places[:, None])[None, None]


class MLP(nn.Module):
    """Up, exact GELU (not its tanh approximation), down: [B,T,D] -> [B,T,D]."""

    width: int  # F
    up_init: Initializer
    down_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], hook: Hook) -> Float[Array, "B T D"]:
        hidden = nn.Dense(self.width, kernel_init=self.up_init, name="up")(x)
        hidden = hook("mlp", jax.nn.gelu(hidden, approximate=False))
        return nn.Dense(x.shape[-1], kernel_init=self.down_init, name="down")(hidden)


def layer_norm(epsilon: float, name: str) -> nn.LayerNorm:
    """Layer normalisation with the two-pass variance."""
    # The fast variance E[x^2] - E[x]^2 cancels where the stream is far from zero mean, as in late
    # Pythia.
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)


def stack(
    block: type[nn.Module], num_layers: int, num_shared: int = 0, num_stacked: int = 1
) -> Callable[..., Any]:
    """The module `block`, called as (h, layer, *shared), scanned over layers with stacked params.

    The stack is called as (h, layers [L], *shared). Of its arguments after h the first
    `num_stacked` have a value for each layer, and the `num_shared` last ones are the same in all.
    """
    return nn.scan(
        block,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=(*(0,) * num_stacked, *(nn.broadcast,) * num_shared),  # pyright: ignore[reportArgumentType]
        out_axes=0,
        length=num_layers,
    )


def run(trunk: Any, params: Params, tokens: Int[ArrayLike, "B T"], *shared) -> tuple[Any, ...]:
    """Applies a family's trunk to tokens: (hidden states, captured values, what else it gives).

    `trunk` is a module with the fields `config` and `capture`. Its params are the tree's without
    "unembed", which stands beside them so that one tree holds both.

    Raises:
        AssertionError: tokens that are not integers of rank 2, which would broadcast in silence.
        InputError: an unknown site; sequences longer than the model's positions; ids outside the
            vocabulary, where they can be seen. Where the call is traced their states are NaN.
    """
    chex.assert_rank(tokens, 2)
    chex.assert_type(tokens, int)
    for site in trunk.capture:
        if site not in SITES:
            raise InputError.unknown("site", site, SITES)
    check_length(trunk.config, jnp.shape(tokens)[1])
    check_tokens(tokens, trunk.config.vocab_size)
    return trunk.apply({"params": trunk_params(params)}, tokens, *shared)


def check_length(config: Any, length: int):
    """Raises InputError for sequences of more tokens than the model has positions."""
    if length > config.max_positions:
        raise InputError(
            f"sequences of {length} tokens",
            expected=f"at most {config.max_positions}, the model's positions",
            mend="Cut the text into shorter windows.",
        )


def trunk_params(params: Params) -> Params:
    """The params of a family's trunk: all but the "unembed" beside them."""
    return {name: subtree for name, subtree in params.items() if name != "unembed"}


def check_tokens(tokens: Int[ArrayLike, "..."], vocab_size: int):
    """Raises InputError for ids outside the vocabulary; while tracing nothing can be seen."""
    traced = isinstance(tokens, Tracer)
    if not traced and getattr(tokens, "is_fully_addressable", True):
        check_vocabulary(np.asarray(tokens), vocab_size)


def embed(table: nn.Embed, tokens: Int[Array, "B T"]) -> Float[Array, "B T D"]:
    """The rows of an embedding; those of ids outside the vocabulary are NaN."""
    ids = ids_or_end(tokens, table.num_embeddings)
    rows = table(ids)  # a take fills rows beyond the end with NaN
    if table.num_embeddings > 1:
        return rows
    return jnp.where((ids == 0)[..., None], rows, jnp.nan)  # Flax takes one row for any id


def ids_or_end(tokens: Int[ArrayLike, "*axes"], vocab_size: int) -> Int[Array, "*axes"]:
    """The ids, and `vocab_size` in place of each that is outside [0, vocab_size).

    A gather clips ids beyond the end, or fills them, but counts negative ones from the end.
    """
    tokens = jnp.asarray(tokens)
    ids = tokens.astype(jnp.promote_types(tokens.dtype, jnp.int32))  # int8 cannot hold the size
    return jnp.where((ids < 0) | (ids >= vocab_size), vocab_size, ids)


def check_config(config: Any, ranges: Mapping[str, Range]):
    """Checks the fields of a config that has `hidden_size` and `num_heads`.

    Raises:
        InputError: naming the field: a value out of its range, heads that do not divide the width.
    """
    for field, allowed in ranges.items():
        allowed.check(getattr(config, field), f"{field} ")
    if config.hidden_size % config.num_heads:
        raise InputError(
            f"hidden_size {config.hidden_size} with num_heads {config.num_heads}",
            expected="a multiple of the heads",
        )
