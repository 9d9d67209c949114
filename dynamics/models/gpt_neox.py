"""GPT-NeoX, the architecture of Pythia (Biderman et al. 2023), in flax linen with its layers
stacked.

Axes: B batch, T (and S) tokens, D width, H heads, K head dim, R rotated dims of a head, F MLP
width, L layers, V vocabulary.

Params are a plain nested dict whose leaves under `layers` carry a leading L, so that compile time
is flat in depth and a number per layer is a vmap:

    embed/embedding [V,D]
    layers/attention_norm/{scale,bias} [L,D]      layers/attention/qkv/kernel [L,D,H,3,K]  bias [L,H,3,K]
    layers/mlp_norm/{scale,bias} [L,D]            layers/attention/out/kernel [L,H,K,D]    bias [L,D]
    layers/mlp/up/kernel [L,D,F]  bias [L,F]      layers/mlp/down/kernel [L,F,D]           bias [L,D]
    final_norm/{scale,bias} [D]                   unembed/kernel [D,V]
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics.errors import InputError

CAUSAL = True

# Where a value inside a layer can be captured or replaced: (site, shape without the stacked L).
SITES = {
    "residual": "[B,T,D] the stream as it enters the layer",
    "attention": "[B,H,T,S] attention probabilities, target by source",
    "heads": "[B,T,H,K] what each head adds, before the output matrix",
    "mlp": "[B,T,F] MLP activations after GELU",
}

# What can be selected (`dynamics.restrict`): name -> {path of a leaf or subtree: the axis that each
# number picks}. A number's place is marked by the field of Config that counts it. The output bias
# serves all heads and belongs to none.
_ATTENTION = "layers.{num_layers}.attention"
PARTS: dict[str, dict[str, tuple[int, ...]]] = {
    "embed": {"embed": ()},
    "unembed": {"unembed": ()},
    "final_norm": {"final_norm": ()},
    "layers.{num_layers}": {"layers": (0,)},
    "layers.{num_layers}.attention_norm": {"layers/attention_norm": (0,)},
    _ATTENTION: {"layers/attention": (0,)},
    f"{_ATTENTION}.heads.{{num_heads}}": {
        "layers/attention/qkv/kernel": (0, 2),
        "layers/attention/qkv/bias": (0, 1),
        "layers/attention/out/kernel": (0, 1),
    },
    f"{_ATTENTION}.out_bias": {"layers/attention/out/bias": (0,)},
    "layers.{num_layers}.mlp_norm": {"layers/mlp_norm": (0,)},
    "layers.{num_layers}.mlp": {"layers/mlp": (0,)},
}
# Names by how finely they cut: the first two leave no weight out.
_ENDS = ("embed", "final_norm", "unembed")
PART_GROUPS: dict[str, tuple[str, ...]] = {
    "layers": (_ENDS[0], "layers", *_ENDS[1:]),
    "modules": (
        *_ENDS,
        *(f"layers.*.{module}" for module in ("attention_norm", "attention", "mlp_norm", "mlp")),
    ),
    "heads": ("layers.*.attention.heads",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Shape of a GPT-NeoX; the defaults are pythia-14m's."""

    hidden_size: int = 128
    num_layers: int = 6
    num_heads: int = 4
    intermediate_size: int = 512
    vocab_size: int = 50304
    max_positions: int = 2048
    rotary_fraction: float = 0.25
    rotary_base: float = 10_000.0
    parallel_residual: bool = True
    layer_norm_eps: float = 1e-5
    initializer: Literal["small", "normal"] = "small"

    def __post_init__(self):
        for field in (
            "hidden_size",
            "num_layers",
            "num_heads",
            "intermediate_size",
            "vocab_size",
            "max_positions",
        ):
            size = getattr(self, field)
            if not isinstance(size, int) or size < 1:
                raise InputError(f"{field} {size!r}", expected="a whole number, 1 or more")
        for field, most in (
            ("rotary_fraction", 1),
            ("rotary_base", math.inf),
            ("layer_norm_eps", math.inf),
        ):
            value = getattr(self, field)
            if not isinstance(value, int | float) or not 0 <= value <= most:
                raise InputError(f"{field} {value!r}", expected=f"a number from 0 to {most}")
        if self.hidden_size % self.num_heads:
            raise InputError(
                f"hidden_size {self.hidden_size} with num_heads {self.num_heads}",
                expected="a multiple of the heads",
            )
        if self.rotary_dims % 2:
            raise InputError(
                f"rotary_fraction {self.rotary_fraction} of a head of {self.head_dim}, {self.rotary_dims} dims",
                expected="an even number of rotated dims (the halves form pairs)",
            )
        if self.initializer not in ("small", "normal"):
            raise InputError.unknown("initializer", self.initializer, ("small", "normal"))

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def rotary_dims(self) -> int:
        return int(self.head_dim * self.rotary_fraction)


