"""Densities of a model's weights: a histogram and moments of each matrix, at one checkpoint.

Axes: N values of one matrix (flattened), D width, V vocabulary, L layers, H heads, K head dim, F
MLP width. Units: those of the weights.

A histogram of all the weights of one model is a census: it has no sampling error. Error bars of a
weight density come from models trained with other seeds; do not take square roots of the counts.
"""

import functools
from typing import NamedTuple

import chex
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dynamics import models
from dynamics.errors import InputError

_CHUNK = 2**18  # values held at once with their bin numbers and powers


class Density(NamedTuple):
    """Where the values of one matrix lie. counts + below + above is their number."""

    counts: Int[Array, " bins"]
    below: Int[Array, ""]  # under the first edge
    above: Int[Array, ""]  # over the last edge
    mean: Float[Array, ""]  # of all values, those outside the edges too; so sd and kurtosis
    sd: Float[Array, ""]  # divided by N, not N - 1: a census
    excess_kurtosis: Float[Array, ""]  # 0 for a normal; NaN where every value is the same


class _Moments(NamedTuple):
    """Of one chunk: its number of values, mean, and sums of powers 2, 3, 4 about that mean."""

    count: jax.Array
    mean: jax.Array
    second: jax.Array
    third: jax.Array
    fourth: jax.Array


def edges(half_width: float, num_bins: int) -> Float[np.ndarray, " bins+1"]:
    """Even bin edges from -half_width to half_width, float32.

    Raises:
        InputError: a half-width or a number of bins that is not positive.

    Example:
        >>> edges(1.0, 4).tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
    """
    if not (num_bins >= 1 and 0 < half_width < float("inf")):
        raise InputError(
            f"{num_bins} bins to half-width {half_width}", expected="a positive number of both"
        )
    return np.linspace(-half_width, half_width, num_bins + 1, dtype=np.float32)


def default_half_width(config: models.Config) -> float:
    """Eight standard deviations of the widest draws at initialisation.

    That is wide enough for what training does to most weights. Values outside are counted in
    `below` and `above`, so a grid that is too narrow shows.
    """
    return 8 * models.architecture(config).max_init_std(config)


def density(
    values: Float[Array | np.ndarray, "..."],
    bin_edges: Float[Array | np.ndarray, " bins+1"],
    chunk: int = _CHUNK,
) -> Density:
    """Histogram and moments of `values` (any shape) in one pass, `chunk` values at a time.

    Counts are those of numpy.histogram(values, bin_edges): bins are closed below and open above,
    the last one closed. (Numbers under 1e-38 in size count as zeros: processors round them so.)

    Args:
        values: fewer than 2^31 numbers.
        bin_edges: evenly spaced, as from `edges`: arithmetic finds the bin, and a comparison with
            the edges corrects it.
        chunk: how many values are held at once with their bin numbers and powers.

    Raises:
        InputError: uneven edges; no or too many values; a non-finite value. Inside another jit or
            vmap the values cannot be looked at: a non-finite one then shows as a non-finite mean.
        AssertionError: values that are not floats, or edges that are not a vector.

    Example:
        >>> import numpy as np
        >>> d = density(np.array([-2.0, -0.5, 0.5, 1.0], np.float32), edges(1.0, 2))
        >>> d.counts.tolist(), int(d.below), int(d.above), float(d.mean)
        ([1, 2], 1, 0, -0.25)
    """
    chex.assert_type(values, float)
    chex.assert_rank(bin_edges, 1)
    _check_size(values)
    if not isinstance(bin_edges, jax.core.Tracer):
        _check_edges(bin_edges)
    histogram = _density(values, bin_edges, chunk=min(chunk, values.size))
    _refuse_nonfinite("the values", histogram)
    return histogram


def matrices(config: models.Config, params: models.Params) -> dict[str, Float[Array, "..."]]:
    """The matrices whose densities are taken, by name; those of the layers are stacked.

    They are the module's `matrices` and those TIED to them, in the module's shapes: unembed [D,V],
    embed [V,D], attention_qkv, attention_out, mlp_up, mlp_down; and unembed_centred [D,V], which is
    unembed less its mean over all V tokens per dimension. Params without a head have no unembed.

    Adding one vector to every token's unembedding row shifts all logits alike and changes no
    softmax. So a drift of the raw matrix may be no change of the model; a drift of the centred one
    is.

    Raises:
        InputError: a config of no known family.
    """
    architecture = models.architecture(config)
    tensors = architecture.matrices(params)
    if not models.has_head(params):
        return tensors
    tensors |= {name: tensors[stored].T for name, stored in architecture.TIED.items()}
    unembed = tensors["unembed"]
    return {**tensors, "unembed_centred": unembed - unembed.mean(axis=-1, keepdims=True)}


