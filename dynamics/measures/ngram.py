"""n-gram language models over token ids, as a reference for a network's loss.

Interpolated Kneser-Ney with one absolute discount per order (Chen & Goodman 1999, "An empirical
study of smoothing techniques for language modeling", Computer Speech & Language 13, section 2.7;
Kneser & Ney 1995), and the add-one unigram (their section 2.1). Every distribution sums to 1 over
the vocabulary, so that its cross-entropy compares with a network's, token for token.

Axes: V vocabulary, T tokens of one array, A tokens of all documents, N scored tokens, k tokens of a
context or length of a k-gram, N_k distinct k-grams. Log probabilities are in nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dynamics.errors import InputError


@dataclass(frozen=True, eq=False)
class Level:
    """The k-grams of one length k, as the children of their (k-1)-gram contexts in a trie.

    A k-gram's id is its rank among `keys`, where its key is (id of its first k-1 tokens) * V + its
    last token. A whole k-gram in one integer would overflow (50304^5 > 2^63); a parent's id is at
    most the corpus length, so that these keys never do.
    """

    keys: Int[np.ndarray, " N_k"]  # ascending
    counts: Int[np.ndarray, " N_k"]  # raw at the highest order, continuation counts below it
    totals: Float[np.ndarray, " N_parents"]  # sum of `counts` over a context's children
    followers: Int[np.ndarray, " N_parents"]  # number of a context's children, N1+(context .)
    discount: float

    def find(self, context: np.ndarray, token: np.ndarray, vocab_size: int) -> np.ndarray:
        """Ids [T] of the k-grams (context [T], token [T]).

        -1 for a k-gram that was never seen, or whose context is -1.
        """
        if not len(self.keys):
            return np.full(np.shape(token), -1)
        key = context * vocab_size + token
        rank = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where((context >= 0) & (self.keys[rank] == key), rank, -1)

    def interpolate(self, context: np.ndarray, child: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """Probabilities [T] at this order from those of the next lower order [T].

        p(w | h) = (max(c(hw) - D, 0) + D N1+(h .) p_lower(w | h')) / sum_w' c(hw'), with h' the
        context h without its first token (Chen & Goodman 1999, sections 2.6 and 2.7); p_lower where
        nothing ever followed h.

        Args:
            context: [T], ids of the contexts h at the level below.
            child: [T], ids of the k-grams hw at this level, -1 where never seen.
            lower: [T], p_lower.
        """
        seen = context >= 0
        seen[seen] = self.totals[context[seen]] > 0
        h, w = context[seen], child[seen]
        # Every stored count is at least 1 and D < 1, so that max(c - D, 0) is c - D for a stored
        # k-gram and 0 for any other.
        discounted = np.zeros(len(w))
        discounted[w >= 0] = self.counts[w[w >= 0]] - self.discount
        backed_off = self.discount * self.followers[h] * lower[seen]
        mixed = lower.copy()
        mixed[seen] = (discounted + backed_off) / self.totals[h]
        return mixed


@dataclass(frozen=True, eq=False)
class KneserNey:
    """A fitted interpolated Kneser-Ney model of order n; make one with `fit`."""

    vocab_size: int
    levels: tuple[Level, ...]  # of length 1 .. n

    @property
    def order(self) -> int:
        return len(self.levels)

    def log_probs(self, tokens: Int[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """ln p(token t | the min(t, n-1) tokens before it in this array), nats.

        Token t < n-1 has fewer than n-1 tokens before it. It is read from the order t+1 model that
        the recursion passes through, whose counts are continuation counts: token 0 from the
        unigram, token 1 from the bigram level.

        Raises:
            InputError: tokens that are not integers in [0, V).
        """
        tokens, position, _ = _laid_end_to_end([tokens], self.vocab_size)
        return self._log_probs(tokens, position)

    def distribution(self, context: Int[np.ndarray, " k"]) -> Float[np.ndarray, " V"]:
        """ln p(next token | context) for every next token, nats.

        Only the last n-1 tokens of the context matter.

        Raises:
            InputError: tokens that are not integers in [0, V).
        """
        context, _, _ = _laid_end_to_end([context], self.vocab_size)
        token = np.arange(self.vocab_size)
        p = np.full(self.vocab_size, 1 / self.vocab_size)
        for length, level in enumerate(self.levels[: len(context) + 1]):
            h = np.full(self.vocab_size, self._node(context[len(context) - length :]))
            p = level.interpolate(h, level.find(h, token, self.vocab_size), p)
        return np.log(p)

    def surprisal(
        self, documents: Sequence[Int[np.ndarray, " _"]], skip_first: bool = True
    ) -> tuple[Float[np.ndarray, " N"], Int[np.ndarray, " N"]]:
        """Surprisal of every scored token, nats, and the index of the document that it lies in.

        Its mean is the model's cross-entropy: `analysis.means.clustered_mean` of the two arrays
        gives it with a standard error that rests on documents.

        Args:
            documents: token ids of each.
            skip_first: leave out each document's first token, for which a network makes no
                prediction. It still serves as context.

        Raises:
            InputError: tokens out of range, or no token left to score.
        """
        tokens, position, document = _laid_end_to_end(documents, self.vocab_size)
        scored = position >= int(skip_first)
        if not scored.any():
            raise InputError(
                "documents without a token to score", expected="a document of two tokens or more"
            )
        return -self._log_probs(tokens, position)[scored], document[scored]

    def _log_probs(self, tokens: np.ndarray, position: np.ndarray) -> np.ndarray:
        p = np.full(len(tokens), 1 / self.vocab_size)
        node = np.zeros(len(tokens), np.int64)
        for length, level in enumerate(self.levels):
            context = _before(node, position, length)
            node = level.find(context, tokens, self.vocab_size)
            p = level.interpolate(context, node, p)
        return np.log(p)

    def _node(self, ngram: np.ndarray) -> int:
        """The id of an n-gram at its own level: -1 where never seen, 0 (the root) if empty."""
        node = np.zeros(1, np.int64)
        for level, token in zip(self.levels, ngram, strict=False):
            node = level.find(node, np.array([token]), self.vocab_size)
        return int(node[0])


def fit(documents: Sequence[Int[np.ndarray, " _"]], vocab_size: int, order: int) -> KneserNey:
    """Fits interpolated Kneser-Ney of any order n >= 1; n-grams never cross documents.

    The highest order has raw counts. A lower order has continuation counts: the number of distinct
    tokens seen before the k-gram, N1+(. w1..wk). The beginning of a document counts as one such
    token (as if a begin symbol, itself never predicted, preceded it), so that a k-gram that only
    ever opens documents still counts once. The unigram is interpolated with the uniform 1/V, so
    that every token has a positive probability. Memory is about 8 n bytes per token, and more for
    the tables.

    Args:
        documents: token ids of each.
        vocab_size: V.
        order: n, 1 for a unigram.

    Raises:
        InputError: order < 1, no token at all, or tokens that are not integers in [0, V).

    Example:
        >>> bigram = fit([np.array([0, 1, 0, 1, 0, 2])], vocab_size=3, order=2)
        >>> np.exp(bigram.distribution(np.array([0]))).round(3).tolist()  # what follows a 0
        [0.067, 0.633, 0.3]
    """
    if order < 1:
        raise InputError(f"order {order}", expected="1 (unigram) or more")
    tokens, position, _ = _laid_end_to_end(documents, vocab_size)
    if not len(tokens):
        raise InputError("documents without a token", expected="at least one token to count")
    nodes, keys = [np.zeros(len(tokens), np.int64)], []
    for length in range(order):
        context = _before(nodes[-1], position, length)
        whole = context >= 0
        node = np.full(len(tokens), -1)
        level_keys, node[whole] = np.unique(
            context[whole] * vocab_size + tokens[whole], return_inverse=True
        )
        keys.append(level_keys)
        nodes.append(node)
    sizes = [1, *map(len, keys)]
    counts = [
        _continuations(nodes[k], nodes[k + 1], position == k - 1, sizes[k]) for k in range(1, order)
    ]
    counts.append(np.bincount(nodes[order][nodes[order] >= 0], minlength=sizes[order]))
    levels = (_level(keys[k], counts[k], sizes[k], vocab_size) for k in range(order))
    return KneserNey(vocab_size, tuple(levels))


def add_one_unigram(
    documents: Sequence[Int[np.ndarray, " _"]], vocab_size: int
) -> Float[np.ndarray, " V"]:
    """ln((count + 1) / (A + V)) of every token, nats (Chen & Goodman 1999, section 2.1, delta = 1).

    Every token of every document counts, separators too.

    Raises:
        InputError: tokens that are not integers in [0, V).

    Example:
        >>> np.exp(add_one_unigram([np.array([0, 0, 1])], vocab_size=3)).round(3).tolist()
        [0.5, 0.333, 0.167]
    """
    tokens, _, _ = _laid_end_to_end(documents, vocab_size)
    counts = np.bincount(tokens, minlength=vocab_size)
    return np.log(counts + 1) - np.log(len(tokens) + vocab_size)


def _before(node: np.ndarray, position: np.ndarray, length: int) -> np.ndarray:
    """Ids of the `length`-grams that end right before each token; -1 across a document's start.

    `node` holds the ids of those that end at each token.
    """
    if length == 0:
        return np.zeros_like(node)
    return np.where(position >= length, np.roll(node, 1), -1)


def _continuations(
    node: np.ndarray, longer: np.ndarray, opens: np.ndarray, size: int
) -> np.ndarray:
    """N1+(. w1..wk) of each k-gram: the distinct (k+1)-grams that end in it, +1 if it opens one.

    Args:
        node: [A], id of the k-gram that ends at each token.
        longer: [A], id of the (k+1)-gram that ends there.
        opens: [A] bool, whether the k-gram opens a document.
        size: N_k.
    """
    whole = longer >= 0
    ending = np.zeros(longer.max(initial=-1) + 1, np.int64)  # k-gram at the end of each (k+1)-gram
    # Each (k+1)-gram is written many times, always with the same value.
    ending[longer[whole]] = node[whole]
    counts = np.bincount(ending, minlength=size)
    counts[np.unique(node[opens])] += 1
    return counts


def _level(keys: np.ndarray, counts: np.ndarray, num_contexts: int, vocab_size: int) -> Level:
    parents = keys // vocab_size
    totals = np.bincount(parents, weights=counts, minlength=num_contexts)
    return Level(
        keys, counts, totals, np.bincount(parents, minlength=num_contexts), _discount(counts)
    )


def _discount(counts: np.ndarray) -> float:
    """D = n1 / (n1 + 2 n2), Ney, Essen & Kneser 1994 (Chen & Goodman 1999, section 2.6).

    1/2 where no count is 1 or none is 2: the estimate would be 0 (and unseen tokens impossible), 1,
    or undefined.
    """
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else 0.5


def _laid_end_to_end(
    documents: Sequence[np.ndarray], vocab_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All tokens [A] as int64, each one's position in its document, and its document's index."""
    arrays = [np.asarray(document) for document in documents]
    for ids in arrays:
        if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
            raise InputError(
                f"tokens of shape {ids.shape} and type {ids.dtype}",
                expected="a 1-d array of integers",
            )
    lengths = np.array([len(ids) for ids in arrays], np.int64)
    tokens = np.concatenate([np.zeros(0, np.int64), *(ids.astype(np.int64) for ids in arrays)])
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocab_size:
        raise InputError(
            f"token ids from {tokens.min()} to {tokens.max()}",
            expected=f"ids in [0, {vocab_size})",
            mend="Take vocab_size from the tokenizer or model that made the tokens",
        )
    starts = np.cumsum(lengths) - lengths
    position = np.arange(len(tokens)) - np.repeat(starts, lengths)
    return tokens, position, np.repeat(np.arange(len(arrays)), lengths)
