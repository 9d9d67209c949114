"""Kullback-Leibler and Jensen-Shannon divergence of every pair of softmaxes, to float32's last digits.

Axes: S seeds, N tokens, V vocabulary, P unordered pairs i < j. Units: nats.

For a pair d = l_j - l_i (logits), mu = E_i d under p_i = softmax(l_i). The textbook form is

    KL_ij = lse_j - lse_i - mu,                                     lse the logsumexp of a seed's logits,

which for close seeds is a small difference of large numbers. Since E_i (d - mu) = 0 it is also

    KL_ij = log E_i e^(d - mu) = log1p E_i phi(d - mu),             phi(x) = e^x - 1 - x >= 0,

a sum of terms that are not negative. The constant mu need not be exact: an error of a changes the result by a^2 / 2.
For Jensen-Shannon, with t = log p_j - log p_i = d - mu - KL_ij and m the mean of the two,

    JS_ij = sum_v m g(t),       g(t) = u tanh u - log cosh u = u^2/2 - ... -> log 2,       u = t/2,

as p_i = m (1 - tanh u) and p_j = m (1 + tanh u): the same in both directions, never negative, t^2/8 for close pairs.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

FAR = 0.3  # nats from which on the textbook form has its digits
_SERIES_BELOW = 0.5  # |x| up to which phi(x) is summed as a series
_PHI = tuple(1 / math.factorial(k) for k in range(2, 9))  # phi(x) / x^2
# g(2u) / u^2 in u^2: (2k - 1) times the coefficients of log cosh
_G = (1 / 2, -1 / 4, 1 / 9, -17 / 360, 31 / 1575, -691 / 85050, 10922 / 3274425)
_LANES = 128


def divergences(logits, apart=None, js: bool = True):
    """Every pair of softmaxes of finite logits [S,N,V]: (KL [S,S,N], JS [S,S,N] or None), nats.

    `apart` [S,S,N] marks where i lacks tokens that j has, for which only the textbook form is right. Logits are not
    normalised first: that would round away the differences of close pairs.
    """
    num_seeds, count, _ = logits.shape
    pairs = np.array(list(itertools.combinations(range(num_seeds), 2)), np.int32)
    top = jnp.max(logits, axis=-1, keepdims=True)
    weights = jnp.exp(logits - top)
    mass = total(weights)
    apart = jnp.zeros((num_seeds, num_seeds, count), bool) if apart is None else apart

    def of_pair(pair):
        i, j = pair[0], pair[1]
        one, other = ((logits[s], weights[s], mass[s], top[s]) for s in (i, j))
        return _pair(one, other, jnp.stack([apart[i, j], apart[j, i]]), js)

    return jax.tree.map(functools.partial(_square, pairs, num_seeds), jax.lax.map(of_pair, jnp.asarray(pairs)))


def _square(pairs, num_seeds: int, both):
    """[P,2,N], the two directions of every pair, to [S,S,N] with a diagonal of zeros."""
    i, j = pairs.T
    square = jnp.zeros((num_seeds, num_seeds, both.shape[-1]))
    return square.at[i, j].set(both[:, 0]).at[j, i].set(both[:, 1])


def _pair(one, other, apart, js: bool):
    """(KL [2,N] in both directions, JS [2,N] or None) of two seeds, each (logits, weights, mass, top)."""
    (logits_i, weights_i, mass_i, top_i), (logits_j, weights_j, mass_j, top_j) = one, other
    shift, gain = top_j - top_i, jnp.log(mass_j / mass_i)  # [N,1], [N]; their sum is lse_j - lse_i
    forth, back = total(weights_i * (logits_j - logits_i)), total(weights_j * (logits_i - logits_j))
    mean = jnp.stack([forth / mass_i, back / mass_j])
    rise = shift[:, 0] + gain
    direct = jnp.stack([rise - mean[0], -rise - mean[1]])

    def near():
        forth = total(_phi_terms(logits_j - logits_i, mean[0][:, None], shift, weights_i, weights_j)) / mass_i
        back = total(_phi_terms(logits_i - logits_j, mean[1][:, None], -shift, weights_j, weights_i)) / mass_j
        exact = jnp.log1p(jnp.stack([forth, back]))
        return jnp.where((direct > FAR) | apart, jnp.maximum(direct, 0.0), exact)

    # Seeds that are far apart at every token of a chunk, as at initialisation, need no second look.
    kl = jax.lax.cond(jnp.all((direct > FAR) | apart), lambda: jnp.maximum(direct, 0.0), near)
    if not js:
        return kl, None
    t = logits_j - logits_i - (mean[0] + kl[0])[:, None]
    mixed = (weights_i / mass_i[:, None] + weights_j / mass_j[:, None]) / 2
    half = jnp.minimum(total(mixed * _g(t)), math.log(2))
    return kl, jnp.stack([half, half])


def _phi_terms(d, mean, shift, own, other):
    """Weights times phi(d - mean): own times the series for small arguments, where e^x - 1 - x would cancel.

    For others own e^(d - mean) is other e^(shift - mean), which needs no exponential of its own.
    """
    x = d - mean
    scale = jnp.exp(jnp.minimum(shift - mean, 80.0))
    return jnp.where(jnp.abs(x) < _SERIES_BELOW, own * (x * x * _polynomial(_PHI, x)), scale * other - own * (1 + x))


def _g(t):
    """g of the head docstring."""
    size = jnp.minimum(jnp.abs(t), 100.0)
    squared = t * t / 4
    fall = jnp.exp(-size)
    tail = math.log(2) - size * fall / (1 + fall) - jnp.log1p(fall)
    return jnp.where(size < 1, squared * _polynomial(_G, squared), tail)


def _polynomial(coefficients, x):
    """Horner's rule, lowest first."""
    return functools.reduce(lambda value, c: value * x + c, reversed(coefficients[:-1]), coefficients[-1])


def total(terms):
    """Sum over the last axis, by blocks. As a product with ones: XLA's CPU reductions of long expressions are slow."""
    whole = terms.shape[-1] // _LANES * _LANES
    blocks = terms[..., :whole].reshape(*terms.shape[:-1], -1, _LANES)
    return jnp.sum(blocks @ jnp.ones(_LANES), axis=-1) + jnp.sum(terms[..., whole:], axis=-1)
