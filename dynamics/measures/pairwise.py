"""KL and Jensen-Shannon divergence of every pair of softmaxes, to float32's last digits.

Axes: S seeds, V vocabulary, Q unordered pairs i < j, N tokens. Units: nats.

For a pair d = l_j - l_i (logits), mu = E_i d under p_i = softmax(l_i). The textbook form is

    KL_ij = lse_j - lse_i - mu,                           lse the logsumexp of a seed's logits,

which for close seeds is a small difference of large numbers. Since E_i (d - mu) = 0 it is also

    KL_ij = log E_i e^(d - mu) = log1p E_i phi(d - mu),   phi(x) = e^x - 1 - x >= 0,

a sum of terms that are not negative. The constant mu need not be exact: an error of a changes the
KL by a^2 / 2. All mu of a token are one matrix product W X', with the weights W and with X the
logits minus those of the first seed, which is as large as the seeds' differences. For seeds that
are far apart, the usual case, this product is all that a token costs.

For Jensen-Shannon, with t = log p_j - log p_i = d - mu - KL_ij and m the mean of the two,

    JS_ij = sum_v m g(t),       g(t) = u tanh u - log cosh u = u^2/2 - ... -> log 2,       u = t/2,

because p_i = m (1 - tanh u) and p_j = m (1 + tanh u): the same in both directions, never negative,
and t^2/8 for close pairs.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

# The textbook form keeps its digits where KL > _FAR sqrt(2 K), K the token's largest KL: sqrt(2 K)
# is about the size of X, whose rounding also reaches a pair that is closer than the others. Seeds
# at initialisation have KL / sqrt(2 K) = 0.45. At 0.08 the rounding of log mass alone, 2e-7, was
# 1.5e-5 of a KL.
_FAR = 0.3
_SERIES_BELOW = 0.5  # |x| up to which phi(x) is summed as a series
_PHI = tuple(1 / math.factorial(k) for k in range(2, 9))  # phi(x) / x^2
# g(2u) / u^2 in u^2: (2k - 1) times the coefficients of log cosh
_G = (1 / 2, -1 / 4, 1 / 9, -17 / 360, 31 / 1575, -691 / 85050, 10922 / 3274425)
_LANES = 128  # terms of one partial sum in `total`


class Softmaxes(NamedTuple):
    """One token's distributions, unnormalised: p = weights / mass."""

    logits: Float[Array, "S V"]  # finite
    top: Float[Array, " S"]  # each seed's greatest logit
    weights: Float[Array, "S V"]  # e^(logits - top)
    mass: Float[Array, " S"]  # each seed's sum of weights


def softmaxes(logits: Float[Array, "S V"]) -> Softmaxes:
    """The softmaxes of finite logits [S,V].

    The logits are not normalised: that would round away the differences of close pairs.
    """
    top = jnp.max(logits, axis=-1)
    weights = jnp.exp(logits - top[:, None])
    return Softmaxes(logits, top, weights, total(weights))


def map_tokens(fn: Callable, logits: Float[Array, "S N V"], *others: PyTree) -> PyTree:
    """fn(logits [S,V], *others) for every token of logits [S,N,V] and others [N,...].

    Returns fn's outputs with a leading axis N. A CPU takes one token after the other: a token's
    numbers then stay in a core's cache, and a token whose seeds are far apart skips the work that
    only close pairs need. An accelerator takes all tokens at once.
    """
    count = logits.shape[1]

    def of_token(at):
        return fn(
            jax.lax.dynamic_index_in_dim(logits, at, 1, keepdims=False),
            *(other[at] for other in others),
        )

    if jax.default_backend() == "cpu":
        return jax.lax.map(of_token, jnp.arange(count))
    return jax.vmap(of_token)(jnp.arange(count))


