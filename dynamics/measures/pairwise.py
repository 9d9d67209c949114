"""Kullback-Leibler and Jensen-Shannon divergence of every pair of softmaxes, to float32's last
digits.

Axes: S seeds, V vocabulary, P unordered pairs i < j, N tokens. Units: nats.

For a pair d = l_j - l_i (logits), mu = E_i d under p_i = softmax(l_i). The textbook form is

    KL_ij = lse_j - lse_i - mu,                                     lse the logsumexp of a seed's logits,

which for close seeds is a small difference of large numbers. Since E_i (d - mu) = 0 it is also

    KL_ij = log E_i e^(d - mu) = log1p E_i phi(d - mu),             phi(x) = e^x - 1 - x >= 0,

a sum of terms that are not negative. The constant mu need not be exact: an error of a changes the
result by a^2 / 2. All mu of a token are one matrix product, W X' with weights W and X the logits
less those of the first seed, which is of the size of the seeds' differences; so for seeds that are
apart, the rule, it is all that a token costs.

For Jensen-Shannon, with t = log p_j - log p_i = d - mu - KL_ij and m the mean of the two,

    JS_ij = sum_v m g(t),       g(t) = u tanh u - log cosh u = u^2/2 - ... -> log 2,       u = t/2,

as p_i = m (1 - tanh u) and p_j = m (1 + tanh u): the same in both directions, never negative, t^2/8
for close pairs.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# The textbook form has its digits from KL = _FAR sqrt(2 K) on, K the largest of the token's seeds:
# sqrt(2 K) is about the size of X, whose rounding a pair that is closer than the others suffers
# too. Seeds at initialisation are at .45; at .08 the rounding of log mass alone, 2e-7, was 1.5e-5
# of a KL.
_FAR = 0.3
_SERIES_BELOW = 0.5  # |x| up to which phi(x) is summed as a series
_PHI = tuple(1 / math.factorial(k) for k in range(2, 9))  # phi(x) / x^2
# g(2u) / u^2 in u^2: (2k - 1) times the coefficients of log cosh
_G = (1 / 2, -1 / 4, 1 / 9, -17 / 360, 31 / 1575, -691 / 85050, 10922 / 3274425)
_LANES = 128


class Softmaxes(NamedTuple):
    """One token's distributions, unnormalised: p = weights / mass."""

    logits: Any  # [S,V], finite
    top: Any  # [S], the greatest of each
    weights: Any  # [S,V], e^(logits - top)
    mass: Any  # [S], their sums


def softmaxes(logits) -> Softmaxes:
    """Of finite logits [S,V]. They are not normalised: that would round away the differences of
    close pairs."""
    top = jnp.max(logits, axis=-1)
    weights = jnp.exp(logits - top[:, None])
    return Softmaxes(logits, top, weights, total(weights))


def map_tokens(fn: Callable, logits, *others):
    """fn(logits [S,V], *others) of every token of logits [S,N,V] and others [N,...]; leaves
    [N,...].

    On a CPU one after the other: what a token needs stays in a core's cache, and a token whose
        seeds are far apart is spared what close ones need. An accelerator takes all at once."""
    count = logits.shape[1]

    def of_token(at):
        return fn(
            jax.lax.dynamic_index_in_dim(logits, at, 1, keepdims=False),
            *(other[at] for other in others),
        )

    if jax.default_backend() == "cpu":
        return jax.lax.map(of_token, jnp.arange(count))
    return jax.vmap(of_token)(jnp.arange(count))


