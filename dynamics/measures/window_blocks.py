"""Numbers of any number of windows, computed block by block and reduced on the host.

A block is a fixed number of windows that one call of a compiled pass takes. Numbers of single seeds
and means over pairs stay per token; numbers of every pair are averaged by document, so that memory
does not grow with S^2 tokens.

Windows may be of different lengths, padded to one: a mask says which predictions count, and windows
of about one length are computed together, so that little is computed for nothing.

Axes: S seeds, B windows, b windows of a block, P predictions of a window, p those that a block
computes of each, G documents. Units: nats.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int, Int64


class Statistics(NamedTuple):
    """What a compiled pass says of each token; "..." are the tokens, [b,P] of a block."""

    kl: Float[ArrayLike, "S S ..."]  # KL(i || j) of every ordered pair
    surprisal: Float[ArrayLike, "S ..."]
    entropy: Float[ArrayLike, "S ..."]
    kl_uniform: Float[ArrayLike, "S ..."]  # KL(p || uniform) = log V - entropy
    max_logit: Float[ArrayLike, "S ..."]  # the greatest |logit|
    js: Float[ArrayLike, "S S ..."] | None = None  # None where it was not asked for
    kl_unigram: Float[ArrayLike, "S ..."] | None = None  # KL(p || unigram), with a reference


def collect(
    statistics_of: Callable[[Int64[np.ndarray, " b"], int], Statistics],
    size: int,
    shape: tuple[int, int],
    documents: Int[np.ndarray, " B"] | None = None,
    full: bool = False,
    scored: Bool[np.ndarray, "B P"] | None = None,
) -> dict[str, np.ndarray]:
    """Everything that `divergence.seed_divergence` returns, from the statistics of each block.

    Args:
        statistics_of: maps indices of windows [b] and a number of predictions p to the statistics
            [b,p] of each window's first p. It is called with few pairs of b and p, so that it
            compiles seldom: with one where every prediction is scored.
        size: windows of a block, where they are of P predictions; more where they are shorter.
        shape: (B, P).
        documents: [B], the document of each window; by default each window is its own.
        full: also keep the numbers of every pair per token.
        scored: [B,P], which predictions count; by default all. At least one of each window. The
            numbers of others are NaN.
    """
    windows, _ = shape
    if scored is None:
        scored = np.ones(shape, bool)
    names, owner = np.unique(
        np.arange(windows) if documents is None else documents, return_inverse=True
    )
    per_token, sums, peaks = {}, [], []
    for rows, count, length in _blocks(scored, size):
        counted = scored[rows, :length]
        block = _block(statistics_of, rows, count, length)
        peaks.append(np.max(block.max_logit, axis=(-2, -1), where=counted, initial=0.0))
        member = np.equal.outer(owner[rows], np.arange(len(names))).astype(float)  # [b,G]
        of_block = _by_document(block, counted, member)
        sums = [jax.tree.map(np.add, *sums, of_block) if sums else of_block]
        for name, value in _per_token(block, full).items():
            empty = np.full((*value.shape[:-2], *shape), np.nan, np.float32)
            whole = per_token.setdefault(name, empty)
            whole[..., rows, :length] = np.where(counted, value, np.nan)
    counts = np.bincount(owner, weights=scored.sum(1)).astype(int)
    means = _document_means(sums[0], counts)
    return {**per_token, **means, "document_tokens": counts, "max_logit": np.max(peaks, axis=0)}


def padded_length(predictions: int) -> int:
    """The next of 16, 20, 24, 28, 32, 40, ...: four lengths for each factor of two.

    Windows are computed at these lengths alone, so that few programs are compiled; what is added to
    a window is under a quarter of it, and a tenth on average.

    Example:
        >>> [padded_length(n) for n in (1, 16, 17, 32, 33, 1025)]
        [16, 16, 20, 32, 40, 1280]
    """
    step = 1 << max(predictions.bit_length() - 3, 2)
    return max(16, -(-predictions // step) * step)


def _blocks(
    scored: Bool[np.ndarray, "B P"], size: int
) -> Iterator[tuple[Int64[np.ndarray, " b"], int, int]]:
    """(windows, how many to compute at once, predictions of each) of every block.

    Windows of about one length go together. A group is cut into blocks of one size, as equal as can
    be, so that little is computed for nothing.
    """
    predictions = scored.shape[1]
    last = predictions - np.argmax(scored[:, ::-1], axis=1)  # of each window, counted from 1
    length_of = np.array([min(padded_length(int(n)), predictions) for n in last])
    for length in np.unique(length_of):
        rows = np.flatnonzero(length_of == length)
        most = max(size, size * predictions // length)
        count = -(-len(rows) // -(-len(rows) // most))
        for begin in range(0, len(rows), count):
            yield rows[begin : begin + count], count, int(length)


def _block(
    statistics_of: Callable, rows: Int64[np.ndarray, " b"], count: int, length: int
) -> Statistics:
    """The statistics of these windows [b], the call being padded to `count` of them."""
    padded = np.concatenate([rows, np.repeat(rows[:1], count - len(rows))])
    return jax.tree.map(lambda x: np.asarray(x)[..., : len(rows), :], statistics_of(padded, length))


def _by_document(
    block: Statistics, counted: Bool[np.ndarray, "b p"], member: Float[np.ndarray, "b G"]
) -> Statistics:
    """Sums over the counted tokens of each document, float64: [...,b,p] -> [...,G]."""
    return jax.tree.map(lambda x: x.sum(-1, dtype=np.float64, where=counted) @ member, block)


def _document_means(sums: Statistics, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Means over the tokens of each document, by their public names."""
    means = jax.tree.map(lambda x: x / counts, sums)
    return _measured(
        {
            "kl_documents": means.kl,
            "js_documents": means.js,
            "surprisal_documents": means.surprisal,
            "entropy_documents": means.entropy,
            "kl_uniform_documents": means.kl_uniform,
            "kl_unigram_documents": means.kl_unigram,
        }
    )


def _per_token(block: Statistics, full: bool) -> dict[str, np.ndarray]:
    """The numbers that stay per token: surprisal, and means over ordered pairs i != j."""
    numbers = {
        "kl": _over_pairs(block.kl),
        "js": _over_pairs(block.js),
        "surprisal": block.surprisal,
        "kl_pairs": block.kl if full else None,
        "js_pairs": block.js if full else None,
    }
    return _measured(numbers)


def _over_pairs(pairs):
    """[S,S,...] with a diagonal of zeros -> [...]; None of None."""
    return None if pairs is None else pairs.sum((0, 1)) / (len(pairs) ** 2 - len(pairs))


def _measured(numbers: dict) -> dict[str, np.ndarray]:
    return {name: value for name, value in numbers.items() if value is not None}