def divergences(
    seeds: Softmaxes, disjoint: Bool[Array, "S S"] | None = None, js: bool = True
) -> tuple[Float[Array, "S S"], Float[Array, "S S"] | None, Float[Array, " S"]]:
    """KL [S,S] and JS [S,S] of every ordered pair of one token's softmaxes, and their entropy [S].

    In nats. `disjoint[i, j]` marks where i lacks tokens that j has: there only the textbook form is
    right. JS is None where `js` is False.
    """
    num_seeds = len(seeds.logits)
    pairs = np.array(list(itertools.combinations(range(num_seeds), 2)), np.int32)
    # Differences from the first seed, not from the mean over seeds: XLA's CPU takes eight times as
    # long for a mean over the first axis. The first row, which would be 0, holds the first seed's
    # own logits: one product then gives the entropies too.
    from_first, top = _differences(seeds.logits[:1], seeds.top[:1], seeds.logits[1:], seeds.top[1:])
    rows = jnp.concatenate([seeds.logits[:1] - seeds.top[:1, None], from_first])
    top = jnp.concatenate([jnp.zeros(1), top])
    products = seeds.weights @ rows.T / seeds.mass[:, None]  # [S,S]
    moments = products.at[:, 0].set(0)  # E_i x_j
    own = products[:, 0] + jnp.diagonal(moments) - top  # E_i (l_i - top_i)
    entropy = jnp.log(seeds.mass) - own
    mean = moments - jnp.diagonal(moments)[:, None]
    rise = jnp.log(seeds.mass[None] / seeds.mass[:, None]) + (top[None] - top[:, None])
    direct = rise - mean
    # Near 1 where one vocabulary entry has all the mass: then no sum averages the rounding of its
    # exponential, and the threshold rises.
    concentration = jnp.sqrt(1 / jnp.min(seeds.mass))
    sound = direct > (_FAR + concentration) * jnp.sqrt(2 * jnp.max(direct))
    sound = sound if disjoint is None else sound | disjoint

    def of_pair(pair):
        return _pair(seeds, direct, sound, pair[0], pair[1], js)

    if not js:
        # Where all pairs are far apart, the textbook form is sound for all of them.
        far = jnp.all(sound | jnp.eye(num_seeds, dtype=bool))
        close = functools.partial(_close, of_pair, pairs, num_seeds)
        kl = jax.lax.cond(far, lambda: _no_diagonal(jnp.maximum(direct, 0.0)), close)
        return kl, None, entropy
    kl, jensen_shannon = jax.lax.map(of_pair, jnp.asarray(pairs))
    square = functools.partial(_square, pairs, num_seeds)
    return square(kl), square(jensen_shannon), entropy


def _differences(own, own_top, other, other_top):
    """other - own [...,V] and the difference of their tops [...], both minus one whole number.

    A constant added to all of a seed's logits changes no softmax, but a large one would cost the
    differences their digits. So the whole number nearest to the tops' difference is subtracted
    first, from the logits of larger magnitude: their rounding is the coarser, so that this step
    is exact. The number is 0 for a close pair whose tops are level.
    """
    shift = jnp.round(other_top - own_top)
    from_other = jnp.abs(other_top) > jnp.abs(own_top)
    down, up = jnp.where(from_other, shift, 0.0), jnp.where(from_other, 0.0, shift)
    logits = (other - down[..., None]) - (own + up[..., None])
    return logits, (other_top - down) - (own_top + up)


def _close(of_pair: Callable, pairs, num_seeds: int):
    return _square(pairs, num_seeds, jax.lax.map(lambda pair: of_pair(pair)[0], jnp.asarray(pairs)))


def _no_diagonal(square):
    return jnp.where(jnp.eye(len(square), dtype=bool), 0.0, square)


def _square(pairs, num_seeds: int, both):
    """Both directions of every pair [Q,2] as a matrix [S,S] with a diagonal of zeros."""
    i, j = pairs.T
    square = jnp.zeros((num_seeds, num_seeds))
    return square.at[i, j].set(both[:, 0]).at[j, i].set(both[:, 1])


