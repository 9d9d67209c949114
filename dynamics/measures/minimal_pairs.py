"""How much more likely models find the better of two sentences, and how far seeds differ in it.

Axes: S seeds, N pairs, C batches of one length group, B sentences of a batch, T tokens, M
predictions of a batch that count, V vocabulary. Units: nats.

Source: "Convergence and Divergence of Language Models under Different Random Seeds", section 4.1,
eq. 5: a model's probabilities of the two sentences are normalised to a distribution over the pair,
and seeds are compared by the KL of these. With x = log p(good) - log p(bad), the sentences'
log-probabilities being sums over their tokens, this is the KL of two Bernoulli distributions with
logits x. It is taken pair by pair and averaged afterwards; probabilities averaged over a task
before the KL would hide whatever seeds disagree on in single pairs.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Float64, Int, Int32, PyTree

from dynamics import models
from dynamics.data import windows
from dynamics.errors import InputError
from dynamics.measures import cross_entropy, finite, token_chunks

_SERIES_BELOW = 0.01  # |d| below which e^d - 1 - d is summed as a series
_FAR = 30.0  # difference of logits beyond which the direct form loses no digits
_BATCH_TOKENS = {"cpu": 4096, "gpu": 2**16, "tpu": 2**16}


class LengthGroup(NamedTuple):
    """Sentences of about the same length, in batches of one shape: one compiled program for all."""

    tokens: Int32[np.ndarray, "C B T"]  # padded at the end
    at: Int32[np.ndarray, "C M"]  # index into the flattened [B,T-1] of a prediction that counts
    target: Int32[np.ndarray, "C M"]  # the token predicted there
    pair: Int32[np.ndarray, "C M"]  # the pair it belongs to
    sign: Int32[np.ndarray, "C M"]  # 1 in the good sentence, -1 in the bad one, 0 padding


class PairBatches(NamedTuple):
    """All sentences of N pairs, batched by length; make it with `batch_pairs`."""

    groups: tuple[LengthGroup, ...]
    num_pairs: int


def batch_pairs(
    good: Sequence[Int[np.ndarray, " _"]], bad: Sequence[Int[np.ndarray, " _"]], lengths: int = 4
) -> PairBatches:
    """Batches of the sentences of N pairs, padded to at most `lengths` different lengths.

    Only tokens after a pair's common beginning count: before it both sentences have the same
    log-probabilities, which cancel in x. So no logits are made for them, and their rounding does
    not enter the difference.

    Args:
        good: token ids of the better sentence of each pair.
        bad: token ids of the other one.
        lengths: the most length groups, each of which compiles a program.

    Raises:
        InputError: no pairs, or numbers of sentences that differ.

    Example:
        >>> batches = batch_pairs([np.array([1, 2, 3])], [np.array([1, 2, 4, 5])])
        >>> [group.tokens.shape for group in batches.groups]  # one group for each length
        [(1, 1, 3), (1, 1, 4)]
    """
    if not len(good) or len(good) != len(bad):
        raise InputError(
            f"{len(good)} good and {len(bad)} bad sentences", expected="as many, one or more"
        )
    shared = np.array([_common(a, b) for a, b in zip(good, bad, strict=True)])
    sentences, sizes = [*good, *bad], np.array([len(row) for row in (*good, *bad)])
    order = np.argsort(sizes, kind="stable")
    budget = _BATCH_TOKENS.get(jax.default_backend(), _BATCH_TOKENS["cpu"])
    groups = (
        _length_group(rows, sentences, shared, budget)
        for rows in np.split(order, _cuts(sizes[order], lengths))
    )
    return PairBatches(tuple(groups), len(good))


def preferences(
    config: models.Config,
    stacked_params: PyTree[Float[ArrayLike, "S ..."]],
    batches: PairBatches,
) -> Float64[np.ndarray, "S N"]:
    """x = log p(good) - log p(bad) for every seed and pair, nats.

    Logits are made and dropped chunk by chunk.

    Args:
        config: the seeds' common model config.
        stacked_params: params with a leading axis S on every leaf.
        batches: the sentences, by `batch_pairs`.

    Raises:
        InputError: a model that is not causal; tokens or lengths beyond the model's; weights that
            are not finite, by leaf.
        AssertionError: params whose leading axes differ.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> init = jax.jit(models.init, static_argnames="config")
        >>> seeds = [init(jax.random.key(seed), config) for seed in range(2)]
        >>> params = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
        >>> batches = batch_pairs([np.array([1, 2, 3])], [np.array([1, 2, 4])])
        >>> preferences(config, params, batches).shape
        (2, 1)
    """
    models.check_causal(config)
    num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
    chex.assert_tree_shape_prefix(stacked_params, (num_seeds,))
    finite.check_params(stacked_params)
    preference = np.zeros((num_seeds, batches.num_pairs))
    params = jax.tree.map(jnp.asarray, stacked_params)
    for group in batches.groups:
        windows.check_vocabulary(group.tokens, config.vocab_size)
        for tokens, at, target, pair, sign in zip(*group, strict=True):
            log_probs = np.asarray(_log_probs(config)(params, tokens, at, target), np.float64)
            for seed, row in enumerate(log_probs):
                signed = np.bincount(pair, weights=sign * row, minlength=batches.num_pairs)
                preference[seed] += signed
    return preference


def pair_kl(preference: Float[ArrayLike, "S N"]) -> Float64[np.ndarray, "S S N"]:
    """KL of the two-sentence distributions of every ordered pair of seeds, nats.

    Never negative; to 1e-9 relative where a float64 x determines it, however close or far the
    seeds.

    Args:
        preference: x, [S,N].

    Raises:
        InputError: fewer than two seeds.
        AssertionError: an array that is not [S,N].

    Example:
        >>> pair_kl([[0.0, 2.0], [0.0, 0.0]]).round(4).tolist()  # two seeds, two pairs
        [[[0.0, 0.0], [0.0, 0.3278]], [[0.0, 0.4338], [0.0, 0.0]]]
    """
    x = np.asarray(preference, np.float64)
    chex.assert_rank(x, 2)
    if len(x) < 2:
        raise InputError(
            f"{len(x)} seed", expected="two or more, to have a pair", mend="Select more --seeds."
        )
    return bernoulli_kl(x[:, None], x[None])


def bernoulli_kl(
    own: Float[ArrayLike, "*axes"], other: Float[ArrayLike, "*axes"]
) -> Float64[np.ndarray, "*axes"]:
    """KL(Bernoulli(sigma(a)) || Bernoulli(sigma(b))) of the logits a, b, elementwise, nats.

    With d = b - a, p = sigma(a), q = 1 - p it is log(p e^d + q) - p d = log1p(p phi(q d) + q phi(-p
    d)), phi(d) = e^d - 1 - d: a sum of non-negative terms, so that nothing cancels where a and b
    are close.
    """
    own, other = np.broadcast_arrays(np.asarray(own, np.float64), np.asarray(other, np.float64))
    # By symmetry a >= 0, so that q is the smaller of p and q.
    other, own = np.where(own < 0, -other, other), np.abs(own)
    q, d = np.exp(-np.logaddexp(0.0, own)), other - own
    near = np.clip(d, -_FAR, _FAR)
    close = np.log1p((1 - q) * _phi(q * near) + q * _phi(-(1 - q) * near))
    far = np.logaddexp(0.0, -other) - np.logaddexp(0.0, -own) + q * d
    return np.where(np.abs(d) <= _FAR, close, far)


def _phi(d):
    """e^d - 1 - d, by its Taylor series where d is small."""
    small = np.abs(d) < _SERIES_BELOW
    s = np.where(small, d, 0.0)
    series = s * s * (1 / 2 + s * (1 / 6 + s * (1 / 24 + s * (1 / 120 + s * (1 / 720 + s / 5040)))))
    return np.where(small, series, np.expm1(d) - d)


@functools.cache
def _log_probs(config: models.Config):
    """Jitted (params [S,...], tokens [B,T], at [M], target [M]) -> log p of the targets [S,M]."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)
    size = token_chunks.tokens_per_chunk(config.vocab_size)

    @jax.jit
    def log_probs(stacked_params, tokens, at, target):
        def of_seed(params):
            h, _ = hidden(params, tokens[:, :-1])

            def of_chunk(inputs):
                h, target = inputs
                return -cross_entropy.surprisal_of(unembed(params, h), target)

            counted = h.reshape(-1, h.shape[-1])[at]
            return token_chunks.map_chunks(of_chunk, (counted, target), size)

        with jax.default_matmul_precision("highest"):
            # One seed after the other: batched over seeds, XLA's CPU matrix products take twice the
            # time on these shapes.
            return jax.lax.map(of_seed, stacked_params)

    return log_probs


