"""BERT for masked language modelling (Devlin et al. 2019), in flax linen with its layers stacked.

Axes: B batch, T (and S) tokens, D width, H heads, K head dim, F MLP width, L layers, P positions, V
vocabulary.

Every position sees every other, so a prediction of the token at t is made at t, with a mask token
in its place, and not at t - 1. The normalisation follows each residual sum, and the output matrix
is the embedding's transpose with a bias. Params are a plain nested dict whose leaves under `layers`
carry a leading L:

    embed/token/embedding [V,D]   embed/position/embedding [P,D]   embed/segment/embedding [2,D]
    embed/norm/{scale,bias} [D]
    layers/attention/{query,key,value}/kernel [L,D,H,K]  bias [L,H,K]
    layers/attention/out/kernel [L,H,K,D]  bias [L,D]    layers/attention_norm/{scale,bias} [L,D]
    layers/mlp/up/kernel [L,D,F]  bias [L,F]             layers/mlp/down/kernel [L,F,D]  bias [L,D]
    layers/mlp_norm/{scale,bias} [L,D]
    transform/dense/kernel [D,D]  bias [D]               transform/norm/{scale,bias} [D]
    unembed/bias [V]
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics.errors import InputError

CAUSAL = False

# Where a value inside a layer can be captured or replaced: (site, shape without the stacked L).
SITES = {
    "residual": "[B,T,D] the stream as it enters the layer",
    "attention": "[B,H,T,S] attention probabilities, target by source",
    "heads": "[B,T,H,K] what each head adds, before the output matrix",
    "mlp": "[B,T,F] MLP activations after GELU",
}

# What can be selected (`dynamics.restrict`); see models/gpt_neox.py. The embedding is the output
# matrix too.
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
_ENDS = ("embed", "transform", "unembed_bias")
PART_GROUPS: dict[str, tuple[str, ...]] = {
    "layers": (_ENDS[0], "layers", *_ENDS[1:]),
    "modules": (
        *_ENDS,
        *(f"layers.*.{module}" for module in ("attention", "attention_norm", "mlp", "mlp_norm")),
    ),
    "heads": ("layers.*.attention.heads",),
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
        sizes = (
            "hidden_size",
            "num_layers",
            "num_heads",
            "intermediate_size",
            "vocab_size",
            "max_positions",
        )
        for field in (*sizes, "num_segments"):
            size = getattr(self, field)
            if not isinstance(size, int) or size < 1:
                raise InputError(f"{field} {size!r}", expected="a whole number, 1 or more")
        for field in ("layer_norm_eps", "initializer_range"):
            value = getattr(self, field)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise InputError(f"{field} {value!r}", expected="a finite number, 0 or more")
        if self.hidden_size % self.num_heads:
            raise InputError(
                f"hidden_size {self.hidden_size} with num_heads {self.num_heads}",
                expected="a multiple of the heads",
            )

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads


def _draw(config: Config):
    """BERT's draw of every matrix: a normal cut at two standard deviations, its spread not
    corrected for the cut."""
    return nn.initializers.truncated_normal(config.initializer_range)


class Embedding(nn.Module):
    """Token, position and segment, all of the text being segment 0."""

    config: Config

    @nn.compact
    def __call__(self, tokens):
        c, draw = self.config, _draw(self.config)
        token = nn.Embed(c.vocab_size, c.hidden_size, embedding_init=draw, name="token")(tokens)
        position = nn.Embed(c.max_positions, c.hidden_size, embedding_init=draw, name="position")
        segment = nn.Embed(c.num_segments, c.hidden_size, embedding_init=draw, name="segment")
        first = position(jnp.arange(tokens.shape[1]))[None] + segment(jnp.zeros((1, 1), jnp.int32))
        return layer_norm(c, "norm")(token + first)


class Attention(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, x, seen, at):
        c, draw = self.config, _draw(self.config)
        names = ("query", "key", "value")
        projected = [
            nn.DenseGeneral((c.num_heads, c.head_dim), kernel_init=draw, name=name)(x)
            for name in names
        ]
        query, key, value = (jnp.einsum("bthk->bhtk", z) for z in projected)
        scores = (
            jnp.einsum("bhtk,bhsk->bhts", query, key, preferred_element_type=jnp.float32)
            / c.head_dim**0.5
        )
        if seen is not None:
            scores = jnp.where(seen[:, None, None, :], scores, -jnp.inf)
        weights = at("attention", jax.nn.softmax(scores, axis=-1))
        heads = at(
            "heads",
            jnp.einsum("bhts,bhsk->bhtk", weights.astype(value.dtype), value).swapaxes(1, 2),
        )
        return nn.DenseGeneral(c.hidden_size, axis=(-2, -1), kernel_init=draw, name="out")(heads)


class MLP(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, x, at):
        c, draw = self.config, _draw(self.config)
        hidden = nn.Dense(c.intermediate_size, kernel_init=draw, name="up")(x)
        hidden = at("mlp", jax.nn.gelu(hidden, approximate=False))
        return nn.Dense(c.hidden_size, kernel_init=draw, name="down")(hidden)


class Block(nn.Module):
    config: Config
    capture: tuple[str, ...]
    intervene: Callable | None

    @nn.compact
    def __call__(self, h, layer, seen):
        c, captured = self.config, {}

        def at(site, value):
            value = value if self.intervene is None else self.intervene(site, value, layer)
            if site in self.capture:
                captured[site] = value
            return value

        h = at("residual", h)
        h = layer_norm(c, "attention_norm")(h + Attention(c, name="attention")(h, seen, at))
        h = layer_norm(c, "mlp_norm")(h + MLP(c, name="mlp")(h, at))
        return h, captured


class Transform(nn.Module):
    """What stands between the last layer and the output matrix."""

    config: Config

    @nn.compact
    def __call__(self, h):
        h = nn.Dense(self.config.hidden_size, kernel_init=_draw(self.config), name="dense")(h)
        return layer_norm(self.config, "norm")(jax.nn.gelu(h, approximate=False))


def layer_norm(config: Config, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=config.layer_norm_eps, use_fast_variance=False, name=name)


class Trunk(nn.Module):
    """Tokens to transformed hidden states; the output bias stands beside it so that one tree holds
    both."""

    config: Config
    capture: tuple[str, ...] = ()
    intervene: Callable | None = None

    @nn.compact
    def __call__(self, tokens, seen=None):
        c = self.config
        h = Embedding(c, name="embed")(tokens)
        stack = nn.scan(
            Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(0, nn.broadcast),  # pyright: ignore[reportArgumentType]
            out_axes=0,
            length=c.num_layers,
        )
        h, captured = stack(c, self.capture, self.intervene, name="layers")(
            h, jnp.arange(c.num_layers), seen
        )
        return Transform(c, name="transform")(h), captured


def init(key, config: Config):
    """Params of an untrained model, float32, drawn as BERT's were. `key` is a typed PRNG key."""
    params = Trunk(config).init(key, jnp.zeros((1, 1), jnp.int32))["params"]
    return {**params, "unembed": {"bias": jnp.zeros(config.vocab_size, jnp.float32)}}