def divergences(found: Softmaxes, apart=None, js: bool = True):
    """Every pair of one token's softmaxes: (KL [S,S], JS [S,S] or None), nats.

    `apart` [S,S] marks where i lacks tokens that j has, for which only the textbook form is right.
    """
    num_seeds = len(found.logits)
    pairs = np.array(list(itertools.combinations(range(num_seeds), 2)), np.int32)
    # Not less their mean over seeds: XLA's CPU takes eight times as long for a mean over the first
    # axis.
    from_first, top = _differences(found.logits[:1], found.top[:1], found.logits, found.top)
    moments = found.weights @ from_first.T / found.mass[:, None]  # [S,S], E_i x_j
    mean = moments - jnp.diagonal(moments)[:, None]
    rise = jnp.log(found.mass[None] / found.mass[:, None]) + (top[None] - top[:, None])
    direct = rise - mean
    # Near 1 where one token has all: no sum averages its exponential's rounding.
    few = jnp.sqrt(1 / jnp.min(found.mass))
    enough = direct > (_FAR + few) * jnp.sqrt(2 * jnp.max(direct))
    enough = enough if apart is None else enough | apart

    def of_pair(pair):
        return _pair(found, direct, enough, pair[0], pair[1], js)

    if not js:
        # Seeds that are far apart need no second look.
        far = jnp.all(enough | jnp.eye(num_seeds, dtype=bool))
        close = functools.partial(_close, of_pair, pairs, num_seeds)
        return jax.lax.cond(far, lambda: _no_diagonal(jnp.maximum(direct, 0.0)), close), None
    return jax.tree.map(
        functools.partial(_square, pairs, num_seeds), jax.lax.map(of_pair, jnp.asarray(pairs))
    )


def _differences(own, own_top, other, other_top):
    """other - own [...,V] and their tops' difference [...], less one whole number that about levels
    the tops.

    What is common to a seed's logits changes no softmax but would cost its differences their
    digits. The number goes off the logits of larger size, whose rounding is the coarser, so that
    the subtraction is exact. It is 0 for a close pair whose tops are level.
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
    """[P,2], the two directions of every pair, to [S,S] with a diagonal of zeros."""
    i, j = pairs.T
    square = jnp.zeros((num_seeds, num_seeds))
    return square.at[i, j].set(both[:, 0]).at[j, i].set(both[:, 1])


def _pair(found: Softmaxes, direct, enough, i, j, js: bool):
    """(KL [2] in both directions, JS [2] or None) of seeds i and j."""
    there, back = (i, j), (j, i)
    textbook = jnp.stack([direct[there], direct[back]])
    sound = jnp.stack([enough[there], enough[back]])

    def near():
        exact = jnp.log1p(jnp.stack([_phi_sum(found, *there), _phi_sum(found, *back)]))
        return jnp.where(sound, jnp.maximum(textbook, 0.0), exact)

    kl = jax.lax.cond(jnp.all(sound), lambda: jnp.maximum(textbook, 0.0), near)
    if not js:
        return kl, None
    d, _ = _differences(found.logits[i], found.top[i], found.logits[j], found.top[j])
    t = d - (total(found.weights[i] * d) / found.mass[i] + kl[0])
    mixed = (found.weights[i] / found.mass[i] + found.weights[j] / found.mass[j]) / 2
    half = jnp.minimum(total(mixed * _g(t)), math.log(2))
    return kl, jnp.stack([half, half])


def _phi_sum(found: Softmaxes, i, j):
    """E_i phi(d - mu): the series for small arguments, where e^x - 1 - x would cancel.

    For others p_i e^(d - mu) is p_j's weights times a constant, which needs no exponential of its
    own."""
    own, other = found.weights[i], found.weights[j]
    d, rise = _differences(found.logits[i], found.top[i], found.logits[j], found.top[j])
    mean = total(own * d) / found.mass[i]  # of this pair alone, however far the others
    x = d - mean
    scale = jnp.exp(jnp.minimum(rise - mean, 80.0))
    direct = scale * other - own * (1 + x)
    return (
        total(jnp.where(jnp.abs(x) < _SERIES_BELOW, own * (x * x * _polynomial(_PHI, x)), direct))
        / found.mass[i]
    )


def _g(t):
    """g of the head docstring."""
    size = jnp.minimum(jnp.abs(t), 100.0)
    squared = t * t / 4
    fall = jnp.exp(-size)
    tail = math.log(2) - size * fall / (1 + fall) - jnp.log1p(fall)
    return jnp.where(size < 1, squared * _polynomial(_G, squared), tail)


def _polynomial(coefficients, x):
    """Horner's rule, lowest first."""
    return functools.reduce(
        lambda value, c: value * x + c, reversed(coefficients[:-1]), coefficients[-1]
    )


def total(terms):
    """Sum over the last axis, by blocks. As a product with ones: XLA's CPU reductions of long
    expressions are slow."""
    whole = terms.shape[-1] // _LANES * _LANES
    blocks = terms[..., :whole].reshape(*terms.shape[:-1], -1, _LANES)
    return jnp.sum(blocks @ jnp.ones(_LANES), axis=-1) + jnp.sum(terms[..., whole:], axis=-1)
