"""How sure models are of the better of two sentences, and how far apart seeds are in it.

Axes: S seeds, N pairs, C batches of one length, B sentences of a batch, T tokens, M predictions of
a batch that count, D width, V vocabulary. Units: nats.

Source: "Convergence and Divergence of Language Models under Different Random Seeds", section 4.1,
eq. 5: a model's probabilities of the two sentences are normalised to a distribution over the pair,
and seeds are compared by the KL of these. With x = log p(good) - log p(bad), the sentences'
log-probabilities being sums over their tokens, that is the KL of two Bernoulli distributions of
logits x. It is taken pair by pair and averaged after; an average of probabilities over a task
before the KL hides whatever seeds disagree on in single pairs.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.data import windows
from dynamics.errors import InputError
from dynamics.measures import token_chunks

_SERIES_BELOW = 0.01  # |d| under which e^d - 1 - d is summed as a series
_FAR = 30.0  # difference of logits beyond which the direct form loses nothing
_BATCH_TOKENS = {"cpu": 4096, "gpu": 2**16, "tpu": 2**16}


class LengthGroup(NamedTuple):
    """Sentences of about one length, in batches of one shape: one compiled program serves them
    all."""

    tokens: np.ndarray  # [C,B,T] int32, padded at the end
    at: np.ndarray  # [C,M] int32, where in a flattened [B,T-1] a prediction that counts stands
    target: np.ndarray  # [C,M] int32, the token predicted there
    pair: np.ndarray  # [C,M] int32, the pair it belongs to
    sign: np.ndarray  # [C,M] int32: 1 of the good sentence, -1 of the bad one, 0 padding


class PairBatches(NamedTuple):
    """What to run for all pairs."""

    batches: tuple[LengthGroup, ...]
    num_pairs: int


def batch_pairs(
    good: Sequence[np.ndarray], bad: Sequence[np.ndarray], lengths: int = 4
) -> PairBatches:
    """LengthGroup for sentences of token ids [N], the good beside the bad, padded to at most `lengths`
    lengths.

    Only tokens after a pair's common beginning count: before it both sentences have the same
    log-probabilities, which cancel in x. So neither their logits are made, nor is their rounding in
    the difference. Raises InputError on no pairs, or numbers of sentences that differ.
    """
    if not len(good) or len(good) != len(bad):
        raise InputError(
            f"{len(good)} good and {len(bad)} bad sentences", expected="as many, one or more"
        )
    shared = np.array([_common(a, b) for a, b in zip(good, bad, strict=True)])
    sentences, sizes = [*good, *bad], np.array([len(row) for row in (*good, *bad)])
    order = np.argsort(sizes, kind="stable")
    groups = np.split(order, _cuts(sizes[order], lengths))
    budget = _BATCH_TOKENS.get(jax.default_backend(), _BATCH_TOKENS["cpu"])
    return PairBatches(
        tuple(_batches(rows, sentences, shared, budget) for rows in groups), len(good)
    )


def preferences(config, stacked_params, todo: PairBatches) -> np.ndarray:
    """x = log p(good) - log p(bad) of every seed and pair: float64 [S,N], nats.

    `stacked_params` has a leading S on every leaf. Logits are made and dropped chunk by chunk.
    Raises InputError for a model that is not causal, and for tokens or lengths beyond the model's.
    """
    models.check_causal(config)
    num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
    found = np.zeros((num_seeds, todo.num_pairs))
    params = jax.tree.map(jnp.asarray, stacked_params)
    for group in todo.batches:
        windows.check_vocabulary(group.tokens, config.vocab_size)
        for tokens, at, target, pair, sign in zip(*group, strict=True):
            log_probs = np.asarray(_log_probs(config)(params, tokens, at, target), np.float64)
            for seed, row in enumerate(log_probs):
                found[seed] += np.bincount(pair, weights=sign * row, minlength=todo.num_pairs)
    return found


def pair_kl(preference) -> np.ndarray:
    """KL of the two-sentence distributions of every ordered pair of seeds: x [S,N] -> float64
    [S,S,N], nats.

    Never negative; to 1e-9 relative where a float64 x says it, however close or far the seeds.
    Raises InputError on fewer than two seeds.
    """
    x = np.asarray(preference, np.float64)
    if len(x) < 2:
        raise InputError(
            f"{len(x)} seed", expected="two or more, to have a pair", mend="Select more --seeds."
        )
    return bernoulli_kl(x[:, None], x[None])


def bernoulli_kl(own, other) -> np.ndarray:
    """KL(Bernoulli(sigma(a)) || Bernoulli(sigma(b))) from the logits a, b, float64, elementwise.

    With d = b - a, p = sigma(a), q = 1 - p it is log(p e^d + q) - p d = log1p(p phi(q d) + q phi(-p
    d)), phi(d) = e^d - 1 - d: a sum of non-negative terms, so that nothing cancels where a and b
    are close.
    """
    own, other = np.broadcast_arrays(np.asarray(own, np.float64), np.asarray(other, np.float64))
    other, own = (
        np.where(own < 0, -other, other),
        np.abs(own),
    )  # by symmetry, so that q is the small one
    q, d = np.exp(-np.logaddexp(0.0, own)), other - own
    near = np.clip(d, -_FAR, _FAR)
    close = np.log1p((1 - q) * _phi(q * near) + q * _phi(-(1 - q) * near))
    far = np.logaddexp(0.0, -other) - np.logaddexp(0.0, -own) + q * d
    return np.where(np.abs(d) <= _FAR, close, far)


def _phi(d):
    small = np.abs(d) < _SERIES_BELOW
    s = np.where(small, d, 0.0)
    series = s * s * (1 / 2 + s * (1 / 6 + s * (1 / 24 + s * (1 / 120 + s * (1 / 720 + s / 5040)))))
    return np.where(small, series, np.expm1(d) - d)


@functools.cache
def _log_probs(config):
    """Jitted log p of chosen predictions: params [S,...], tokens [B,T], at [M], target [M] ->
    [S,M]."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def log_probs(stacked_params, tokens, at, target):
        def of_seed(params):
            h, _ = hidden(params, tokens[:, :-1])

            def of_chunk(inputs):
                h, target = inputs
                logits = unembed(params, h)
                chosen = jnp.take_along_axis(logits, target[:, None], axis=-1)[:, 0]
                return chosen - jax.nn.logsumexp(logits, axis=-1)

            counted = h.reshape(-1, h.shape[-1])[at]
            return token_chunks.map_chunks(
                of_chunk, (counted, target), token_chunks.tokens_per_chunk(config.vocab_size)
            )

        with jax.default_matmul_precision("highest"):
            # One seed after the other: side by side, XLA's CPU matrix products take twice the time
            # on these shapes.
            return jax.lax.map(of_seed, stacked_params)

    return log_probs


