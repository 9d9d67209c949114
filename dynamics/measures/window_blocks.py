"""Numbers of any number of windows, computed block by block and reduced on the host.

A block is a fixed number of windows that one call of a compiled pass takes. Numbers of single seeds
and means over pairs stay per token; numbers of every pair are averaged by document, so that memory
does not grow with S^2 tokens.

Axes: S seeds, B windows, b windows of a block, P predictions of a window, G documents.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Int


def collect(
    numbers_of: Callable[[np.ndarray], Mapping],
    size: int,
    shape: tuple[int, int],
    documents: Int[np.ndarray, " B"] | None = None,
    full: bool = False,
) -> dict[str, np.ndarray]:
    """Everything that `divergence.seed_divergence` returns, from the numbers of each block.

    Args:
        numbers_of: maps indices of windows [b] to arrays by name: [S,b,P], or [S,S,b,P] for names
            that end in "_pairs", with the names of `divergence.statistics`. It is called with b =
            `size` only, so that it compiles once.
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
    per_token, sums, peaks = {}, {}, []
    for begin in range(0, windows, size):
        rows = np.arange(begin, min(begin + size, windows))
        padded = np.concatenate([rows, np.repeat(rows[:1], size - len(rows))])
        numbers = {
            name: np.asarray(value)[..., : len(rows), :]
            for name, value in numbers_of(padded).items()
        }
        peaks.append(numbers.pop("max_logit").max((-2, -1)))
        member = np.equal.outer(owner[rows], np.arange(len(names))).astype(float)  # [b,G]
        for name, value in numbers.items():
            sums[name] = sums.get(name, 0.0) + value.sum(-1, dtype=np.float64) @ member
        for name, value in _per_token(numbers, full).items():
            whole = per_token.setdefault(name, np.zeros((*value.shape[:-2], *shape), np.float32))
            whole[..., rows, :] = value
    counts = np.bincount(owner) * predictions
    means = {
        f"{name.removesuffix('_pairs')}_documents": value / counts for name, value in sums.items()
    }
    return {**per_token, **means, "document_tokens": counts, "max_logit": np.max(peaks, axis=0)}


def _per_token(numbers: dict[str, np.ndarray], full: bool) -> dict[str, np.ndarray]:
    """The numbers that stay per token: surprisal, and means over ordered pairs i != j."""
    pairs = {name: value for name, value in numbers.items() if name.endswith("_pairs")}
    means = {
        name.removesuffix("_pairs"): value.sum((0, 1)) / (len(value) ** 2 - len(value))
        for name, value in pairs.items()
    }
    return {**means, "surprisal": numbers["surprisal"], **(pairs if full else {})}
