"""BERT for masked language modelling (Devlin et al. 2019).

Axes: B batch, T (and S) tokens, D width, H heads, K head dim, F MLP width, L layers, P positions, G
segments, V vocabulary.

Every position sees every other, so the token at t is predicted at t, with a mask token in its
place, and not at t - 1. A norm follows each residual sum. The output matrix is the transposed
embedding, with a bias. Params are a plain nested dict whose leaves under `layers` carry a leading
L:

    embed/token/embedding [V,D]
    embed/position/embedding [P,D]
    embed/segment/embedding [G,D]
    embed/norm/{scale,bias} [D]
    layers/attention/{query,key,value}/kernel [L,D,H,K]  bias [L,H,K]
    layers/attention/out/kernel [L,H,K,D]  bias [L,D]
    layers/attention_norm/{scale,bias} [L,D]
    layers/mlp/up/kernel [L,D,F]  bias [L,F]
    layers/mlp/down/kernel [L,F,D]  bias [L,D]
    layers/mlp_norm/{scale,bias} [L,D]
    transform/dense/kernel [D,D]  bias [D]
    transform/norm/{scale,bias} [D]
    unembed/bias [V]
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

from dynamics.errors import InputError
from dynamics.inputs import Range, Real, Whole
from dynamics.models import _transformer
from dynamics.models._head import check_head, has_head
from dynamics.models._transformer import MLP, Hook, Intervention, Params, layer_norm

CAUSAL: bool = False
VOCABULARY: bool = True
SITES = _transformer.SITES
TIED: dict[str, str] = {"unembed": "embed"}

# "embed" holds the output matrix too. The output bias of attention serves all heads and belongs to
# none.
_ATTENTION = "layers.{num_layers}.attention"
PARTS: dict[str, dict[str, tuple[int, ...]]] = {
    "embed": {"embed": ()},
    "embed.token": {"embed/token": ()},
    "embed.position": {"embed/position": ()},
    "transform": {"transform": ()},
    "unembed_bias": {"unembed": ()},
    "layers.{num_layers}": {"layers": (0,)},
    _ATTENTION: {"layers/attention": (0,)},
    f"{_ATTENTION}.heads.{{num_heads}}": {
        **{f"layers/attention/{name}/kernel": (0, 2) for name in ("query", "key", "value")},
        **{f"layers/attention/{name}/bias": (0, 1) for name in ("query", "key", "value")},
        "layers/attention/out/kernel": (0, 1),
    },
    f"{_ATTENTION}.out_bias": {"layers/attention/out/bias": (0,)},
    "layers.{num_layers}.attention_norm": {"layers/attention_norm": (0,)},
    "layers.{num_layers}.mlp": {"layers/mlp": (0,)},
    "layers.{num_layers}.mlp_norm": {"layers/mlp_norm": (0,)},
}
_OUTSIDE_LAYERS = ("embed", "transform", "unembed_bias")
PART_GROUPS: dict[str, tuple[str, ...]] = {
    "layers": (_OUTSIDE_LAYERS[0], "layers", *_OUTSIDE_LAYERS[1:]),
    "modules": (
        *_OUTSIDE_LAYERS,
        *(f"layers.*.{module}" for module in ("attention", "attention_norm", "mlp", "mlp_norm")),
    ),
    "heads": ("layers.*.attention.heads",),
}
RANGES: dict[str, Range] = {
    **_transformer.SIZES,
    "num_segments": Whole(1, 1 << 16),
    "layer_norm_eps": _transformer.NORM_EPSILON,
    "initializer_range": Real(0, 1000),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Shape of a BERT; the defaults are BERT-base uncased's, and every MultiBERT's."""

    hidden_size: int = 768
    num_layers: int = 12
    num_heads: int = 12
    intermediate_size: int = 3072
    vocab_size: int = 30522
    max_positions: int = 512
    num_segments: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self):
        _transformer.check_config(self, RANGES)

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads


def max_init_std(config: Config) -> float:
    """The standard deviation of the initial draws of every matrix, before they are truncated."""
    return config.initializer_range


def _initializer(config: Config):
    """A normal truncated at two standard deviations, its spread not corrected for that."""
    return nn.initializers.truncated_normal(config.initializer_range)


class Embedding(nn.Module):
    """The sum of token, position and segment embeddings, normalised; all text is segment 0."""

    config: Config

    @nn.compact
    def __call__(self, tokens: Int[Array, "B T"]) -> Float[Array, "B T D"]:
        c, init = self.config, _initializer(self.config)
        table = nn.Embed(c.vocab_size, c.hidden_size, embedding_init=init, name="token")
        token = _transformer.embed(table, tokens)
        position = nn.Embed(c.max_positions, c.hidden_size, embedding_init=init, name="position")
        segment = nn.Embed(c.num_segments, c.hidden_size, embedding_init=init, name="segment")
        first = position(jnp.arange(tokens.shape[1]))[None] + segment(jnp.zeros((1, 1), jnp.int32))
        return layer_norm(c.layer_norm_eps, "norm")(token + first)


class Attention(nn.Module):
    """Self-attention over both sides, with a projection each for queries, keys and values."""

    config: Config

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], seen: Bool[Array, "B S"] | None, hook: Hook
    ) -> Float[Array, "B T D"]:
        c, init = self.config, _initializer(self.config)
        projected = [
            nn.DenseGeneral((c.num_heads, c.head_dim), kernel_init=init, name=name)(x)
            for name in ("query", "key", "value")
        ]
        query, key, value = (jnp.einsum("bthk->bhtk", vectors) for vectors in projected)
        visible = None if seen is None else seen[:, None, None, :]
        heads = _transformer.attend(query, key, value, visible, hook)
        return nn.DenseGeneral(c.hidden_size, axis=(-2, -1), kernel_init=init, name="out")(heads)


class Block(nn.Module):
    """One layer; a norm follows each of its two residual sums."""

    config: Config
    capture: tuple[str, ...]
    intervene: Intervention | None

    @nn.compact
    def __call__(
        self, h: Float[Array, "B T D"], layer: Int[Array, ""], seen: Bool[Array, "B S"] | None
    ):
        c, init = self.config, _initializer(self.config)
        hook, captured = _transformer.hook_of(layer, self.capture, self.intervene)
        attention = Attention(c, name="attention")
        mlp = MLP(c.intermediate_size, init, init, name="mlp")
        h = hook("residual", h)
        h = layer_norm(c.layer_norm_eps, "attention_norm")(h + attention(h, seen, hook))
        h = layer_norm(c.layer_norm_eps, "mlp_norm")(h + mlp(h, hook))
        return h, captured


