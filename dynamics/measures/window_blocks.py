"""Numbers of seeds over any number of windows, block by block: kept per token where they are few,
per document else.

Axes: S seeds, B windows, P predictions of a window, G documents.
"""

from collections.abc import Callable

import numpy as np


def collect(
    numbers_of: Callable, size: int, shape: tuple[int, int], documents=None, full: bool = False
) -> dict:
    """All that `divergence.seed_divergence` returns, of what `divergence.statistics` says of each
    block.

    Args:
        numbers_of: (indices of windows [size]) -> name -> [S,size,P], or [S,S,size,P] for names in
            "_pairs"; asked for blocks of one size alone, so that it compiles once.
        size: windows of a block.
        shape: (B, P).
        documents: [B] int, the document of each window; default each its own.
        full: keep the pairs' numbers of every token too.
    """
    windows, predictions = shape
    size = min(size, windows)
    names, owner = np.unique(
        np.arange(windows) if documents is None else documents, return_inverse=True
    )
    kept, sums, max_logit = {}, {}, 0.0
    for begin in range(0, windows, size):
        rows = np.arange(begin, min(begin + size, windows))
        padded = np.concatenate([rows, np.repeat(rows[:1], size - len(rows))])
        numbers = {
            name: np.asarray(value)[..., : len(rows), :]
            for name, value in numbers_of(padded).items()
        }
        max_logit = np.maximum(max_logit, numbers.pop("max_logit").max((-2, -1)))
        member = np.equal.outer(owner[rows], np.arange(len(names))).astype(float)  # [rows,G]
        for name, value in numbers.items():
            sums[name] = sums.get(name, 0.0) + value.sum(-1, dtype=np.float64) @ member
        for name, value in _per_token(numbers, full).items():
            kept.setdefault(name, np.zeros((*value.shape[:-2], *shape), np.float32))[
                ..., rows, :
            ] = value
    counts = np.bincount(owner) * predictions
    means = {
        f"{name.removesuffix('_pairs')}_documents": value / counts for name, value in sums.items()
    }
    return {**kept, **means, "document_tokens": counts, "max_logit": max_logit}


def _per_token(numbers: dict, full: bool) -> dict:
    """What of a block's numbers is kept for every token: surprisal, and means over ordered pairs of
    different seeds."""
    pairs = {name: value for name, value in numbers.items() if name.endswith("_pairs")}
    means = {
        name.removesuffix("_pairs"): v.sum((0, 1)) / (len(v) ** 2 - len(v))
        for name, v in pairs.items()
    }
    return {**means, "surprisal": numbers["surprisal"], **(pairs if full else {})}
