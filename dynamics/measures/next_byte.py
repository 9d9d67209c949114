"""The exact distribution of the next byte under a model of tokens, so that models of any tokenizers
can be compared.

Source: Phan et al. 2025, "Exact Byte-Level Probabilities from Tokenized Language Models" (cover
encodings).

The event. Text is drawn token by token; a boundary is a place where a token ends. At a boundary
after the bytes x_1..x_m the model reads `before` and the tokenizer's own encoding e(x_1..x_m), and
draws any token, whose bytes are appended. With

    a(m)         = P(a token ends after x_1..x_m),  a(0) = 1,
    a(n)         = sum_{m<n} a(m) p(the token x_{m+1}..x_n | e(x_1..x_m)),
    P(x_1..x_n)  = sum_{m<n} a(m) sum over tokens t that begin with x_{m+1}..x_n of p(t | e(x_1..x_m))

every string that begins with x_1..x_n is counted once, under the one token that covers byte n, so
the probabilities of 256 next bytes and of the end (any id that spells nothing) sum to that of the
prefix: the chain rule holds exactly. Encodings that the tokenizer would not give itself (a token
`b` drawn after `a` where `ab` is a token) count as the bytes that they spell, and are read on as
the tokenizer writes those bytes. A model that never draws such tokens has Phan et al.'s
distribution. With `canonical` the other encodings are dropped instead: a(m) is then the probability
of e(x_1..x_m) itself, as in that paper, and a token that would end off the tokenizer's own path
ends nothing. Since what is dropped differs from prefix to prefix, next bytes are then divided by
their sum, and no longer multiply to the probability of the string.

Axes: S models, G texts, N bytes (predictions 0 .. N-1, each of one byte given those before), V
vocabulary, D width, C contexts, K and U of `byte_lookup`; O = 257 outcomes, the bytes and the end.
Units: nats.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import divergence, token_chunks
from dynamics.measures.byte_lookup import ByteLookup

END = 256
_LEAST = 1e-37  # what a token can be that float32 rounds to nothing


class NextByte(NamedTuple):
    """One model's reading of all texts. Numbers at padded places mean nothing."""

    log_probs: jax.Array  # [G,N,O]; -inf for a byte that no token of the vocabulary can spell there
    log_prefix: jax.Array  # [G,N]: ln P(x_1 .. x_n), n = 0 .. N-1, by the sum over covers
    log_boundary: jax.Array  # [G,N]: ln a(n)