def _pythia(hidden_size: int, num_layers: int, num_heads: int, **other) -> Config:
    sizes = {"hidden_size": hidden_size, "num_layers": num_layers, "num_heads": num_heads}
    return Config(**sizes, intermediate_size=4 * hidden_size, **other)


# github.com/EleutherAI/pythia, models/*/*.yml; the vocabulary is 50277 ids padded for tensor
# parallelism. The two largest leave the initialisation at GPT-NeoX's default (normal, std 0.02).
PYTHIA: dict[str, Config] = {
    "14m": _pythia(128, 6, 4),
    "31m": _pythia(256, 6, 8),
    "70m": _pythia(512, 6, 8),
    "160m": _pythia(768, 12, 12),
    "410m": _pythia(1024, 24, 16),
    "1b": _pythia(2048, 16, 8),
    "1.4b": _pythia(2048, 24, 16),
    "2.8b": _pythia(2560, 32, 32),
    "6.9b": _pythia(4096, 32, 32, vocab_size=50432, initializer="normal"),
    "12b": _pythia(5120, 36, 40, vocab_size=50688, initializer="normal"),
}


def _initializers(config: Config):
    """Weight draws of the two GPT-NeoX schemes: (every matrix, the two that write into the residual
    stream).

    "small" is Nguyen & Salazar (2019), std sqrt(2/(5D)), with Wang & Komatsuzaki's 2/(L sqrt(D))
    for the residual writers, so logits start as N(0, 0.4) at any width; "normal" is 0.02 with
    0.02/sqrt(2L).
    """
    width, depth = config.hidden_size, config.num_layers
    if config.initializer == "small":
        return nn.initializers.normal((2 / (5 * width)) ** 0.5), nn.initializers.normal(
            2 / (depth * width**0.5)
        )
    return nn.initializers.normal(0.02), nn.initializers.normal(0.02 / (2 * depth) ** 0.5)


