"""GPT-NeoX, the architecture of Pythia (Biderman et al. 2023).

Axes: B batch, T (and S) tokens, D width, H heads, K head dim, R rotated dims of a head, F MLP
width, L layers, V vocabulary.

Params are a plain nested dict whose leaves under `layers` carry a leading L, so that compile time
is flat in depth and a number per layer is a vmap:

    embed/embedding [V,D]
    layers/attention_norm/{scale,bias} [L,D]
    layers/attention/qkv/kernel [L,D,H,3,K]  bias [L,H,3,K]
    layers/attention/out/kernel [L,H,K,D]    bias [L,D]
    layers/mlp_norm/{scale,bias} [L,D]
    layers/mlp/up/kernel [L,D,F]  bias [L,F]
    layers/mlp/down/kernel [L,F,D]  bias [L,D]
    final_norm/{scale,bias} [D]
    unembed/kernel [D,V]
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Key

from dynamics.errors import InputError
from dynamics.inputs import Boolean, Choice, Range, Real
from dynamics.models import _transformer
from dynamics.models._head import check_head, has_head
from dynamics.models._transformer import MLP, Hook, Intervention, Memory, Params, layer_norm

CAUSAL: bool = True
VOCABULARY: bool = True
SITES = _transformer.SITES
TIED: dict[str, str] = {}

# The output bias of attention serves all heads and belongs to none.
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
_OUTSIDE_LAYERS = ("embed", "final_norm", "unembed")
PART_GROUPS: dict[str, tuple[str, ...]] = {
    "layers": (_OUTSIDE_LAYERS[0], "layers", *_OUTSIDE_LAYERS[1:]),
    "modules": (
        *_OUTSIDE_LAYERS,
        *(f"layers.*.{module}" for module in ("attention_norm", "attention", "mlp_norm", "mlp")),
    ),
    "heads": ("layers.*.attention.heads",),
}
RANGES: dict[str, Range] = {
    **_transformer.SIZES,
    "rotary_fraction": Real(0, 1),
    "rotary_base": Real(1, 1e12),
    "parallel_residual": Boolean(),
    "layer_norm_eps": _transformer.NORM_EPSILON,
    "initializer": Choice(("small", "normal")),
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
        _transformer.check_config(self, RANGES)
        if self.rotary_dims % 2:
            raise InputError(
                f"rotary_fraction {self.rotary_fraction} of a head of {self.head_dim}, "
                f"{self.rotary_dims} dims",
                expected="an even number of rotated dims (the halves form pairs)",
            )

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


def _init_stds(config: Config) -> tuple[float, float]:
    """Standard deviations of the initial draws: (every matrix, the two that write to the stream).

    "small" is Nguyen & Salazar (2019), sqrt(2/(5D)), with Wang & Komatsuzaki's 2/(L sqrt(D)) for
    the matrices that write to the residual stream, so logits start as N(0, 0.4) at any width;
    "normal" is 0.02 with 0.02/sqrt(2L).
    """
    width, depth = config.hidden_size, config.num_layers
    if config.initializer == "small":
        return (2 / (5 * width)) ** 0.5, 2 / (depth * width**0.5)
    return 0.02, 0.02 / (2 * depth) ** 0.5


def max_init_std(config: Config) -> float:
    """The largest standard deviation of the initial draws; the writers' with few layers."""
    return max(_init_stds(config))


def _initializers(config: Config):
    every, writers = _init_stds(config)
    return nn.initializers.normal(every), nn.initializers.normal(writers)


