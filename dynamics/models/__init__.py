"""Models as pure functions: params and tokens to hidden states, hidden states to logits.

Axes: B batch, T tokens, D width, E width of a hidden state, L layers, V vocabulary.

E is D, or D + 1 in families whose output has a bias: there the last coordinate is 1 and meets it.

Each family of models is one module here, with the form of `Architecture`. The functions of this
file look the module up by the type of the config, so that what calls them need not know the family;
what differs between families is asked of `architecture(config)`.
"""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Key

from dynamics.errors import InputError
from dynamics.models import _transformer, bert, gpt_neox, icl_regression
from dynamics.models._head import check_head, has_head
from dynamics.models._transformer import Intervention, Memory, Params, ids_or_end

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Config",
    "Intervention",
    "Memory",
    "Params",
    "apply_fn",
    "architecture",
    "bert",
    "check_causal",
    "check_head",
    "check_tokens",
    "continue_fn",
    "empty_memory",
    "gpt_neox",
    "has_head",
    "hidden_fn",
    "icl_regression",
    "ids_or_end",
    "init",
    "num_params",
    "unembed_fn",
    "unembedding",
]

Config = gpt_neox.Config | bert.Config | icl_regression.Config


class Architecture(Protocol):
    """What the module of a family provides, as module-level names.

    Params are a plain nested dict of float arrays. Leaves under "layers" are stacked: their first
    axis is L. The module's own docstring lists every leaf with its shape.

    Attributes:
        Config: a frozen dataclass of the model's shape. Its fields carry the paper's values as
            defaults, and a config that no model can have raises InputError. Every config has
            `hidden_size` D, `num_layers` L, `num_heads`, `vocab_size` V and `max_positions`.
        CAUSAL: whether a token sees only itself and those before it, so that the hidden state at t
            predicts the token at t + 1. Otherwise it predicts the token at t.
        VOCABULARY: whether tokens are ids [B,T] of a vocabulary; otherwise they are vectors
            [B,T,I], and V is the numbers of an output.
        SITES: site -> its shape in one layer: where `hidden` captures or replaces values.
        PARTS: the parts that `dynamics.restrict` can select: name -> {path of a leaf or subtree:
            the axes that the name's numbers index, in order}. A number's place in a name is written
            as the field of Config that counts it: "layers.{num_layers}.mlp".
        PART_GROUPS: kind -> names of parts, "*" for any number. "layers" and "modules" partition
            the weights, the second finer than the first; "heads" holds every attention head.
        TIED: name -> the name in `matrices` whose transpose it is. "unembed" is a key of one or the
            other.
    """

    __name__: str
    Config: Any
    CAUSAL: bool
    VOCABULARY: bool
    SITES: dict[str, str]
    PARTS: dict[str, dict[str, tuple[int, ...]]]
    PART_GROUPS: dict[str, tuple[str, ...]]
    TIED: dict[str, str]

    def init(self, key: Key[Array, ""], config: Any) -> Params:
        """Params of an untrained model, float32, drawn as the family's authors drew them."""
        ...

    def hidden_fn(self, config: Any) -> Callable[..., Any]:
        """The function that `models.hidden_fn` returns; the same object for equal configs."""
        ...

    def continue_fn(self, config: Any) -> Callable[..., Any]:
        """The function that `models.continue_fn` returns; families that are not CAUSAL refuse."""
        ...

    def unembed_fn(self, config: Any) -> Callable[..., Any]:
        """The function that `models.unembed_fn` returns; the same object for equal configs."""
        ...

    def unembedding(self, params: Params) -> Float[Array, "E V"]:
        """The matrix of `unembed_fn`: logits = h @ unembedding(params)."""
        ...

    def matrices(self, params: Params) -> dict[str, Float[Array, "..."]]:
        """The weight matrices that families have in common, by name, each stored one once.

        embed, attention_qkv, attention_out, mlp_up, mlp_down, and unembed where it is a matrix of
        its own; the module gives their shapes.
        """
        ...

    def max_init_std(self, config: Any) -> float:
        """The largest standard deviation with which `init` draws a matrix."""
        ...


ARCHITECTURES: dict[type, Architecture] = {
    gpt_neox.Config: gpt_neox,
    bert.Config: bert,
    icl_regression.Config: icl_regression,
}


def architecture(config: Config) -> Architecture:
    """The module that implements `config`. Raises InputError for a config of another type."""
    if type(config) not in ARCHITECTURES:
        raise InputError.unknown(
            "model config",
            type(config).__qualname__,
            (config_type.__module__ for config_type in ARCHITECTURES),
        )
    return ARCHITECTURES[type(config)]


def init(key: Key[Array, ""], config: Config) -> Params:
    """Params of an untrained model, float32, drawn as the family's authors drew them.

    Args:
        key: a typed PRNG key.
        config: of any family in ARCHITECTURES.

    Example:
        >>> import jax
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=3, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> params["layers"]["mlp"]["up"]["kernel"].shape  # [L,D,F]
        (3, 16, 32)
    """
    return architecture(config).init(key, config)