def _common(first: np.ndarray, second: np.ndarray) -> int:
    """How many leading tokens two sentences share."""
    least = min(len(first), len(second))
    differ = np.flatnonzero(first[:least] != second[:least])
    return int(differ[0]) if differ.size else least


def _cuts(sizes: np.ndarray, most: int) -> list[int]:
    """Where to cut ascending sizes [N] into at most `most` groups, for the least padding.

    Each group is padded to its longest sentence. Dynamic programming over the different lengths.
    """
    values, ends = np.unique(sizes, return_counts=True)
    ends = np.cumsum(ends)
    most = min(most, len(values))
    # best[k]: the least tokens for all sentences up to the k-th length, and the cuts of it
    best = [(int(v * e), ()) for v, e in zip(values, ends, strict=True)]
    for _ in range(most - 1):
        best = [
            min(
                [best[k]]
                + [
                    (best[j][0] + int(values[k] * (ends[k] - ends[j])), (*best[j][1], j))
                    for j in range(k)
                ],
                key=lambda option: option[0],
            )
            for k in range(len(values))
        ]
    return [int(ends[j]) for j in best[-1][1]]


def _length_group(
    rows: np.ndarray, sentences: list, shared: np.ndarray, budget: int
) -> LengthGroup:
    """Batches of at most `budget` tokens for one group of sentences.

    Args:
        rows: indices into `sentences` [2N], whose second half are the bad sentences.
        shared: [N], the leading tokens that each pair's sentences share.
    """
    length = max(len(sentences[row]) for row in rows)
    count = -(-len(rows) // max(1, budget // length))
    size = -(-len(rows) // count)
    # A token is predicted from those before it, so that the first never counts.
    first = np.maximum(shared[rows % len(shared)], 1)
    by_counted = np.argsort(
        [len(sentences[row]) - start for row, start in zip(rows, first, strict=True)]
    )
    tokens = np.zeros((count, size, length), np.int32)
    # For each batch: columns (at, target, pair, sign) of its sentences.
    columns: list[list] = [[np.zeros((4, 0), np.int64)] for _ in range(count)]
    for turn, k in enumerate(by_counted):
        # Dealt in turn, so that all batches have about as many predictions.
        place, batch = divmod(turn, count)
        row, ids = int(rows[k]), sentences[rows[k]]
        tokens[batch, place, : len(ids)] = ids
        counted = np.arange(int(first[k]), len(ids))
        pair = np.full(len(counted), row % len(shared))
        sign = np.full(len(counted), 1 if row < len(shared) else -1)
        at = place * (length - 1) + counted - 1
        columns[batch].append(np.stack([at, ids[counted], pair, sign]))
    joined = [np.concatenate(parts, axis=1) for parts in columns]
    most = max(part.shape[1] for part in joined)
    padded = [np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in joined]
    at, target, pair, sign = np.moveaxis(np.stack(padded), 1, 0).astype(np.int32)
    return LengthGroup(tokens, at, target, pair, sign)
