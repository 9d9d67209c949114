"""The exact distribution of the next byte under a model of tokens.

It makes models of any tokenizers comparable. Source: Phan et al. 2025, "Exact Byte-Level
Probabilities from Tokenized Language Models" (cover encodings).

The event. Text is drawn token by token; a boundary is a place where a token ends. At a boundary
after the bytes x_1..x_m the model reads `before` and the tokenizer's own encoding e(x_1..x_m), and
draws any token, whose bytes are appended. With

    a(m)        = P(a token ends after x_1..x_m),  a(0) = 1,
    a(n)        = sum_{m<n} a(m) p(the token x_{m+1}..x_n | e(x_1..x_m)),
    P(x_1..x_n) = sum_{m<n} a(m) sum_t p(t | e(x_1..x_m)),  over t that begin with x_{m+1}..x_n,

every string that begins with x_1..x_n is counted once, under the one token that covers byte n. So
the probabilities of the 256 next bytes and of the end (any id that spells nothing) sum to that of
the prefix: the chain rule holds exactly. An encoding that the tokenizer would not give itself (a
token `b` drawn after `a` where `ab` is a token) counts as the bytes that it spells, and is read on
as the tokenizer writes those bytes. A model that never draws such tokens has Phan et al.'s
distribution.

With `canonical` the other encodings are dropped instead: a(m) is then the probability of
e(x_1..x_m) itself, as in that paper, and a token that would end off the tokenizer's own path ends
nothing. Since what is dropped differs from prefix to prefix, next bytes are then divided by their
sum, and no longer multiply to the probability of the string.

Axes: S models, G texts, N bytes (predictions 0 .. N-1, each of one byte after those before it), V
vocabulary, E width of a hidden state, C = G N contexts, c contexts of a chunk, K and U as in
`byte_lookup`; O = 257 outcomes, the bytes and the end. Units: nats.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import divergence, token_chunks
from dynamics.measures.byte_lookup import ByteLookup

END = 256  # the outcome that no byte follows
_LEAST = 1e-37  # stands for a token's probability that float32 rounds to 0


class NextByte(NamedTuple):
    """One model's reading of all texts, in nats. Numbers at padded places mean nothing."""

    # -inf for a byte that no token of the vocabulary can spell at that place
    log_probs: Float[Array, "G N O"]
    log_prefix: Float[Array, "G N"]  # ln P(x_1 .. x_n), n = 0 .. N-1, by the sum over covers
    log_boundary: Float[Array, "G N"]  # ln a(n)


@functools.cache
def next_byte_fn(config: models.Config, canonical: bool = False) -> Callable[..., NextByte]:
    """next_byte(params, lookup) -> NextByte, jitted.

    Args:
        config: the model's config.
        canonical: drop the encodings that the tokenizer would not give itself.

    The function takes params and the `byte_lookup.ByteLookup` of the model's own tokenizer.

    Example:
        >>> from dynamics.measures import byte_lookup
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=4
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> words = [None, b"a", b"b", b"ab"]  # id 0 is the separator
        >>> lookup = byte_lookup.build([b"ab"], [[[], [1], [3]]], words, before=[0])
        >>> p = np.exp(next_byte_fn(config)(params, lookup).log_probs)  # [1, 2, 257]
        >>> possible = [ord("a"), ord("b"), END]
        >>> bool(np.allclose(p[0, :, possible].sum(0), 1, atol=1e-5))
        True
    """
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def next_byte(params, lookup: ByteLookup) -> NextByte:
        with jax.default_matmul_precision("highest"):
            h, _ = hidden(params, lookup.rows)
            contexts = h[lookup.row.reshape(-1), lookup.place.reshape(-1)]  # [C,E]
            return from_contexts(
                lambda h: jax.nn.softmax(unembed(params, h), axis=-1), contexts, lookup, canonical
            )

    return next_byte


def from_contexts(
    probabilities: Callable,
    contexts: Float[Array, "C ..."],
    lookup: ByteLookup,
    canonical: bool = False,
) -> NextByte:
    """`NextByte` from any model's token probabilities in each context.

    Args:
        probabilities: maps some of the contexts [c,...] to token probabilities [c,V].
        contexts: [C,...], text by text.
        lookup: of the texts.
        canonical: as for `next_byte_fn`.
    """
    further, through, ending, silent = _by_context(probabilities, contexts, lookup, canonical)
    log_a = _boundaries(jnp.log(_arriving(ending)))  # [G,N]
    # ln a at k bytes before each place, relative to the likeliest of these boundaries. A boundary
    # more than 87 nats below it is lost in float32, where it adds nothing.
    by_distance = jnp.broadcast_to(log_a[..., None], (*log_a.shape, through.shape[-1]))
    back = _arriving(by_distance, fill=-jnp.inf)  # [G,N,K]
    largest = jnp.max(back, axis=-1, keepdims=True)
    weight = jnp.exp(back - largest)
    byte = jnp.einsum("gnk,gnkb->gnb", weight, _arriving(further))
    # A byte that some token spells is possible, however unlikely.
    spelled = lookup.child[lookup.ahead] < len(lookup.child) - 1  # [G,N,K,256]
    possible = jnp.any(_arriving(spelled, fill=False) & (back > -jnp.inf)[..., None], axis=2)
    byte = jnp.where(possible, jnp.maximum(byte, _LEAST), 0.0)
    if len(lookup.silent):
        end = jnp.maximum(weight[..., 0] * silent, _LEAST)
    else:
        end = jnp.zeros_like(silent)
    outcomes = jnp.concatenate([byte, end[..., None]], axis=-1)
    # The empty prefix is covered by nothing and has probability 1.
    covers = _arriving(through).at[:, :, 0].set(0.0).at[:, 0, 0].set(1.0)
    log_prefix = jnp.log(jnp.einsum("gnk,gnk->gn", weight, covers)) + largest[..., 0]
    return NextByte(jnp.log(outcomes) - jnp.log(outcomes.sum(-1, keepdims=True)), log_prefix, log_a)