def hidden_fn(config: Config) -> Callable[..., tuple[Float[Array, "B T E"], dict[str, Array]]]:
    """hidden(params, tokens [B,T], capture=(), intervene=None) -> (h [B,T,E], captured).

    h holds the hidden states after the last norm, what `unembed_fn` reads. The arguments of
    `hidden`:

        params: as from `init` or `checkpoints.load`, of any float type.
        tokens: integer ids below V. Others are refused; under jit, where ids cannot be seen, they
            give NaN.
        capture: names in the module's SITES; captured[site] is [L, ...], the values stacked over
            layers, after any intervention.
        intervene: intervene(site, value, layer) returns what takes the value's place. It is traced
            inside the scan over layers, so `layer` is a traced int32.

    `hidden` raises InputError for an unknown site, for more tokens than the model has positions and
    for ids outside the vocabulary, AssertionError for tokens that are not integers [B,T].

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=3, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> hidden = models.hidden_fn(config)
        >>> h, captured = hidden(params, jnp.array([[1, 2, 3, 4]]), capture=("attention",))
        >>> h.shape, captured["attention"].shape  # [B,T,E], [L,B,H,T,S]
        ((1, 4, 16), (3, 1, 2, 4, 4))
        >>> def ablate(site, value, layer):  # every head of layer 1
        ...     return jnp.where(layer == 1, 0, value) if site == "heads" else value
        >>> ablated, _ = hidden(params, jnp.array([[1, 2, 3, 4]]), intervene=ablate)
        >>> bool(jnp.abs(ablated - h).max() > 1e-3)
        True
    """
    return architecture(config).hidden_fn(config)


def continue_fn(config: Config) -> Callable[..., tuple[Float[Array, "B T E"], Memory]]:
    """read_on(params, tokens [B,T], memory, start) -> (h [B,T,E], memory), for a causal model.

    The T tokens follow the `start` tokens that the memory holds: h is what `hidden_fn` gives at
    their places for the whole sequence, and nothing of the earlier ones is computed again. The
    memory that comes back holds the new ones too. `start` may be traced, so that a loop over tokens
    compiles once; start + T beyond the places of the memory would overwrite its last ones, so that
    the caller has to see to it.

    Raises:
        InputError: a masked model, whose earlier hidden states change with each new token; and by
            `read_on` what `hidden` raises.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=3, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> tokens = jnp.array([[1, 2, 3, 4]])
        >>> read_on = jax.jit(models.continue_fn(config))
        >>> _, memory = read_on(params, tokens[:, :3], models.empty_memory(config, 1, 4), 0)
        >>> last, memory = read_on(params, tokens[:, 3:], memory, 3)
        >>> h, _ = models.hidden_fn(config)(params, tokens)
        >>> bool(jnp.abs(last[:, 0] - h[:, 3]).max() < 1e-5)
        True
    """
    check_causal(config)
    return architecture(config).continue_fn(config)


def empty_memory(config: Config, batch: int, places: int) -> Memory:
    """Room for `places` tokens of each of `batch` sequences, float32, for `continue_fn`.

    Raises:
        InputError: more places than the model has positions.

    Example:
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=3, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> empty_memory(config, batch=4, places=9).key.shape  # [L,B,H,S,K]
        (3, 4, 2, 9, 8)
    """
    _transformer.check_length(config, places)
    return Memory.empty(config, batch, places)


def unembed_fn(config: Config) -> Callable[..., Float[Array, "*axes V"]]:
    """unembed(params, h [...,E]) -> logits float32 [...,V].

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from dynamics import models
        >>> config = models.bert.Config(hidden_size=16, num_layers=1, num_heads=2,
        ...                             intermediate_size=32, vocab_size=11)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> h = jnp.zeros((2, 17)).at[:, -1].set(1)  # in a BERT E is D + 1
        >>> models.unembed_fn(config)(params, h).shape
        (2, 11)
    """
    return architecture(config).unembed_fn(config)


def unembedding(config: Config, params: Params) -> Float[Array, "E V"]:
    """The matrix of `unembed_fn`, for measures that fuse its product with a loss of the logits."""
    return architecture(config).unembedding(params)


def check_tokens(config: Config, tokens: Int[ArrayLike, "..."]):
    """Raises InputError for ids outside the vocabulary; under jit, where none is seen, it passes.

    The models and the losses give NaN for them there.
    """
    _transformer.check_tokens(tokens, config.vocab_size)


def check_causal(config: Config):
    """Raises InputError for a model of no text, or one that sees what it would have to predict."""
    family = architecture(config).__name__.rpartition(".")[2]
    if not architecture(config).VOCABULARY:
        raise InputError(
            f"a model of the family {family} asked for its next token",
            expected="a model of text, which has a vocabulary",
            mend="Choose another --suite for this question.",
        )
    if not architecture(config).CAUSAL:
        raise InputError(
            f"a {family} asked for its next token",
            expected="a causal model: this one sees the tokens on either side",
            mend="Measure it one mask at a time: python -m experiments.masked.",
        )


@functools.cache
def apply_fn(config: Config) -> Callable[..., Float[Array, "B T V"]]:
    """apply(params, tokens [B,T]) -> logits float32 [B,T,V], for inputs whose logits fit in memory.

    `hidden_fn` and `unembed_fn` composed. Raises what `hidden` raises.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=1, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> apply = jax.jit(models.apply_fn(config))
        >>> logits = apply(models.init(jax.random.key(0), config), jnp.array([[1, 2, 3]]))
        >>> logits.shape, logits.dtype
        ((1, 3, 11), dtype('float32'))
    """
    hidden, unembed = hidden_fn(config), unembed_fn(config)

    def apply(params: Params, tokens: Int[ArrayLike, "B T"]) -> Float[Array, "B T V"]:
        h, _ = hidden(params, tokens)
        return unembed(params, h)

    return apply


def num_params(params: Params) -> int:
    """How many numbers a params tree holds."""
    return sum(int(jnp.size(leaf)) for leaf in jax.tree.leaves(params))