class Transform(nn.Module):
    """The dense layer, GELU and norm between the last layer and the output matrix."""

    config: Config

    @nn.compact
    def __call__(self, h: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        c = self.config
        h = nn.Dense(c.hidden_size, kernel_init=_initializer(c), name="dense")(h)
        return layer_norm(c.layer_norm_eps, "norm")(jax.nn.gelu(h, approximate=False))


class Trunk(nn.Module):
    """Tokens to transformed hidden states, and what was captured on the way."""

    config: Config
    capture: tuple[str, ...] = ()
    intervene: Intervention | None = None
    head: bool = True

    @nn.compact
    def __call__(self, tokens: Int[Array, "B T"], seen: Bool[Array, "B S"] | None = None):
        c = self.config
        h = Embedding(c, name="embed")(tokens)
        layers = _transformer.stack(Block, c.num_layers, num_shared=1)(
            c, self.capture, self.intervene, name="layers"
        )
        h, captured = layers(h, jnp.arange(c.num_layers), seen)
        return Transform(c, name="transform")(h) if self.head else h, captured


def init(key: Key[Array, ""], config: Config) -> Params:
    """Params of an untrained model, float32, drawn as BERT's were."""
    params = Trunk(config).init(key, jnp.zeros((1, 1), jnp.int32))["params"]
    return {**params, "unembed": {"bias": jnp.zeros(config.vocab_size, jnp.float32)}}


@functools.cache
def hidden_fn(config: Config) -> Callable[..., tuple[Float[Array, "B T E"], dict[str, Array]]]:
    """hidden(params, tokens [B,T], capture=(), intervene=None, seen=None) -> (h [B,T,E], captured).

    E = D + 1. The last coordinate of h is 1 and meets the bias in the last row of `unembedding`, so
    that logits are one matrix product here as in every other model. `seen` [B,T] is False for
    padding, which no token attends to; each row needs a token that is seen. The other arguments and
    errors are those of `models.hidden_fn`.

    Of params without a head (no `transform`, no `unembed`) h [B,T,D] is what the last layer gives.
    """

    def hidden(
        params: Params,
        tokens: Int[ArrayLike, "B T"],
        capture: Sequence[str] = (),
        intervene: Intervention | None = None,
        seen: Bool[ArrayLike, "B T"] | None = None,
    ) -> tuple[Float[Array, "B T E"], dict[str, Array]]:
        if seen is not None:
            chex.assert_equal_shape([tokens, seen])
        trunk = Trunk(config, tuple(capture), intervene, head=has_head(params))
        h, captured = _transformer.run(trunk, params, tokens, seen)
        if not has_head(params):
            return h, captured
        return jnp.concatenate([h, jnp.ones_like(h[..., :1])], axis=-1), captured

    return hidden


def continue_fn(config: Config) -> Callable:
    """Refused: a token's hidden state changes with each later one. Raises InputError."""
    raise InputError(
        f"a masked model of {config.num_layers} layers asked to read on from where it was",
        expected="a causal model, whose hidden states stay as they are",
    )


def unembedding(params: Params) -> Float[Array, "E V"]:
    """The matrix that hidden states are multiplied with to give logits: embedding^T over the bias.

    A gradient through it reaches the embedding, as is right for a tied matrix.
    """
    check_head(params)
    bias = params["unembed"]["bias"]
    return jnp.concatenate([jnp.swapaxes(params["embed"]["token"]["embedding"], 0, 1), bias[None]])


@functools.cache
def unembed_fn(config: Config) -> Callable[..., Float[Array, "*axes V"]]:
    """unembed(params, h [...,E]) -> logits [...,V], float32 whatever the params."""

    def unembed(params: Params, h: Float[Array, "*axes E"]) -> Float[Array, "*axes V"]:
        check_head(params)
        # The product with `unembedding`, without a copy of the matrix.
        embedding, bias = params["embed"]["token"]["embedding"], params["unembed"]["bias"]
        logits = jnp.einsum(
            "...d,vd->...v", h[..., :-1], embedding, preferred_element_type=jnp.float32
        )
        return logits + (h[..., -1:] * jnp.expand_dims(bias, range(h.ndim - 1))).astype(jnp.float32)

    return unembed


def matrices(params: Params) -> dict[str, Float[Array, "..."]]:
    """embed [V,D] (of tokens) and, stacked over layers, those of attention and the MLP.

    attention_qkv [L,D,H,3,K], attention_out [L,H,K,D], mlp_up [L,D,F], mlp_down [L,F,D]. Position,
    segment and transform matrices have no counterpart in other families and are left out.
    """
    layers = params["layers"]
    query_key_value = [layers["attention"][name]["kernel"] for name in ("query", "key", "value")]
    return {
        "embed": params["embed"]["token"]["embedding"],
        "attention_qkv": jnp.stack(query_key_value, axis=3),
        "attention_out": layers["attention"]["out"]["kernel"],
        "mlp_up": layers["mlp"]["up"]["kernel"],
        "mlp_down": layers["mlp"]["down"]["kernel"],
    }
