"""Densities of a model's weights, a histogram and moments per matrix: what a sweep over checkpoints
stacks in time.

Axes: N values of one matrix (flattened), D width, V vocabulary, L layers, H heads, K head dim, F
MLP width.
Units: those of the weights.

A histogram of all the weights of one model is a census: it has no sampling error. Error bars of a
weight density come from models trained with other seeds; do not take square roots of the counts.
"""

import functools
from typing import NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.errors import InputError
from dynamics.models import bert, gpt_neox

_CHUNK = 2**18  # values held at once with their bin numbers and powers


class Density(NamedTuple):
    """Where the values of one matrix lie. counts + below + above is their number."""

    counts: jax.Array  # int32 [bins]
    below: jax.Array  # int32, under the first edge
    above: jax.Array  # int32, over the last edge
    mean: jax.Array  # of all values, those outside the edges too; so sd and kurtosis
    sd: jax.Array  # divided by N, not N - 1: a census
    excess_kurtosis: jax.Array  # 0 for a normal; NaN where every value is the same


class _Moments(NamedTuple):
    """Of one chunk: its number of values, mean, and sums of powers 2, 3, 4 about that mean."""

    count: jax.Array
    mean: jax.Array
    second: jax.Array
    third: jax.Array
    fourth: jax.Array


def edges(half_width: float, num_bins: int) -> np.ndarray:
    """float32 [bins + 1], even from -half_width to half_width. Raises InputError unless both are
    positive."""
    if not (num_bins >= 1 and 0 < half_width < float("inf")):
        raise InputError(
            f"{num_bins} bins to half-width {half_width}", expected="a positive number of both"
        )
    return np.linspace(-half_width, half_width, num_bins + 1, dtype=np.float32)


def default_half_width(config: models.Config) -> float:
    """Eight standard deviations of the widest weights at initialisation, wide enough for what
    training does to most.

    "small" draws with sqrt(2/(5D)), the residual writers with 2/(L sqrt(D)), wider for three layers
    and fewer; "normal" with 0.02, BERT with its initializer_range. What falls outside is counted in
    `below` and `above`, so a grid too narrow shows.
    """
    if isinstance(config, bert.Config):
        return 8 * config.initializer_range
    if config.initializer == "normal":
        return 8 * 0.02
    return 8 * max(
        (2 / (5 * config.hidden_size)) ** 0.5, 2 / (config.num_layers * config.hidden_size**0.5)
    )


def density(values, edges, chunk: int = _CHUNK) -> Density:
    """Histogram and moments of `values` (any shape) in one pass, `chunk` values at a time.

    Counts are those of numpy.histogram(values, edges): bins closed below and open above, the last
    one closed. (Numbers under 1e-38 in size count as zeros: processors round them so.)

    Args:
        values: float array, fewer than 2^31 values.
        edges: [bins + 1] evenly spaced, as from `edges`: the bin is found by arithmetic, then set
            right by one.

    Raises:
        InputError: uneven edges; no or too many values; a non-finite value. Inside another jit or
            vmap the values are not there to be looked at: a non-finite one then shows as a
            non-finite mean.
    """
    _check_size(values)
    if not isinstance(edges, jax.core.Tracer):
        _check_edges(edges)
    result = _density(values, edges, chunk=min(chunk, values.size))
    _refuse_nonfinite("the values", result)
    return result


def matrices(config: models.Config, params) -> dict[str, jax.Array]:
    """The tensors looked at, by name, in their own shapes; those of the layers are stacked.

    unembed [D,V]; unembed_centred [D,V], less its mean over all V tokens per dimension; embed
    [V,D]; attention_qkv [L,D,H,3,K]; attention_out [L,H,K,D]; mlp_up [L,D,F]; mlp_down [L,F,D]. Of
    a BERT the unembedding is the embedding transposed, without its bias.

    Adding one vector to every token's unembedding row shifts all logits alike and changes no
    softmax, so a drift of the raw matrix may be no change of the model; that of the centred one is.
    Raises InputError for other models.
    """
    layers = params["layers"]
    if isinstance(config, gpt_neox.Config):
        unembed, embed, qkv = (
            params["unembed"]["kernel"],
            params["embed"],
            layers["attention"]["qkv"]["kernel"],
        )
    elif isinstance(config, bert.Config):
        embed = params["embed"]["token"]
        unembed = embed["embedding"].T
        qkv = jnp.stack(
            [layers["attention"][name]["kernel"] for name in ("query", "key", "value")], axis=3
        )
    else:
        raise InputError(
            f"a {type(config).__qualname__} of {type(config).__module__}",
            expected="a gpt_neox or bert Config",
        )
    return {
        "unembed": unembed,
        "unembed_centred": unembed - unembed.mean(axis=-1, keepdims=True),
        "embed": embed["embedding"],
        "attention_qkv": qkv,
        "attention_out": layers["attention"]["out"]["kernel"],
        "mlp_up": layers["mlp"]["up"]["kernel"],
        "mlp_down": layers["mlp"]["down"]["kernel"],
    }


