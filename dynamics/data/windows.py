"""Token windows that remember their document: of one length, or every document with its prefixes.

`cut` gives windows of one length, and leaves out what is left of a document. `prefixes` leaves
nothing out: every token of every document is predicted once, from its whole prefix as far as a
model reads.

Axes: N windows, T tokens, P = T - 1 predictions of a window, M predictions of the text.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from dynamics.errors import InputError
from dynamics.inputs import check_vocabulary

__all__ = ["Prefixes", "Windows", "check_vocabulary", "cut", "prefixes"]


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


@dataclasses.dataclass(frozen=True)
class Prefixes:
    """Every token of documents with the tokens before it, in padded windows.

    Attributes:
        tokens: [N,T] int32, padded at the end with id 0.
        document: [N] int32, index into the documents; ascending.
        scored: [N,P] the predictions that count: of each document's tokens but its first each once.
        positions: the most tokens that a prediction is given.
        short: documents of under two tokens, which hold nothing to predict and are left out.
        long: documents of more than `positions` + 1 tokens. They go on in windows that overlap by
            half, so that each later token is given at least half of `positions`.
    """

    tokens: Int[np.ndarray, "N T"]
    document: Int[np.ndarray, " N"]
    scored: Bool[np.ndarray, "N P"]
    positions: int
    short: int
    long: int

    @property
    def num_documents(self) -> int:
        """Documents of which something is predicted."""
        return len(np.unique(self.document))

    @property
    def owners(self) -> Int[np.ndarray, " M"]:
        """[M] the document of every prediction."""
        return np.repeat(self.document, self.scored.sum(1))

    def pairs(self) -> Windows:
        """Every prediction as a window of two tokens: the last of its context, and its own."""
        last, own = self.tokens[:, :-1][self.scored], self.tokens[:, 1:][self.scored]
        return Windows(np.stack([last, own], axis=1), self.owners)


def prefixes(documents: Sequence[Int[np.ndarray, "..."]], positions: int) -> Prefixes:
    """Every token of every document with its prefix, at most `positions` tokens of it.

    Args:
        documents: the token ids of each, as from `tokenizer.encode`; of any lengths.
        positions: tokens that a model reads at once.

    Raises:
        InputError: fewer than two positions; no document of two tokens.

    Example:
        >>> import numpy as np
        >>> text = prefixes([np.arange(8), np.array([9]), np.array([10, 11, 12])], positions=4)
        >>> text.tokens.tolist()
        [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6], [4, 5, 6, 7, 0], [10, 11, 12, 0, 0]]
        >>> [window.astype(int).tolist() for window in text.scored[:3]]
        [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 0]]
        >>> text.short, text.long, text.pairs().tokens[:, 1].tolist()
        (1, 1, [1, 2, 3, 4, 5, 6, 7, 11, 12])
    """
    if positions < 2:
        raise InputError(f"prefixes of {positions} tokens", expected="2 or more")
    rows = [
        (index, begin, ids[begin : begin + positions + 1])
        for index, ids in enumerate(documents)
        if len(ids) > 1
        for begin in _begins(len(ids), positions)
    ]
    if not rows:
        raise InputError(
            f"{len(documents)} documents, all shorter than 2 tokens",
            expected="a document with a token to predict",
        )
    longest = max(len(ids) for _, _, ids in rows)
    tokens = np.zeros((len(rows), longest), np.int32)
    scored = np.zeros((len(rows), longest - 1), bool)
    for row, (_, begin, ids) in enumerate(rows):
        tokens[row, : len(ids)] = ids
        # What the window before it has predicted is context here.
        scored[row, positions - positions // 2 if begin else 0 : len(ids) - 1] = True
    return Prefixes(
        tokens=tokens,
        document=np.array([index for index, _, _ in rows], np.int32),
        scored=scored,
        positions=positions,
        short=sum(len(ids) < 2 for ids in documents),
        long=sum(len(ids) > positions + 1 for ids in documents),
    )


def _begins(length: int, positions: int) -> range:
    """Where the windows of a document begin; each predicts what no window before it has."""
    return range(0, max(length - 1 - (positions - positions // 2), 1), positions // 2)