def rotary(x, base: float, dims: int):
    """Rotates the first `dims` of each head by its position (Su et al. 2021): [...,T,K] ->
    [...,T,K].

    Half-rotation layout: dim r pairs with dim r + R/2, where the paper pairs neighbours. Angles are
    always float32.
    """
    frequencies = base ** (-jnp.arange(0, dims, 2, dtype=jnp.float32) / dims)
    angles = jnp.outer(jnp.arange(x.shape[-2], dtype=jnp.float32), frequencies)
    angles = angles.reshape((1,) * (x.ndim - 2) + angles.shape)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second, rest = jnp.split(x, (dims // 2, dims), axis=-1)
    turned = (first * cos - second * sin, second * cos + first * sin)
    return jnp.concatenate([*(z.astype(x.dtype) for z in turned), rest], axis=-1)


class Attention(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, x, at):
        c = self.config
        draw, draw_residual = _initializers(c)
        qkv = nn.DenseGeneral((c.num_heads, 3, c.head_dim), kernel_init=draw, name="qkv")(x)
        # Heads before positions: XLA's CPU matrix product is three times as fast on the contiguous
        # layout.
        query, key, value = jnp.einsum("bthik->ibhtk", qkv)
        query, key = (rotary(z, c.rotary_base, c.rotary_dims) for z in (query, key))
        scores = (
            jnp.einsum("bhtk,bhsk->bhts", query, key, preferred_element_type=jnp.float32)
            / c.head_dim**0.5
        )
        causal = jnp.tril(jnp.ones(scores.shape[-2:], bool))[None, None]
        weights = at("attention", jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1))
        heads = at(
            "heads",
            jnp.einsum("bhts,bhsk->bhtk", weights.astype(value.dtype), value).swapaxes(1, 2),
        )
        return nn.DenseGeneral(c.hidden_size, axis=(-2, -1), kernel_init=draw_residual, name="out")(
            heads
        )


class MLP(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, x, at):
        draw, draw_residual = _initializers(self.config)
        hidden = nn.Dense(self.config.intermediate_size, kernel_init=draw, name="up")(x)
        hidden = at("mlp", jax.nn.gelu(hidden, approximate=False))
        return nn.Dense(self.config.hidden_size, kernel_init=draw_residual, name="down")(hidden)


class Block(nn.Module):
    config: Config
    capture: tuple[str, ...]
    intervene: Callable | None

    @nn.compact
    def __call__(self, h, layer):
        c, captured = self.config, {}

        def at(site, value):
            value = value if self.intervene is None else self.intervene(site, value, layer)
            if site in self.capture:
                captured[site] = value
            return value

        h = at("residual", h)
        attended = Attention(c, name="attention")(layer_norm(c, "attention_norm")(h), at)
        if c.parallel_residual:
            h = h + attended + MLP(c, name="mlp")(layer_norm(c, "mlp_norm")(h), at)
        else:
            h = h + attended
            h = h + MLP(c, name="mlp")(layer_norm(c, "mlp_norm")(h), at)
        return h, captured


def layer_norm(config: Config, name: str) -> nn.LayerNorm:
    # The fast variance E[x^2] - E[x]^2 cancels where the stream is far from zero mean, as in late
    # Pythia.
    return nn.LayerNorm(epsilon=config.layer_norm_eps, use_fast_variance=False, name=name)


class Trunk(nn.Module):
    """Tokens to final hidden states, and the unembedding beside it so that one tree holds both."""

    config: Config
    capture: tuple[str, ...] = ()
    intervene: Callable | None = None

    @nn.compact
    def __call__(self, tokens):
        c = self.config
        draw, _ = _initializers(c)
        h = nn.Embed(c.vocab_size, c.hidden_size, embedding_init=draw, name="embed")(tokens)
        stack = nn.scan(
            Block,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=0,
            out_axes=0,
            length=c.num_layers,
        )
        h, captured = stack(c, self.capture, self.intervene, name="layers")(
            h, jnp.arange(c.num_layers)
        )
        return layer_norm(c, "final_norm")(h), captured


def init(key, config: Config):
    """Params of an untrained model, float32, drawn as Pythia's were. `key` is a typed PRNG key."""
    trunk_key, unembed_key = jax.random.split(key)
    params = Trunk(config).init(trunk_key, jnp.zeros((1, 1), jnp.int32))["params"]
    draw, _ = _initializers(config)
    return {
        **params,
        "unembed": {
            "kernel": draw(unembed_key, (config.hidden_size, config.vocab_size), jnp.float32)
        },
    }


@functools.cache
def hidden_fn(config: Config):
    """hidden(params, tokens [B,T], capture=(), intervene=None) -> (h [B,T,D] after the final norm,
    captured).

    `capture` names SITES; captured[site] stacks them over layers, [L, ...]. `intervene(site, value,
    layer)` returns what takes the value's place; it is traced inside the scan over layers, so
    `layer` is a traced int32. Raises InputError for an unknown site and for sequences longer than
    the model's positions.
    """

    def hidden(params, tokens, capture=(), intervene=None):
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
        return trunk.apply({"params": {k: v for k, v in params.items() if k != "unembed"}}, tokens)

    return hidden


def unembedding(params):
    """The matrix [D,V] that hidden states are multiplied with to give logits."""
    return params["unembed"]["kernel"]


@functools.cache
def unembed_fn(config: Config):
    """unembed(params, h [...,D]) -> logits [...,V], float32 whatever the params: Pythia's outgrow
    half precision."""

    def unembed(params, h):
        return jnp.matmul(h, unembedding(params), preferred_element_type=jnp.float32)

    return unembed