@functools.cache
def next_byte_fn(config, canonical: bool = False):
    """next_byte(params, lookup) -> NextByte, jitted; the lookup is `byte_lookup.build` of the model's own
    tokenizer."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def next_byte(params, lookup: ByteLookup) -> NextByte:
        with jax.default_matmul_precision("highest"):
            h, _ = hidden(params, lookup.rows)
            contexts = h[lookup.row.reshape(-1), lookup.place.reshape(-1)]  # [C,D]
            return from_contexts(
                lambda h: jax.nn.softmax(unembed(params, h), axis=-1), contexts, lookup, canonical
            )

    return next_byte


def from_contexts(probabilities, contexts, lookup: ByteLookup, canonical: bool = False) -> NextByte:
    """The distribution from `contexts` [C, ...] and `probabilities`, which maps some of them to
    [n,V], C = G N."""
    texts, most, depth = lookup.ahead.shape
    nodes = lookup.child.shape[0]

    def of_chunk(inputs):
        context, ahead, own = inputs
        p = jnp.maximum(probabilities(context), _LEAST).T  # [V,n]
        through = _by_node(p, lookup.through, nodes)  # [U,n]
        row = jnp.arange(ahead.shape[0])[:, None]
        drawn = (
            jnp.where(own >= 0, p[own, row], 0.0)
            if canonical
            else _by_node(p, lookup.ending, nodes)[ahead, row]
        )
        further = through[lookup.child[ahead], row[..., None]]  # [n,K,256]
        return further, through[ahead, row], drawn, p[lookup.silent].sum(0)

    vocab = jax.eval_shape(probabilities, contexts[:1]).shape[-1]
    size = token_chunks.tokens_per_chunk(vocab + 2 * nodes + 256 * depth)
    flat = (contexts, lookup.ahead.reshape(-1, depth), lookup.canonical.reshape(-1, depth))
    found = token_chunks.map_chunks(of_chunk, flat, size)
    further, through, ending, silent = (x.reshape(texts, most, *x.shape[1:]) for x in found)
    log_a = _boundaries(jnp.log(_arriving(ending)))  # [G,N]
    # Boundaries k bytes before each place, beside the likeliest: what lies 87 nats below it is
    # lost, and says nothing.
    back = _arriving(
        jnp.broadcast_to(log_a[..., None], (*log_a.shape, depth)), fill=-jnp.inf
    )  # [G,N,K]
    largest = jnp.max(back, axis=-1, keepdims=True)
    weight = jnp.exp(back - largest)
    byte = jnp.einsum("gnk,gnkb->gnb", weight, _arriving(further))
    # A byte that some token spells is possible, however unlikely.
    spelled = lookup.child[lookup.ahead] < nodes - 1  # [G,N,K,256]
    possible = jnp.any(_arriving(spelled, fill=False) & (back > -jnp.inf)[..., None], axis=2)
    byte = jnp.where(possible, jnp.maximum(byte, _LEAST), 0.0)
    end = (
        jnp.maximum(weight[..., 0] * silent, _LEAST)
        if len(lookup.silent)
        else jnp.zeros_like(silent)
    )
    outcomes = jnp.concatenate([byte, end[..., None]], axis=-1)
    covers = (
        _arriving(through).at[:, :, 0].set(0.0).at[:, 0, 0].set(1.0)
    )  # before the first byte nothing is covered
    log_prefix = jnp.log(jnp.einsum("gnk,gnk->gn", weight, covers)) + largest[..., 0]
    return NextByte(jnp.log(outcomes) - jnp.log(outcomes.sum(-1, keepdims=True)), log_prefix, log_a)


def _by_node(p, pairs, nodes: int):
    token, node = pairs
    return jax.ops.segment_sum(p[token], node, nodes, indices_are_sorted=True)


def _arriving(x, fill: float | bool = 0.0):
    """[G,N,K,...] by (m, k) -> by (n, k) with n = m + k; `fill` where m < 0."""
    most, rest = x.shape[1], [(0, 0)] * (x.ndim - 3)
    moved = [
        jnp.pad(x[:, :, k], [(0, 0), (k, 0), *rest], constant_values=fill)[:, :most]
        for k in range(x.shape[2])
    ]
    return jnp.stack(moved, axis=2)


def _boundaries(log_step):
    """ln a(n) [G,N] from ln p(the token of the last k bytes | the place before them) [G,N,K]; k = 0
    is no token."""
    texts, _, depth = log_step.shape

    def advance(last, log_step):  # last [G,K-1]: ln a at 1, 2, ... bytes before
        here = (
            jax.nn.logsumexp(last + log_step[:, 1:], axis=-1)
            if depth > 1
            else jnp.full(texts, -jnp.inf)
        )
        return jnp.concatenate([here[:, None], last], axis=1)[:, : depth - 1], here

    start = jnp.full((texts, depth - 1), -jnp.inf).at[:, :1].set(0.0)
    _, rest = jax.lax.scan(advance, start, jnp.moveaxis(log_step[:, 1:], 1, 0))
    return jnp.concatenate([jnp.zeros((texts, 1)), rest.T], axis=1)


def compare(log_probs) -> tuple[np.ndarray, np.ndarray]:
    """KL(i || j) and Jensen-Shannon divergence of every pair of models: [S,G,N,O] -> two [S,S,G,N],
    nats.

    An outcome that one of them can give nowhere (a byte that its vocabulary lacks, such as 0xC0,
    which UTF-8 never has) is left out of all, and the rest taken for the whole: it would make every
    divergence infinite. Raises InputError for fewer than two models, or for models that have not
    read the same texts.
    """
    shapes = {np.shape(one) for one in log_probs}
    if len(shapes) != 1:
        raise InputError(
            f"distributions of shapes {sorted(shapes)}", expected="the same texts for every model"
        )
    logs = np.stack([np.asarray(one) for one in log_probs])
    if len(logs) < 2:
        raise InputError(f"{len(logs)} model", expected="two or more, to have a pair")
    logs = logs[..., (logs > -np.inf).any(axis=tuple(range(1, logs.ndim - 1))).all(axis=0)]
    return np.asarray(divergence.pairwise_kl(logs)), np.asarray(divergence.pairwise_js(logs))
