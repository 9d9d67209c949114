"""What has to be looked up to read a tokenised model byte by byte: a trie of the vocabulary along
given texts.

It depends on the tokenizer and the texts alone, so that one plan serves every checkpoint that
shares them.

Axes: G texts, N bytes of a text (the longest; shorter ones are padded), V vocabulary, R rows that
the model reads, T tokens of a row, U nodes of the trie that the texts reach (the last is none, and
has no tokens), K nodes on the longest path from the root (bytes read since the last boundary, 0 to
K-1), E pairs of a token and a node that it passes.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dynamics.errors import InputError


class ByteLookup(NamedTuple):
    """Arrays for `next_byte`. Context m of a text is what the model reads after its first m bytes,
    m = 0 .. N-1."""

    rows: np.ndarray  # [R,T] int32 token ids; no context is another's prefix in a row of its own
    row: np.ndarray  # [G,N] int32, the row that context m lies in
    place: np.ndarray  # [G,N] int32, and where in it
    ahead: (
        np.ndarray
    )  # [G,N,K] int32, the node of the k bytes that follow the first m; U-1 where no token has them
    child: np.ndarray  # [U,256] int32, the node one byte further; U-1 where no token has it
    through: tuple[
        np.ndarray, np.ndarray
    ]  # [E] int32 each: token, node that it passes or ends at; nodes ascending
    ending: tuple[
        np.ndarray, np.ndarray
    ]  # int32 each: token, node that it ends at; nodes ascending
    silent: np.ndarray  # int32, the ids that spell nothing
    canonical: np.ndarray  # [G,N,K] bool: do the k bytes after the first m, as one token, keep the encoding the own one?
    valid: np.ndarray  # [G,N] bool, m < the text's length


@dataclasses.dataclass
class _Trie:
    """Nodes of the vocabulary's byte strings; node 0 is the root."""

    children: list[dict[int, int]]
    through: list[list[int]]  # tokens that pass each node or end there
    ending: list[list[int]]

    def walk(self, text: bytes) -> list[int]:
        """Nodes along `text` from the root, the root first, as far as any token goes."""
        nodes = [0]
        for byte in text:
            if (following := self.children[nodes[-1]].get(byte)) is None:
                break
            nodes.append(following)
        return nodes


def _trie(words: Sequence[bytes | None]) -> _Trie:
    trie = _Trie([{}], [[]], [[]])
    for token, word in enumerate(words):
        if not word:
            continue
        node = 0
        trie.through[0].append(token)
        for byte in word:
            if byte not in trie.children[node]:
                trie.children[node][byte] = len(trie.children)
                trie.children.append({})
                trie.through.append([])
                trie.ending.append([])
            node = trie.children[node][byte]
            trie.through[node].append(token)
        trie.ending[node].append(token)
    return trie


def build(
    texts: Sequence[bytes],
    encodings: Sequence[Sequence[Sequence[int]]],
    words: Sequence[bytes | None],
    before: Sequence[int],
) -> ByteLookup:
    """The plan of `texts`.

    Args:
        texts: G byte strings, none empty.
        encodings: of every text the ids of its prefixes of 0, 1, ... bytes
            (`data.spelling.encode_prefixes`).
        words: what every id spells, None for nothing (`data.spelling.spelled`), [V].
        before: ids that stand before every text, one at least: the separator.

    Raises:
        InputError: no text, an empty one, nothing before it, or fewer encodings than prefixes.
    """
    if not texts or not all(texts):
        raise InputError(
            f"{len(texts)} texts, some of no bytes", expected="one or more, none empty"
        )
    if not before:
        raise InputError(
            "nothing before the text",
            expected="the separator, for a model to read before the first byte",
        )
    if any(len(one) < len(text) for one, text in zip(encodings, texts, strict=True)):
        raise InputError(
            "fewer encodings than prefixes", expected="one for every prefix, the empty one first"
        )
    trie, most = _trie(words), max(map(len, texts))
    paths = [[trie.walk(text[m:]) for m in range(len(text))] for text in texts]
    longest = max(len(path) for text in paths for path in text)
    reached = {node: 0 for text in paths for path in text for node in path}
    reached |= {
        following: 0 for node in list(reached) for following in trie.children[node].values()
    }
    index = {node: new for new, node in enumerate(sorted(reached))}
    none = len(index)
    ahead = np.full((len(texts), most, longest), none, np.int32)
    for g, text in enumerate(paths):
        for m, path in enumerate(text):
            ahead[g, m, : len(path)] = [index[node] for node in path]
    child = np.full((none + 1, 256), none, np.int32)
    for node, new in index.items():
        for byte, following in trie.children[node].items():
            child[new, byte] = index.get(following, none)
    rows, row, place = _rows(encodings, list(before), [len(text) for text in texts], most)
    return ByteLookup(
        rows=rows,
        row=row,
        place=place,
        ahead=ahead,
        child=child,
        through=_pairs(trie.through, index),
        ending=_pairs(trie.ending, index),
        silent=np.array([token for token, word in enumerate(words) if not word], np.int32),
        canonical=_canonical(encodings, texts, most, longest),
        valid=np.arange(most)[None] < np.array([len(text) for text in texts])[:, None],
    )


def _pairs(tokens: list[list[int]], index: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    chosen = [(token, new) for node, new in index.items() for token in tokens[node]]
    pairs = np.array(chosen, np.int32).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def _rows(encodings, before: list[int], lengths: list[int], most: int):
    """Contexts laid into as few rows as there are contexts that no other one goes on from."""
    contexts = {
        tuple(before + list(ids))
        for one, n in zip(encodings, lengths, strict=True)
        for ids in one[:n]
    }
    kept: list[tuple[int, ...]] = []
    home: dict[tuple[int, ...], int] = {}
    for context in sorted(contexts, reverse=True):  # what goes on from a context comes before it
        if not kept or kept[-1][: len(context)] != context:
            kept.append(context)
        home[context] = len(kept) - 1
    rows = np.zeros((len(kept), max(map(len, kept))), np.int32)
    for r, ids in enumerate(kept):
        rows[r, : len(ids)] = ids
    row, place = np.zeros((2, len(encodings), most), np.int32)
    for g, (one, n) in enumerate(zip(encodings, lengths, strict=True)):
        row[g, :n] = [home[tuple(before + list(ids))] for ids in one[:n]]
        place[g, :n] = [len(before) + len(ids) - 1 for ids in one[:n]]
    return rows, row, place


def _canonical(encodings, texts: Sequence[bytes], most: int, longest: int) -> np.ndarray:
    found = np.full((len(texts), most, longest), -1, np.int32)
    for g, (one, text) in enumerate(zip(encodings, texts, strict=True)):
        by_ids = {tuple(ids): m for m, ids in enumerate(one[: len(text)])}
        for end, ids in enumerate(one[: len(text)]):
            start = by_ids.get(tuple(ids[:-1])) if ids else None
            if start is not None and end - start < longest:
                found[g, start, end - start] = ids[-1]
    return found
