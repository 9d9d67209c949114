"""Token windows of one length that remember their document.

Axes: N windows, T tokens.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from dynamics.errors import InputError
from dynamics.inputs import check_vocabulary

__all__ = ["Windows", "check_vocabulary", "cut"]


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows cut out of documents, none across a boundary."""

    tokens: Int[np.ndarray, "N T"]  # int32
    document: Int[np.ndarray, " N"]  # int32, index into the corpus' documents

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, count: int) -> "Windows":
        """At most `count` windows, spread over as many documents as possible, in their order.

        They are every document's first window, then its second, and so on. Raises InputError for a
        number below 0.
        """
        if count < 0:
            raise InputError(f"{count} windows", expected="0 or more")
        rank = np.zeros(len(self), np.int64)  # of a window within its document
        for document in np.unique(self.document):
            own = self.document == document
            rank[own] = np.arange(own.sum())
        index = np.sort(np.argsort(rank, kind="stable")[:count])
        return Windows(self.tokens[index], self.document[index])


def cut(documents: Sequence[Int[np.ndarray, "..."]], length: int) -> Windows:
    """Contiguous windows of `length` tokens from each document's start; its rest is left out.

    Args:
        documents: the token ids of each, as from `tokenizer.encode`; of any lengths.
        length: T.

    Raises:
        InputError: a length below 1; no document of `length` tokens.

    Example:
        >>> import numpy as np
        >>> windows = cut([np.arange(5), np.arange(10, 13)], length=2)
        >>> windows.tokens.tolist(), windows.document.tolist()
        ([[0, 1], [2, 3], [10, 11]], [0, 0, 1])
        >>> windows.take(2).tokens.tolist()
        [[0, 1], [10, 11]]
    """
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
