"""The transformer of in-context linear regression (Hoogland et al. 2024, section 3, appendix F.2).

Axes: B batch, P pairs (x, y) of a context, T = 2P tokens, I = task_size + 1 numbers of a token,
D width, E = D + 1, H heads, K head dim, F MLP width, L layers.

Its tokens are vectors, not ids: of a pair first (0, x), then (y, 0). What it says of y_k is the
first number of its output at x_k, so that it has seen the k - 1 pairs before. `data.contexts` draws
such tokens, `measures.squared_error` has the loss.

A pre-norm decoder after nanoGPT: learned positions, attention without biases, an MLP with ReLU. The
defaults are the paper's 51,717 numbers. Draws are those of torch's Linear, uniform within
1/sqrt(inputs), for biases too; positions count as a Linear of T inputs.

Paper and published code disagree in one thing that the model is made of. In the paper a block adds
attention and MLP to the stream; in the code the caller adds the stream to what the block returns,
which holds it already, so that a block computes 2x + attention + MLP. `residual_scale` 1, the
default, is the paper's text, 2 the code, and only the latter gives the released numbers. (The data
and the optimiser have disagreements of their own: `training.icl_regression`.)

Params are a plain nested dict whose leaves under `layers` carry a leading L:

    embed/token/kernel [I,D]
    embed/position/embedding [T,D]
    layers/attention_norm/{scale,bias} [L,D]
    layers/attention/qkv/kernel [L,D,H,3,K]
    layers/attention/out/kernel [L,H,K,D]
    layers/mlp_norm/{scale,bias} [L,D]
    layers/mlp/up/kernel [L,D,F]    bias [L,F]
    layers/mlp/down/kernel [L,F,D]  bias [L,D]
    final_norm/{scale,bias} [D]
    unembed/kernel [D,I]  bias [I]
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Key

from dynamics.errors import InputError
from dynamics.inputs import Range, Real, Whole
from dynamics.models import _linear_init, _transformer
from dynamics.models._head import check_head
from dynamics.models._transformer import Hook, Intervention, Params, layer_norm

CAUSAL: bool = True
VOCABULARY: bool = False
SITES = {**_transformer.SITES, "mlp": "[B,T,F] MLP activations after ReLU"}
TIED: dict[str, str] = {}

_ATTENTION = "layers.{num_layers}.attention"
PARTS: dict[str, dict[str, tuple[int, ...]]] = {
    "embed": {"embed": ()},
    "embed.token": {"embed/token": ()},
    "embed.position": {"embed/position": ()},
    "unembed": {"unembed": ()},
    "final_norm": {"final_norm": ()},
    "layers.{num_layers}": {"layers": (0,)},
    "layers.{num_layers}.attention_norm": {"layers/attention_norm": (0,)},
    _ATTENTION: {"layers/attention": (0,)},
    f"{_ATTENTION}.heads.{{num_heads}}": {
        "layers/attention/qkv/kernel": (0, 2),
        "layers/attention/out/kernel": (0, 1),
    },
    "layers.{num_layers}.mlp_norm": {"layers/mlp_norm": (0,)},
    "layers.{num_layers}.mlp": {"layers/mlp": (0,)},
}
PART_GROUPS: dict[str, tuple[str, ...]] = {
    "layers": ("embed", "layers", "final_norm", "unembed"),
    "modules": (
        "embed.token",
        "embed.position",
        "final_norm",
        "unembed",
        *(f"layers.*.{module}" for module in ("attention_norm", "attention", "mlp_norm", "mlp")),
    ),
    "heads": ("layers.*.attention.heads",),
}
_MOST_PAIRS = 1 << 16
RANGES: dict[str, Range] = {
    **{name: _transformer.SIZES[name] for name in ("hidden_size", "num_layers", "num_heads")},
    "intermediate_size": _transformer.SIZES["intermediate_size"],
    "task_size": Whole(1, 1 << 16),
    "num_pairs": Whole(1, _MOST_PAIRS),
    "residual_scale": Whole(1, 2),
    "noise_variance": Real(0, 1e6),
    "layer_norm_eps": _transformer.NORM_EPSILON,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Shape of the model, and of the contexts that it reads; the defaults are the paper's.

    `noise_variance` is that of y about t'x in the text that it learns, which decides what the best
    prediction and the trivial one lose.
    """

    hidden_size: int = 64
    num_layers: int = 2
    num_heads: int = 4
    intermediate_size: int = 64
    task_size: int = 4
    num_pairs: int = 8
    residual_scale: int = 1
    noise_variance: float = 0.125
    layer_norm_eps: float = 1e-5

    def __post_init__(self):
        _transformer.check_config(self, RANGES)

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def max_positions(self) -> int:
        """T: tokens of a context."""
        return 2 * self.num_pairs

    @property
    def vocab_size(self) -> int:
        """V of a family without a vocabulary: the numbers of an output."""
        return self.token_size

    @property
    def token_size(self) -> int:
        """I: numbers of a token."""
        return self.task_size + 1