@functools.cache
def hidden_fn(config: Config):
    """hidden(params, tokens [B,T], capture=(), intervene=None, seen=None) -> (h [B,T,D+1],
    captured).

    The last coordinate of h is 1 and meets the bias in the last row of `unembedding`, so that
    logits are one matrix product here as in every other model. `seen` [B,T], where given, is False
    for tokens that none may attend to (padding); a row must have at least one that is seen.
    `capture` and `intervene` as in models/gpt_neox.py. Raises InputError for an unknown site and
    for sequences longer than the model's positions.
    """

    def hidden(params, tokens, capture=(), intervene=None, seen=None):
        for site in capture:
            if site not in SITES:
                raise InputError.unknown("site", site, SITES)
        if tokens.shape[1] > config.max_positions:
            raise InputError(
                f"sequences of {tokens.shape[1]} tokens",
                expected=f"at most {config.max_positions}, the model's positions",
                mend="Cut the text into shorter windows.",
            )
        trunk = Trunk(config, tuple(capture), intervene)
        h, captured = trunk.apply(
            {"params": {k: v for k, v in params.items() if k != "unembed"}}, tokens, seen
        )
        return jnp.concatenate([h, jnp.ones_like(h[..., :1])], axis=-1), captured

    return hidden


def unembedding(params):
    """The matrix [D+1,V] that hidden states are multiplied with to give logits: the embedding
    transposed over the bias.

    What flows back through it reaches the embedding, as is right for a tied matrix.
    """
    bias = params["unembed"]["bias"]
    return jnp.concatenate([jnp.swapaxes(params["embed"]["token"]["embedding"], 0, 1), bias[None]])


@functools.cache
def unembed_fn(config: Config):
    """unembed(params, h [...,D+1]) -> logits [...,V], float32 whatever the params."""

    def unembed(params, h):
        # As `unembedding`, without a copy of the matrix.
        embedding, bias = params["embed"]["token"]["embedding"], params["unembed"]["bias"]
        logits = jnp.einsum(
            "...d,vd->...v", h[..., :-1], embedding, preferred_element_type=jnp.float32
        )
        return logits + (h[..., -1:] * jnp.expand_dims(bias, range(h.ndim - 1))).astype(jnp.float32)

    return unembed