@functools.cache
def model_density(config: models.Config, half_width: float | None = None, num_bins: int = 512):
    """densities(params) -> {name: Density} of every matrix, on the edges of `half_width`, by
    default the config's.

    One compiled program per config and edges serves every checkpoint; numpy and device params both
    do. It raises InputError for non-finite weights, naming the matrix.
    """
    width = default_half_width(config) if half_width is None else half_width
    grid = edges(width, num_bins)

    @jax.jit
    def compiled(params):
        tensors = matrices(config, params)
        return {name: _density(x, grid, chunk=min(_CHUNK, x.size)) for name, x in tensors.items()}

    def densities(params) -> dict[str, Density]:
        result = compiled(params)
        for name, found in result.items():
            _refuse_nonfinite(name, found)
        return result

    return densities


@functools.partial(jax.jit, static_argnames="chunk")
def _density(values, edges, *, chunk: int) -> Density:
    flat, edges = jnp.ravel(values).astype(jnp.float32), jnp.asarray(edges, jnp.float32)
    whole, rest = divmod(flat.size, chunk)
    # Powers of the weights themselves would leave float32's range: 4th powers of 1e-10 vanish.
    unit = edges[-1] - edges[0]

    def step(slots, start):
        part = jax.lax.dynamic_slice(flat, (start,), (chunk,))
        return slots + _slots(part, edges), _moments(part / unit)

    slots = jnp.zeros(edges.size + 1, jnp.int32)
    slots, moments = jax.lax.scan(step, slots, jnp.arange(whole) * chunk)
    if rest:
        last = flat[whole * chunk :]
        slots = slots + _slots(last, edges)
        moments = jax.tree.map(lambda m, x: jnp.append(m, x), moments, _moments(last / unit))
    mean, sd, kurtosis = _pooled(moments)
    return Density(slots[1:-1], slots[0], slots[-1], unit * mean, unit * sd, kurtosis)


def _slots(x, edges):
    """How many of x fall below, in each bin, above: int32 [bins + 2]."""
    last_bin = edges.size - 2
    guess = (
        jnp.floor((x - edges[0]) * ((last_bin + 1) / (edges[-1] - edges[0])))
        .clip(0, last_bin)
        .astype(jnp.int32)
    )
    # Rounding leaves the guess at most one bin off; the edges themselves decide.
    found = guess - (x < edges[guess]) + ((x >= edges[guess + 1]) & (guess < last_bin))
    slot = jnp.where(x < edges[0], 0, jnp.where(x > edges[-1], last_bin + 2, found + 1))
    return jnp.zeros(edges.size + 1, jnp.int32).at[slot].add(1)


def _moments(x) -> _Moments:
    mean = x.mean()
    off = x - mean
    square = off * off
    return _Moments(
        jnp.float32(x.size), mean, square.sum(), (square * off).sum(), (square * square).sum()
    )


def _pooled(m: _Moments):
    """Mean, standard deviation and excess kurtosis of all chunks (Chan, Golub & LeVeque 1983, over
    sets at once)."""
    count = m.count.sum()
    mean = (m.count * m.mean).sum() / count
    shift = m.mean - mean
    second = (m.second + m.count * shift**2).sum()
    fourth = (m.fourth + 4 * shift * m.third + 6 * shift**2 * m.second + m.count * shift**4).sum()
    return mean, jnp.sqrt(second / count), count * fourth / second**2 - 3


def _check_size(values):
    if not 0 < values.size < 2**31:
        raise InputError(
            f"{values.size} values",
            expected="at least 1 and fewer than 2^31, which int32 can count",
        )


def _check_edges(edges):
    gaps = np.diff(np.asarray(edges, np.float64))
    if not (gaps.size and gaps.min() > 0 and np.ptp(gaps) < 0.01 * gaps.mean()):
        raise InputError(
            "edges that are not evenly spaced",
            expected="what weights.edges(half_width, num_bins) gives",
        )


def _refuse_nonfinite(name: str, found: Density):
    if not isinstance(found.mean, jax.core.Tracer) and not np.isfinite(found.mean):
        raise InputError(
            f"non-finite numbers in {name}",
            expected="finite weights",
            mend="The run may have diverged by this step.",
        )