def max_init_std(config: Config) -> float:
    """The largest standard deviation with which a matrix is drawn: that with the fewest inputs."""
    return (3 * min(config.token_size, config.hidden_size, config.intermediate_size)) ** -0.5


class Attention(nn.Module):
    """Causal self-attention without biases."""

    config: Config

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], hook: Hook) -> Float[Array, "B T D"]:
        c = self.config
        qkv = nn.DenseGeneral((c.num_heads, 3, c.head_dim), use_bias=False, name="qkv")(x)
        query, key, value = jnp.einsum("bthik->ibhtk", qkv)
        visible = _transformer.causal_mask(x.shape[1], x.shape[1])
        heads = _transformer.attend(query, key, value, visible, hook)
        out = nn.DenseGeneral(c.hidden_size, axis=(-2, -1), use_bias=False, name="out")
        return out(heads)


class MLP(nn.Module):
    """Up, ReLU, down."""

    config: Config

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], hook: Hook) -> Float[Array, "B T D"]:
        hidden = nn.Dense(self.config.intermediate_size, name="up")(x)
        return nn.Dense(x.shape[-1], name="down")(hook("mlp", jax.nn.relu(hidden)))


class Block(nn.Module):
    """One layer: attention, then the MLP on what attention has written too."""

    config: Config
    capture: tuple[str, ...]
    intervene: Intervention | None

    @nn.compact
    def __call__(self, h: Float[Array, "B T D"], layer: Int[Array, ""]):
        c = self.config
        hook, captured = _transformer.hook_of(layer, self.capture, self.intervene)
        before = h = hook("residual", h)
        attention_norm = layer_norm(c.layer_norm_eps, "attention_norm")
        h = h + Attention(c, name="attention")(attention_norm(h), hook)
        mlp_norm = layer_norm(c.layer_norm_eps, "mlp_norm")
        h = h + MLP(c, name="mlp")(mlp_norm(h), hook)
        return h + (c.residual_scale - 1) * before, captured


class Embedding(nn.Module):
    """Tokens and positions to the stream."""

    config: Config

    @nn.compact
    def __call__(self, tokens: Float[Array, "B T I"]) -> Float[Array, "B T D"]:
        c = self.config
        token = nn.Dense(c.hidden_size, use_bias=False, name="token")
        position = nn.Embed(c.max_positions, c.hidden_size, name="position")
        return token(tokens) + position(jnp.arange(tokens.shape[1]))[None]


class Trunk(nn.Module):
    """Tokens to hidden states after the final norm, and what was captured on the way."""

    config: Config
    capture: tuple[str, ...] = ()
    intervene: Intervention | None = None

    @nn.compact
    def __call__(self, tokens: Float[Array, "B T I"]):
        c = self.config
        h = Embedding(c, name="embed")(tokens)
        layers = _transformer.stack(Block, c.num_layers)(
            c, self.capture, self.intervene, name="layers"
        )
        h, captured = layers(h, jnp.arange(c.num_layers))
        return layer_norm(c.layer_norm_eps, "final_norm")(h), captured


