"""Cross-entropy of a linear unembedding, with its gradient in the same pass over token chunks.

Axes: N tokens, c tokens of a chunk, E width of a hidden state, V vocabulary. Units: nats.

A chunk's logits are made once. While they are at hand, the gradient of the loss in the logits
(softmax minus one-hot target) is contracted into the gradients of h and of the unembedding. So
logits [N,V] are neither held for a backward pass nor made again by one.
"""

import functools

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dynamics import models
from dynamics.errors import InputError


def surprisal_of(logits: Float[Array, "N V"], targets: Int[Array, " N"]) -> Float[Array, " N"]:
    """-log softmax(logits)[target] of every token; NaN for a target outside the vocabulary."""
    index = models.ids_or_end(targets, logits.shape[1])[:, None]
    return (
        jax.nn.logsumexp(logits, axis=1)
        - jnp.take_along_axis(logits, index, axis=1, mode="fill")[:, 0]
    )


def cross_entropy(
    h: Float[Array, "N E"],
    kernel: Float[Array, "E V"],
    targets: Int[Array, " N"],
    weights: Float[Array, " N"] | None = None,
    *,
    chunk: int,
) -> Float[Array, ""]:
    """Weighted mean of -log softmax(h W)[target] over tokens, a scalar, float32 or wider.

    Differentiable to any order, forward and backward. Its first derivative costs three matrix
    products of 2 N E V operations, that of the logits included. A Hessian product, forward over
    reverse, holds no more than a chunk of logits either.

    Args:
        h: [N,E], hidden states.
        kernel: W, [E,V].
        targets: [N].
        weights: [N], 0 for tokens that do not count; None for equal weights.
        chunk: tokens whose logits are held at once.

    Raises:
        InputError: no token to predict.
        AssertionError: h, targets and weights of different lengths.
    """
    chex.assert_equal_shape_prefix([h, targets, *([] if weights is None else [weights])], 1)
    shares = _equal(targets.size, _wide(h, kernel)) if weights is None else weights / weights.sum()
    # A target outside the vocabulary makes the gradient NaN too, which would else be that of no
    # target at all.
    inside = models.ids_or_end(targets, kernel.shape[1]) < kernel.shape[1]
    return _total(chunk, h, kernel, jnp.where(inside, shares, jnp.nan), targets)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _total(chunk: int, h, kernel, weights, targets):
    """sum_i weights_i s_i, s the surprisals. Where no derivative is asked for: a forward pass."""

    def add(total, inputs):
        h, weight, target = inputs
        return total + jnp.vdot(weight, surprisal_of(_logits(h, kernel), target)), None

    zero = jnp.zeros((), _wide(h, kernel))
    return jax.lax.scan(add, zero, _chunks(chunk, (h, weights, targets)))[0]


@_total.defjvp
def _total_jvp(chunk: int, primals, tangents):
    # The tangent is linear in (dh, dW), so that reverse mode transposes it into the gradients that
    # the pass has made, and forward mode over reverse differentiates that single pass.
    h, kernel, weights, targets = primals
    total, surprisal, *slopes = _total_and_gradient(chunk, h, kernel, weights, targets)
    pairs = zip((*slopes, surprisal), tangents[:3], strict=True)
    return total, sum(jnp.vdot(slope, tangent.astype(slope.dtype)) for slope, tangent in pairs)


def _total_and_gradient(chunk: int, h, kernel, weights, targets):
    """(sum_i weights_i s_i, s [N], its gradients in h [N,E] and in W [E,V]), as wide as logits."""

    def add(carry, inputs):
        h, weight, target = inputs
        logits = _logits(h, kernel)
        hot = (jnp.arange(logits.shape[1])[None] == target[:, None]).astype(logits.dtype)
        surprisal = surprisal_of(logits, target)
        slope = weight[:, None] * (jax.nn.softmax(logits, axis=1) - hot)
        into_h = jnp.matmul(slope, kernel.T, preferred_element_type=slope.dtype)
        into_kernel = jnp.matmul(h.T, slope, preferred_element_type=slope.dtype)
        return (carry[0] + jnp.vdot(weight, surprisal), carry[1] + into_kernel), (surprisal, into_h)

    wide = _wide(h, kernel)
    start = (jnp.zeros((), wide), jnp.zeros(kernel.shape, wide))
    (total, into_kernel), rows = jax.lax.scan(add, start, _chunks(chunk, (h, weights, targets)))
    surprisal, into_h = (x.reshape(-1, *x.shape[2:])[: len(targets)] for x in rows)
    return total, surprisal, into_h, into_kernel


def gauss_newton_product(
    h: Float[Array, "N E"],
    kernel: Float[Array, "E V"],
    tangent: tuple[Float[Array, "N E"], Float[Array, "E V"]],
    *,
    chunk: int,
) -> tuple[Float[Array, "N E"], Float[Array, "E V"]]:
    """J' H J times `tangent`, J the Jacobian of the logits in (h, W) and H their loss's Hessian.

    H of the mean over tokens is (diag(p) - p p') / N for each token, whatever the targets. Holds a
    chunk's logits at once. Raises InputError where there is no token.
    """

    def add(total, inputs):
        h, tangent_h, weight = inputs
        p = jax.nn.softmax(_logits(h, kernel), axis=1)
        step = _logits(tangent_h, kernel) + _logits(h, tangent[1])
        slope = weight[:, None] * p * (step - (p * step).sum(1, keepdims=True))
        return total + jnp.matmul(h.T, slope, preferred_element_type=wide), slope @ kernel.T

    wide = _wide(h, kernel)
    weights = _equal(len(h), wide)
    into_kernel, into_h = jax.lax.scan(
        add, jnp.zeros(kernel.shape, wide), _chunks(chunk, (h, tangent[0], weights))
    )
    return into_h.reshape(-1, h.shape[1])[: len(h)].astype(h.dtype), into_kernel.astype(
        kernel.dtype
    )


def _equal(count: int, dtype):
    """Equal weights [N] of sum 1. Raises InputError for no token."""
    if not count:
        raise InputError("no token to predict", expected="windows of two tokens or more")
    return jnp.full(count, 1 / count, dtype)


def _wide(h, kernel):
    return jnp.promote_types(jnp.promote_types(h.dtype, kernel.dtype), jnp.float32)


def _logits(h, kernel):
    """[c,V], float32 or wider whatever the params: Pythia's logits outgrow half precision."""
    return jnp.matmul(h, kernel, preferred_element_type=_wide(h, kernel))


def _chunks(chunk: int, rows):
    """Every leaf [N,...] as [N/c,c,...] with c <= chunk as even as possible.

    The last chunk is padded with zeros, so that padding has weight 0.
    """
    count = jax.tree.leaves(rows)[0].shape[0]
    size = -(-count // -(-count // chunk))

    def split(x):
        return jnp.pad(x, [(0, -len(x) % size)] + [(0, 0)] * (x.ndim - 1)).reshape(
            -1, size, *x.shape[1:]
        )

    return jax.tree.map(split, rows)