def _by_context(probabilities: Callable, contexts, lookup: ByteLookup, canonical: bool):
    """Probabilities of what is drawn in context m, for the k bytes that follow it.

    Returns:
        further [G,N,K,256]: a token that begins with the k bytes and one byte more; through
        [G,N,K]: one that begins with the k bytes; ending [G,N,K]: one that spells just these;
        silent [G,N]: one that spells nothing.
    """
    texts, longest, depth = lookup.ahead.shape
    nodes = lookup.child.shape[0]

    def of_chunk(inputs):
        context, ahead, canonical_token = inputs
        p = jnp.maximum(probabilities(context), _LEAST).T  # [V,c]
        through = _by_node(p, lookup.through, nodes)  # [U,c]
        row = jnp.arange(ahead.shape[0])[:, None]
        if canonical:
            ending = jnp.where(canonical_token >= 0, p[canonical_token, row], 0.0)
        else:
            ending = _by_node(p, lookup.ending, nodes)[ahead, row]
        further = through[lookup.child[ahead], row[..., None]]  # [c,K,256]
        return further, through[ahead, row], ending, p[lookup.silent].sum(0)

    vocab = jax.eval_shape(probabilities, contexts[:1]).shape[-1]
    size = token_chunks.tokens_per_chunk(vocab + 2 * nodes + 256 * depth)
    flat = (contexts, lookup.ahead.reshape(-1, depth), lookup.canonical.reshape(-1, depth))
    mapped = token_chunks.map_chunks(of_chunk, flat, size)
    return tuple(x.reshape(texts, longest, *x.shape[1:]) for x in mapped)


def _by_node(p, pairs, nodes: int):
    """Probability of the tokens at each node [U,c], from that of each token [V,c]."""
    token, node = pairs
    return jax.ops.segment_sum(p[token], node, nodes, indices_are_sorted=True)


def _arriving(x, fill: float | bool = 0.0):
    """[G,N,K,...] indexed by (m, k), as indexed by (n, k) with n = m + k; `fill` where m < 0."""
    longest, rest = x.shape[1], [(0, 0)] * (x.ndim - 3)
    moved = [
        jnp.pad(x[:, :, k], [(0, 0), (k, 0), *rest], constant_values=fill)[:, :longest]
        for k in range(x.shape[2])
    ]
    return jnp.stack(moved, axis=2)


def _boundaries(log_step):
    """ln a(n) [G,N] from `log_step` [G,N,K].

    log_step[g, n, k] is ln p(the token of the last k bytes | the place before them); k = 0 is no
    token.
    """
    texts, _, depth = log_step.shape

    def advance(last, log_step):  # last [G,K-1]: ln a at 1, 2, ... bytes before
        if depth > 1:
            here = jax.nn.logsumexp(last + log_step[:, 1:], axis=-1)
        else:
            here = jnp.full(texts, -jnp.inf)
        return jnp.concatenate([here[:, None], last], axis=1)[:, : depth - 1], here

    start = jnp.full((texts, depth - 1), -jnp.inf).at[:, :1].set(0.0)
    _, rest = jax.lax.scan(advance, start, jnp.moveaxis(log_step[:, 1:], 1, 0))
    return jnp.concatenate([jnp.zeros((texts, 1)), rest.T], axis=1)


def compare(
    log_probs: Sequence[Float[ArrayLike, "G N O"]],
) -> tuple[Float[np.ndarray, "S S G N"], Float[np.ndarray, "S S G N"]]:
    """KL(i || j) and Jensen-Shannon divergence of every pair of models, nats.

    An outcome that one of the models can give nowhere (a byte that its vocabulary lacks, such as
    0xC0, which UTF-8 never has) would make every divergence infinite. It is left out for all
    models, and the other outcomes are renormalised.

    Args:
        log_probs: for each of S models, `NextByte.log_probs` of the same texts.

    Returns:
        (KL [S,S,G,N], JS [S,S,G,N]).

    Raises:
        InputError: fewer than two models, or models that have not read the same texts.
    """
    shapes = {np.shape(of_model) for of_model in log_probs}
    if len(shapes) != 1:
        raise InputError(
            f"distributions of shapes {sorted(shapes)}", expected="the same texts for every model"
        )
    logs = np.stack([np.asarray(of_model) for of_model in log_probs])
    if len(logs) < 2:
        raise InputError(f"{len(logs)} model", expected="two or more, to have a pair")
    logs = logs[..., (logs > -np.inf).any(axis=tuple(range(1, logs.ndim - 1))).all(axis=0)]
    return np.asarray(divergence.pairwise_kl(logs)), np.asarray(divergence.pairwise_js(logs))