def rotary(
    x: Float[Array, "*axes T K"], base: float, dims: int, start: Int[ArrayLike, ""] = 0
) -> Float[Array, "*axes T K"]:
    """Rotates the first `dims` of each head by its position (Su et al. 2021, section 3.4.2).

    The first of the T tokens stands at position `start`. Half-rotation layout: dim r pairs with dim
    r + R/2, where the paper pairs neighbours. Angles are always float32.
    """
    frequencies = base ** (-jnp.arange(0, dims, 2, dtype=jnp.float32) / dims)
    angles = jnp.outer(start + jnp.arange(x.shape[-2], dtype=jnp.float32), frequencies)
    angles = angles.reshape((1,) * (x.ndim - 2) + angles.shape)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second, rest = jnp.split(x, (dims // 2, dims), axis=-1)
    rotated = (first * cos - second * sin, second * cos + first * sin)
    return jnp.concatenate([*(half.astype(x.dtype) for half in rotated), rest], axis=-1)


class Attention(nn.Module):
    """Causal self-attention: one projection to queries, keys and values; rotary positions.

    With a memory the T tokens follow the `start` tokens that it holds, and are added to it.
    """

    config: Config

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T D"],
        hook: Hook,
        memory: Memory | None = None,
        start: Int[ArrayLike, ""] = 0,
    ) -> tuple[Float[Array, "B T D"], Memory | None]:
        c = self.config
        init_every, init_writers = _initializers(c)
        qkv = nn.DenseGeneral((c.num_heads, 3, c.head_dim), kernel_init=init_every, name="qkv")(x)
        # Heads before positions: XLA's CPU matrix product is three times as fast on the contiguous
        # layout.
        query, key, value = jnp.einsum("bthik->ibhtk", qkv)
        query, key = (
            rotary(vectors, c.rotary_base, c.rotary_dims, start) for vectors in (query, key)
        )
        if memory is not None:
            memory = memory.extended(key, value, jnp.asarray(start))
            key, value = memory.key.astype(key.dtype), memory.value.astype(value.dtype)
        visible = _transformer.causal_mask(x.shape[1], key.shape[2], start)
        heads = _transformer.attend(query, key, value, visible, hook)
        out = nn.DenseGeneral(c.hidden_size, axis=(-2, -1), kernel_init=init_writers, name="out")
        return out(heads), memory


class Block(nn.Module):
    """One layer; attention and MLP read the same stream, or one after the other."""

    config: Config
    capture: tuple[str, ...]
    intervene: Intervention | None

    @nn.compact
    def __call__(
        self,
        h: Float[Array, "B T D"],
        layer: Int[Array, ""],
        memory: Memory | None = None,
        start: Int[ArrayLike, ""] = 0,
    ):
        c = self.config
        hook, captured = _transformer.hook_of(layer, self.capture, self.intervene)
        attention = Attention(c, name="attention")
        mlp = MLP(c.intermediate_size, *_initializers(c), name="mlp")
        h = hook("residual", h)
        attention_norm = layer_norm(c.layer_norm_eps, "attention_norm")
        attended, memory = attention(attention_norm(h), hook, memory, start)
        mlp_norm = layer_norm(c.layer_norm_eps, "mlp_norm")
        if c.parallel_residual:
            h = h + attended + mlp(mlp_norm(h), hook)
        else:
            h = h + attended
            h = h + mlp(mlp_norm(h), hook)
        return h, (captured, memory)


class Trunk(nn.Module):
    """Tokens to hidden states after the final norm, and what was captured on the way.

    With a memory the tokens follow the `start` tokens that it holds; with them added it comes back.
    """

    config: Config
    capture: tuple[str, ...] = ()
    intervene: Intervention | None = None

    @nn.compact
    def __call__(
        self,
        tokens: Int[Array, "B T"],
        memory: Memory | None = None,
        start: Int[ArrayLike, ""] = 0,
    ):
        c = self.config
        init_every, _ = _initializers(c)
        table = nn.Embed(c.vocab_size, c.hidden_size, embedding_init=init_every, name="embed")
        h = _transformer.embed(table, tokens)
        remembered = () if memory is None else (memory, start)
        scan = {"num_shared": 1, "num_stacked": 2} if remembered else {}
        layers = _transformer.stack(Block, c.num_layers, **scan)(
            c, self.capture, self.intervene, name="layers"
        )
        h, (captured, memory) = layers(h, jnp.arange(c.num_layers), *remembered)
        return layer_norm(c.layer_norm_eps, "final_norm")(h), captured, memory


def init(key: Key[Array, ""], config: Config) -> Params:
    """Params of an untrained model, float32, drawn as Pythia's were."""
    trunk_key, unembed_key = jax.random.split(key)
    params = Trunk(config).init(trunk_key, jnp.zeros((1, 1), jnp.int32))["params"]
    init_every, _ = _initializers(config)
    kernel = init_every(unembed_key, (config.hidden_size, config.vocab_size), jnp.float32)
    return {**params, "unembed": {"kernel": kernel}}


@functools.cache
def hidden_fn(config: Config) -> Callable[..., tuple[Float[Array, "B T D"], dict[str, Array]]]:
    """hidden(params, tokens [B,T], capture=(), intervene=None) -> (h [B,T,D], captured).

    h is the stream after the final norm. The arguments and errors are those of `models.hidden_fn`.
    """

    def hidden(
        params: Params,
        tokens: Int[ArrayLike, "B T"],
        capture: Sequence[str] = (),
        intervene: Intervention | None = None,
    ) -> tuple[Float[Array, "B T D"], dict[str, Array]]:
        h, captured, _ = _transformer.run(Trunk(config, tuple(capture), intervene), params, tokens)
        return h, captured

    return hidden


@functools.cache
def continue_fn(config: Config) -> Callable[..., tuple[Float[Array, "B T D"], Memory]]:
    """read_on(params, tokens [B,T], memory, start) -> (h [B,T,D], memory): `models.continue_fn`."""

    def read_on(
        params: Params, tokens: Int[ArrayLike, "B T"], memory: Memory, start: Int[ArrayLike, ""]
    ) -> tuple[Float[Array, "B T D"], Memory]:
        h, _, memory = _transformer.run(Trunk(config), params, tokens, memory, jnp.asarray(start))
        return h, memory

    return read_on


def unembedding(params: Params) -> Float[Array, "D V"]:
    """The matrix that hidden states are multiplied with to give logits."""
    check_head(params)
    return params["unembed"]["kernel"]


@functools.cache
def unembed_fn(config: Config) -> Callable[..., Float[Array, "*axes V"]]:
    """unembed(params, h [...,D]) -> logits [...,V], float32: Pythia's outgrow half precision."""

    def unembed(params: Params, h: Float[Array, "*axes D"]) -> Float[Array, "*axes V"]:
        return jnp.matmul(h, unembedding(params), preferred_element_type=jnp.float32)

    return unembed


def matrices(params: Params) -> dict[str, Float[Array, "..."]]:
    """unembed [D,V], embed [V,D] and, stacked over layers, those of attention and the MLP.

    attention_qkv [L,D,H,3,K], attention_out [L,H,K,D], mlp_up [L,D,F], mlp_down [L,F,D]. Params
    without a head have no unembed.
    """
    layers = params["layers"]
    return {
        **({"unembed": unembedding(params)} if has_head(params) else {}),
        "embed": params["embed"]["embedding"],
        "attention_qkv": layers["attention"]["qkv"]["kernel"],
        "attention_out": layers["attention"]["out"]["kernel"],
        "mlp_up": layers["mlp"]["up"]["kernel"],
        "mlp_down": layers["mlp"]["down"]["kernel"],
    }
