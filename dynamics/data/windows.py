"""Token windows of one length that remember their document.

Axes: N windows, T tokens.
"""

import dataclasses

import numpy as np

from dynamics.errors import InputError


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows cut out of documents, none across a boundary."""

    tokens: np.ndarray  # [N,T] int32
    document: np.ndarray  # [N] int32, index into the corpus' documents

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, count: int) -> "Windows":
        """`count` windows that spread over as many documents as possible: every document's first,
        then its second..."""
        turn = np.zeros(len(self), np.int64)  # which window of its document
        for document in np.unique(self.document):
            own = self.document == document
            turn[own] = np.arange(own.sum())
        chosen = np.sort(np.argsort(turn, kind="stable")[:count])
        return Windows(self.tokens[chosen], self.document[chosen])


def cut(documents: list[np.ndarray], length: int) -> Windows:
    """Contiguous windows of `length` tokens from each document's start; its rest is left out.
    Raises InputError."""
    if length < 1:
        raise InputError(f"windows of {length} tokens", expected="at least 1")
    rows, owners = [], []
    for index, ids in enumerate(documents):
        count = len(ids) // length
        rows.append(ids[: count * length].reshape(count, length))
        owners.append(np.full(count, index, np.int32))
    if not sum(map(len, rows)):
        raise InputError(
            f"{len(documents)} documents, all shorter than {length} tokens",
            expected="at least one window",
            mend="Use a shorter --context or a larger corpus.",
        )
    return Windows(np.concatenate(rows).astype(np.int32), np.concatenate(owners))


def check_vocabulary(tokens: np.ndarray, vocab_size: int):
    """Raises InputError if a token is out of the model's range: JAX would clip it in silence."""
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab_size:
        raise InputError(
            f"token ids from {low} to {high}",
            expected=f"0 to {vocab_size - 1}, the model's vocabulary",
            mend="Is this the suite's own tokenizer?",
        )