@functools.cache
def model_density(config: models.Config, half_width: float | None = None, num_bins: int = 512):
    """densities(params) -> {name: Density} of every matrix.

    Bins are even from -half_width to half_width, by default the config's `default_half_width`. One
    compiled program per config and edges serves every checkpoint, with NumPy and device params.
    `densities` raises InputError for non-finite weights, naming the matrix.

    Example:
        >>> import jax
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=1, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> densities = model_density(config, num_bins=8)(params)
        >>> densities["mlp_up"].counts.shape, int(densities["mlp_up"].counts.sum())
        ((8,), 512)
    """
    width = default_half_width(config) if half_width is None else half_width
    grid = edges(width, num_bins)

    @jax.jit
    def compiled(params):
        tensors = matrices(config, params)
        return {name: _density(x, grid, chunk=min(_CHUNK, x.size)) for name, x in tensors.items()}

    def densities(params: models.Params) -> dict[str, Density]:
        by_matrix = compiled(params)
        for name, histogram in by_matrix.items():
            _refuse_nonfinite(name, histogram)
        return by_matrix

    return densities


@functools.partial(jax.jit, static_argnames="chunk")
def _density(values, bin_edges, *, chunk: int) -> Density:
    flat = jnp.ravel(values).astype(jnp.float32)
    bin_edges = jnp.asarray(bin_edges, jnp.float32)
    whole, rest = divmod(flat.size, chunk)
    # Powers of the weights themselves would leave float32's range: 4th powers of 1e-10 vanish.
    unit = bin_edges[-1] - bin_edges[0]

    def step(slots, start):
        part = jax.lax.dynamic_slice(flat, (start,), (chunk,))
        return slots + _slots(part, bin_edges), _moments(part / unit)

    slots = jnp.zeros(bin_edges.size + 1, jnp.int32)
    slots, moments = jax.lax.scan(step, slots, jnp.arange(whole) * chunk)
    if rest:
        last = flat[whole * chunk :]
        slots = slots + _slots(last, bin_edges)
        moments = jax.tree.map(lambda m, x: jnp.append(m, x), moments, _moments(last / unit))
    mean, sd, kurtosis = _pooled(moments)
    return Density(slots[1:-1], slots[0], slots[-1], unit * mean, unit * sd, kurtosis)


def _slots(x, bin_edges):
    """How many of x fall below, in each bin, above: int32 [bins + 2]."""
    last_bin = bin_edges.size - 2
    guess = (
        jnp.floor((x - bin_edges[0]) * ((last_bin + 1) / (bin_edges[-1] - bin_edges[0])))
        .clip(0, last_bin)
        .astype(jnp.int32)
    )
    # Rounding leaves the guess at most one bin off; the edges themselves decide.
    own_bin = guess - (x < bin_edges[guess]) + ((x >= bin_edges[guess + 1]) & (guess < last_bin))
    slot = jnp.where(x < bin_edges[0], 0, jnp.where(x > bin_edges[-1], last_bin + 2, own_bin + 1))
    return jnp.zeros(bin_edges.size + 1, jnp.int32).at[slot].add(1)


def _moments(x) -> _Moments:
    mean = x.mean()
    off = x - mean
    square = off * off
    return _Moments(
        jnp.float32(x.size), mean, square.sum(), (square * off).sum(), (square * square).sum()
    )


def _pooled(m: _Moments):
    """Mean, standard deviation and excess kurtosis of all chunks.

    The pairwise formulas of Chan, Golub & LeVeque (1983), over all sets at once.
    """
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


def _check_edges(bin_edges):
    gaps = np.diff(np.asarray(bin_edges, np.float64))
    if not (gaps.size and gaps.min() > 0 and np.ptp(gaps) < 0.01 * gaps.mean()):
        raise InputError(
            "edges that are not evenly spaced",
            expected="what weights.edges(half_width, num_bins) gives",
        )


def _refuse_nonfinite(name: str, histogram: Density):
    if not isinstance(histogram.mean, jax.core.Tracer) and not np.isfinite(histogram.mean):
        raise InputError(
            f"non-finite numbers in {name}",
            expected="finite weights",
            mend="The run may have diverged by this step.",
        )