def _pair(seeds: Softmaxes, direct, sound, i, j, js: bool):
    """(KL [2] in both directions, JS [2] or None) of seeds i and j."""
    textbook = jnp.stack([direct[i, j], direct[j, i]])
    sound = jnp.stack([sound[i, j], sound[j, i]])

    def near():
        series = jnp.log1p(_phi_sums(seeds, i, j))
        return jnp.where(sound, jnp.maximum(textbook, 0.0), series)

    kl = jax.lax.cond(jnp.all(sound), lambda: jnp.maximum(textbook, 0.0), near)
    if not js:
        return kl, None
    d, _ = _differences(seeds.logits[i], seeds.top[i], seeds.logits[j], seeds.top[j])
    t = d - (total(seeds.weights[i] * d) / seeds.mass[i] + kl[0])
    mixed = (seeds.weights[i] / seeds.mass[i] + seeds.weights[j] / seeds.mass[j]) / 2
    half = jnp.minimum(total(mixed * _g(t)), math.log(2))
    return kl, jnp.stack([half, half])


def _phi_sums(seeds: Softmaxes, i, j):
    """[E_i phi(d - mu_ij), E_j phi(-d - mu_ji)], d = l_j - l_i."""
    d, rise = _differences(seeds.logits[i], seeds.top[i], seeds.logits[j], seeds.top[j])
    own, other = seeds.weights[i], seeds.weights[j]
    # mu of this pair alone, unharmed by seeds far from both
    forth, back = total(own * d) / seeds.mass[i], -total(other * d) / seeds.mass[j]
    small = jnp.max(jnp.abs(d)) < _SERIES_BELOW / 2  # then |d - mu| < _SERIES_BELOW
    sums = jax.lax.cond(
        small,
        lambda: [_series(own, d - forth), _series(other, -d - back)],
        lambda: [
            _phi_sum(own, other, d - forth, rise - forth),
            _phi_sum(other, own, -d - back, -rise - back),
        ],
    )
    return jnp.stack(sums) / jnp.stack([seeds.mass[i], seeds.mass[j]])


def _series(own, x):
    """Sum of own phi(x) for small x, where e^x - 1 - x would cancel."""
    return total(own * (x * x * _polynomial(_PHI, x)))


def _phi_sum(own, other, x, rise):
    """Sum of own phi(x), by the series for small x.

    For larger x p_i e^x is p_j's weights times a constant, so that no further exponential is
    needed.
    """
    scale = jnp.exp(jnp.minimum(rise, 80.0))
    series = own * (x * x * _polynomial(_PHI, x))
    return total(jnp.where(jnp.abs(x) < _SERIES_BELOW, series, scale * other - own * (1 + x)))


def _g(t):
    """g(t) = u tanh u - log cosh u, u = t/2, as derived at the head of this file."""
    size = jnp.minimum(jnp.abs(t), 100.0)
    squared = t * t / 4
    fall = jnp.exp(-size)
    tail = math.log(2) - size * fall / (1 + fall) - jnp.log1p(fall)
    return jnp.where(size < 1, squared * _polynomial(_G, squared), tail)


def _polynomial(coefficients, x):
    """Horner's rule; `coefficients` begin with the lowest power."""
    return functools.reduce(
        lambda value, c: value * x + c, reversed(coefficients[:-1]), coefficients[-1]
    )


def total(terms: Float[Array, "*axes V"]) -> Float[Array, "*axes"]:
    """Sum over the last axis, in two stages.

    The first stage is a product with ones, because XLA's CPU reductions of long expressions are
    slow.
    """
    whole = terms.shape[-1] // _LANES * _LANES
    lanes = terms[..., :whole].reshape(*terms.shape[:-1], -1, _LANES)
    return jnp.sum(lanes @ jnp.ones(_LANES), axis=-1) + jnp.sum(terms[..., whole:], axis=-1)