def _common(first: np.ndarray, second: np.ndarray) -> int:
    """How many leading tokens two sentences share."""
    least = min(len(first), len(second))
    differ = np.flatnonzero(first[:least] != second[:least])
    return int(differ[0]) if differ.size else least


def _cuts(sizes: np.ndarray, most: int) -> list[int]:
    """Where to cut ascending sizes [N] into `most` groups, each padded to its longest, for the
    least padding."""
    values, ends = np.unique(sizes, return_counts=True)
    ends = np.cumsum(ends)
    most = min(most, len(values))
    # best[k]: least tokens for all sentences up to the k-th length, and the cuts that give it
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


def _batches(rows: np.ndarray, sentences: list, shared: np.ndarray, budget: int) -> LengthGroup:
    """One group's batches: rows index `sentences`, whose second half are the bad ones of `shared`'s
    pairs."""
    length = max(len(sentences[row]) for row in rows)
    count = -(-len(rows) // max(1, budget // length))
    size = -(-len(rows) // count)
    # A token is predicted by what stands before it, so the first never counts.
    first = np.maximum(shared[rows % len(shared)], 1)
    by_counted = np.argsort(
        [len(sentences[row]) - start for row, start in zip(rows, first, strict=True)]
    )
    tokens = np.zeros((count, size, length), np.int32)
    found: list[list] = [
        [np.zeros((4, 0), np.int64)] for _ in range(count)
    ]  # at, target, pair, sign of each batch
    for turn, k in enumerate(by_counted):
        place, batch = divmod(
            turn, count
        )  # dealt round, so that all batches have as many predictions
        row, ids = int(rows[k]), sentences[rows[k]]
        tokens[batch, place, : len(ids)] = ids
        counted = np.arange(int(first[k]), len(ids))
        pair = np.full(len(counted), row % len(shared))
        sign = np.full(len(counted), 1 if row < len(shared) else -1)
        found[batch].append(
            np.stack([place * (length - 1) + counted - 1, ids[counted], pair, sign])
        )
    joined = [np.concatenate(parts, axis=1) for parts in found]
    most = max(part.shape[1] for part in joined)
    columns = np.stack(
        [np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in joined]
    )  # [C,4,M]
    at, target, pair, sign = np.moveaxis(columns, 1, 0).astype(np.int32)
    return LengthGroup(tokens, at, target, pair, sign)
