"""Cross-entropy of a linear unembedding, with its gradient in the same pass over chunks of tokens.

Axes: N tokens, c tokens of a chunk, D width, V vocabulary. Units: nats.

A chunk's logits are made once. While they are at hand their softmax less the target, the gradient
of the loss in the logits, is contracted into the gradients of h and of the unembedding; so logits
[N,V] are neither held for a backward pass nor made again by one.
"""

import functools

import jax
import jax.numpy as jnp

from dynamics.errors import InputError


def cross_entropy(h, kernel, targets, weights=None, *, chunk: int):
    """Weighted mean of -log softmax(h W)[target] over tokens, a scalar, float32 or wider.

    Differentiable to any order, forward and backward. Its first derivative costs three matrix
    products of 2 N D V operations, the logits' own among them; a Hessian product, forward over
    reverse, holds no more than a chunk either.

    Args:
        h: [N,D].
        kernel: W, [D,V].
        targets: [N] int.
        weights: [N], 0 for tokens that do not count; None for equal ones.
        chunk: tokens whose logits are held at once.
    """
    if weights is None:
        return _total(chunk, h, kernel, _equal(targets.size, _wide(h, kernel)), targets)
    return _total(chunk, h, kernel, weights / weights.sum(), targets)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _total(chunk: int, h, kernel, weights, targets):
    """sum_i weights_i s_i, s the surprisals; without a derivative asked for, in a forward pass
    alone."""

    def add(total, inputs):
        h, weight, target = inputs
        return total + jnp.vdot(weight, _surprisal(_logits(h, kernel), target)), None

    zero = jnp.zeros((), _wide(h, kernel))
    return jax.lax.scan(add, zero, _chunks(chunk, (h, weights, targets)))[0]


@_total.defjvp
def _total_jvp(chunk: int, primals, tangents):
    # The tangent is linear in (dh, dW), so that reverse mode transposes it into the gradients
    # already made, and forward mode over that differentiates the one pass that made them.
    h, kernel, weights, targets = primals
    total, surprisal, *slopes = _total_and_gradient(chunk, h, kernel, weights, targets)
    moved = zip((*slopes, surprisal), tangents[:3], strict=True)
    return total, sum(jnp.vdot(slope, tangent.astype(slope.dtype)) for slope, tangent in moved)


def _total_and_gradient(chunk: int, h, kernel, weights, targets):
    """(sum_i weights_i s_i, s [N], its gradient in h [N,D], in W [D,V]), gradients as wide as
    logits."""

    def add(carry, inputs):
        h, weight, target = inputs
        logits = _logits(h, kernel)
        hot = jnp.arange(logits.shape[1])[None] == target[:, None]
        surprisal = _surprisal(logits, target)
        slope = weight[:, None] * (jax.nn.softmax(logits, axis=1) - hot)
        into_h = jnp.matmul(slope, kernel.T, preferred_element_type=slope.dtype)
        into_kernel = jnp.matmul(h.T, slope, preferred_element_type=slope.dtype)
        return (carry[0] + jnp.vdot(weight, surprisal), carry[1] + into_kernel), (surprisal, into_h)

    wide = _wide(h, kernel)
    start = (jnp.zeros((), wide), jnp.zeros(kernel.shape, wide))
    (total, into_kernel), rows = jax.lax.scan(add, start, _chunks(chunk, (h, weights, targets)))
    surprisal, into_h = (x.reshape(-1, *x.shape[2:])[: len(targets)] for x in rows)
    return total, surprisal, into_h, into_kernel


def curved(h, kernel, moved, *, chunk: int):
    """J' H J times `moved`, a pair like (h [N,D], W [D,V]): J the Jacobian of the logits, H the
    Hessian of their loss.

    H of the mean over tokens is (diag(p) - p p') / N, token by token, whatever the targets.
    """

    def add(total, inputs):
        h, moved_h, weight = inputs
        p = jax.nn.softmax(_logits(h, kernel), axis=1)
        step = _logits(moved_h, kernel) + _logits(h, moved[1])
        slope = weight[:, None] * p * (step - (p * step).sum(1, keepdims=True))
        return total + jnp.matmul(h.T, slope, preferred_element_type=wide), slope @ kernel.T

    wide = _wide(h, kernel)
    weights = _equal(len(h), wide)
    into_kernel, into_h = jax.lax.scan(
        add, jnp.zeros(kernel.shape, wide), _chunks(chunk, (h, moved[0], weights))
    )
    return into_h.reshape(-1, h.shape[1])[: len(h)].astype(h.dtype), into_kernel.astype(
        kernel.dtype
    )


def _equal(count: int, dtype):
    """[N] of sum 1. Raises InputError for no token."""
    if not count:
        raise InputError("no token to predict", expected="windows of two tokens or more")
    return jnp.full(count, 1 / count, dtype)


def _wide(h, kernel):
    return jnp.promote_types(jnp.promote_types(h.dtype, kernel.dtype), jnp.float32)


def _logits(h, kernel):
    """[c,V], float32 or wider whatever the params: Pythia's outgrow half precision."""
    return jnp.matmul(h, kernel, preferred_element_type=_wide(h, kernel))


def _surprisal(logits, target):
    return (
        jax.nn.logsumexp(logits, axis=1)
        - jnp.take_along_axis(logits, target[:, None], axis=1)[:, 0]
    )


def _chunks(chunk: int, rows):
    """Every leaf [N,...] as [N/c,c,...], c the even share of each chunk; what pads the last one has
    weight 0."""
    count = jax.tree.leaves(rows)[0].shape[0]
    size = -(-count // -(-count // chunk))

    def split(x):
        return jnp.pad(x, [(0, -len(x) % size)] + [(0, 0)] * (x.ndim - 1)).reshape(
            -1, size, *x.shape[1:]
        )

    return jax.tree.map(split, rows)
