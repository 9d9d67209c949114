"""Numbers of any number of windows, computed block by block and reduced on the host.

A block is a fixed number of windows that one call of a compiled pass takes. Numbers of single seeds
and means over pairs stay per token; numbers of every pair are averaged by document, so that memory
does not grow with S^2 tokens.

Axes: S seeds, B windows, b windows of a block, P predictions of a window, G documents. Units: nats.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import ArrayLike, Float, Int, Int64


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
    statistics_of: Callable[[Int64[np.ndarray, " b"]], Statistics],
    size: int,
    shape: tuple[int, int],
    documents: Int[np.ndarray, " B"] | None = None,
    full: bool = False,
) -> dict[str, np.ndarray]:
    """Everything that `divergence.seed_divergence` returns, from the statistics of each block.

    Args:
        statistics_of: maps indices of windows [b] to their statistics. It is called with b = `size`
            only, so that it compiles once.
        size: windows of a block.
        shape: (B, P).
        documents: [B], the document of each window; by default each window is its own.
        full: also keep the numbers of every pair per token.
    """
    windows, predictions = shape
    size = min(size, windows)
    names, owner = np.unique(
        np.arange(windows) if documents is None else documents, return_inverse=True
    )
    per_token, sums, peaks = {}, [], []
    for begin in range(0, windows, size):
        rows = np.arange(begin, min(begin + size, windows))
        block = _block(statistics_of, rows, size)
        peaks.append(np.max(block.max_logit, axis=(-2, -1)))
        member = np.equal.outer(owner[rows], np.arange(len(names))).astype(float)  # [b,G]
        of_block = _by_document(block, member)
        sums = [jax.tree.map(np.add, *sums, of_block) if sums else of_block]
        for name, value in _per_token(block, full).items():
            whole = per_token.setdefault(name, np.zeros((*value.shape[:-2], *shape), np.float32))
            whole[..., rows, :] = value
    counts = np.bincount(owner) * predictions
    means = _document_means(sums[0], counts)
    return {**per_token, **means, "document_tokens": counts, "max_logit": np.max(peaks, axis=0)}


def _block(statistics_of: Callable, rows: np.ndarray, size: int) -> Statistics:
    """The statistics of these windows [b], the call being padded to `size` of them."""
    padded = np.concatenate([rows, np.repeat(rows[:1], size - len(rows))])
    return jax.tree.map(lambda x: np.asarray(x)[..., : len(rows), :], statistics_of(padded))


def _by_document(block: Statistics, member: Float[np.ndarray, "b G"]) -> Statistics:
    """Sums over the tokens of each document, float64: [...,b,P] -> [...,G]."""
    return jax.tree.map(lambda x: x.sum(-1, dtype=np.float64) @ member, block)


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