def init(key: Key[Array, ""], config: Config) -> Params:
    """Params of an untrained model, float32, drawn as torch draws a Linear's."""
    blank = jnp.zeros((1, 1, config.token_size))
    shapes = jax.eval_shape(lambda: Trunk(config).init(jax.random.key(0), blank)["params"])
    kernel = jax.ShapeDtypeStruct((config.hidden_size, config.token_size), jnp.float32)
    bias = jax.ShapeDtypeStruct((config.token_size,), jnp.float32)
    inputs = {
        "token": config.token_size,
        "position": config.max_positions,
        "down": config.intermediate_size,
    }
    whole = {**shapes, "unembed": {"kernel": kernel, "bias": bias}}
    return _linear_init.draw(key, whole, inputs, config.hidden_size)


def check_tokens(config: Config, tokens: Float[ArrayLike, "B T I"]):
    """Raises AssertionError for anything but floats [B,T,I], InputError for too long contexts."""
    chex.assert_rank(tokens, 3)
    chex.assert_type(tokens, float)
    if jnp.shape(tokens)[2] != config.token_size:
        raise InputError(
            f"tokens of {jnp.shape(tokens)[2]} numbers",
            expected=f"{config.token_size}: a y and the task_size {config.task_size} numbers of x",
        )
    _transformer.check_length(config, jnp.shape(tokens)[1])


@functools.cache
def hidden_fn(config: Config) -> Callable[..., tuple[Float[Array, "B T E"], dict[str, Array]]]:
    """hidden(params, tokens [B,T,I], capture=(), intervene=None) -> (h [B,T,E], captured).

    h is the stream after the final norm, and a 1 that meets the output bias. `capture` and
    `intervene` are as in `models.hidden_fn`.
    """

    def hidden(
        params: Params,
        tokens: Float[ArrayLike, "B T I"],
        capture: Sequence[str] = (),
        intervene: Intervention | None = None,
    ) -> tuple[Float[Array, "B T E"], dict[str, Array]]:
        check_tokens(config, tokens)
        for site in capture:
            if site not in SITES:
                raise InputError.unknown("site", site, SITES)
        trunk = Trunk(config, tuple(capture), intervene)
        applied: Any = trunk.apply({"params": _transformer.trunk_params(params)}, tokens)
        h, captured = applied
        return jnp.concatenate([h, jnp.ones_like(h[..., :1])], axis=-1), captured

    return hidden


def continue_fn(config: Config) -> Callable[..., tuple]:
    """Raises InputError: contexts are short, and are read whole."""
    raise InputError(
        "an in-context regression asked to read on from a memory",
        expected="a model of text",
        mend="Read the whole context with hidden_fn.",
    )


def unembedding(params: Params) -> Float[Array, "E I"]:
    """The matrix that hidden states are multiplied with: its last row is the bias."""
    check_head(params)
    kernel, bias = params["unembed"]["kernel"], params["unembed"]["bias"]
    return jnp.concatenate([jnp.asarray(kernel), jnp.asarray(bias)[None]])


@functools.cache
def unembed_fn(config: Config) -> Callable[..., Float[Array, "*axes I"]]:
    """unembed(params, h [...,E]) -> outputs float32 [...,I]; the first number predicts y."""

    def unembed(params: Params, h: Float[Array, "*axes E"]) -> Float[Array, "*axes I"]:
        return jnp.matmul(h, unembedding(params), preferred_element_type=jnp.float32)

    return unembed


def matrices(params: Params) -> dict[str, Float[Array, "..."]]:
    """unembed [D,I], embed [I,D] and, stacked over layers, those of attention and the MLP.

    attention_qkv [L,D,H,3,K], attention_out [L,H,K,D], mlp_up [L,D,F], mlp_down [L,F,D].
    """
    layers = params["layers"]
    check_head(params)
    return {
        "unembed": params["unembed"]["kernel"],
        "embed": params["embed"]["token"]["kernel"],
        "attention_qkv": layers["attention"]["qkv"]["kernel"],
        "attention_out": layers["attention"]["out"]["kernel"],
        "mlp_up": layers["mlp"]["up"]["kernel"],
        "mlp_down": layers["mlp"]["down"]["kernel"],
    }
