"""Lookup tables to read a model of tokens byte by byte, for one tokenizer and some texts.

The tables hold the part of the vocabulary's trie that the texts reach, and the token contexts that
the model has to read. They depend on the tokenizer and the texts alone, so that the same tables
serve every checkpoint that shares both.

Axes: G texts, N bytes of a text (the longest; shorter ones are padded), V vocabulary, R rows that
the model reads, T tokens of a row, U nodes of the trie that the texts reach (the last stands for no
node and has no tokens), K nodes on the longest path from the root (bytes read since the last
boundary, 0 to K-1), F pairs of a token and a node on its path, L pairs of a token and the node that
it ends at, Z ids that spell nothing.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from dynamics.errors import InputError


class ByteLookup(NamedTuple):
    """Arrays for `next_byte`; make them with `build`.

    Context m of a text is what the model reads after the text's first m bytes, m = 0 .. N-1.
    """

    rows: Int32[np.ndarray, "R T"]  # token ids; a context that begins another one shares its row
    row: Int32[np.ndarray, "G N"]  # the row that context m lies in
    place: Int32[np.ndarray, "G N"]  # the position of its last token in that row
    # The node of the k bytes that follow the first m; U-1 where no token begins with them.
    ahead: Int32[np.ndarray, "G N K"]
    child: Int32[np.ndarray, "U 256"]  # the node one byte further; U-1 where no token has it
    # Tokens, and the node that each passes or ends at; nodes ascending.
    through: tuple[Int32[np.ndarray, " F"], Int32[np.ndarray, " F"]]
    # Tokens, and the node that each ends at; nodes ascending.
    ending: tuple[Int32[np.ndarray, " L"], Int32[np.ndarray, " L"]]
    silent: Int32[np.ndarray, " Z"]  # ids that spell nothing
    # The token that spells the k bytes after the first m and leads from the tokenizer's own
    # encoding of m bytes to that of m + k < N bytes; -1 where there is none.
    canonical: Int32[np.ndarray, "G N K"]
    valid: Bool[np.ndarray, "G N"]  # m < the text's length


def build(
    texts: Sequence[bytes],
    encodings: Sequence[Sequence[Sequence[int]]],
    words: Sequence[bytes | None],
    before: Sequence[int],
) -> ByteLookup:
    """The lookup tables of `texts`.

    Args:
        texts: G byte strings, none empty.
        encodings: for each text, the token ids of its prefixes of 0, 1, ... bytes
            (`data.spelling.encode_prefixes`).
        words: [V], the bytes that each id spells, None for nothing (`data.spelling.token_bytes`).
        before: the ids that stand before every text, at least one: the separator.

    Raises:
        InputError: no text, an empty one, nothing before it, or fewer encodings than prefixes.

    Example:
        >>> words = [None, b"a", b"b", b"ab"]  # id 0 is the separator
        >>> lookup = build([b"aba"], [[[], [1], [3], [3, 1]]], words, before=[0])
        >>> lookup.rows.tolist()  # the model reads "ab" and, in another row, "a"
        [[0, 3], [0, 1]]
        >>> lookup.canonical[0, 0].tolist()  # after no byte: "a" is token 1, "ab" token 3
        [-1, 1, 3]
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
    if any(len(prefixes) < len(text) for prefixes, text in zip(encodings, texts, strict=True)):
        raise InputError(
            "fewer encodings than prefixes", expected="one for every prefix, the empty one first"
        )
    trie, lengths = _trie(words), [len(text) for text in texts]
    longest = max(lengths)
    paths = [[trie.walk(text[m:]) for m in range(len(text))] for text in texts]
    depth = max(len(path) for of_text in paths for path in of_text)
    index = _renumbered(trie, paths)
    rows, row, place = _rows(encodings, list(before), lengths)
    return ByteLookup(
        rows=rows,
        row=row,
        place=place,
        ahead=_ahead(paths, index, longest, depth),
        child=_children(trie, index),
        through=_token_nodes(trie.through, index),
        ending=_token_nodes(trie.ending, index),
        silent=np.array([token for token, word in enumerate(words) if not word], np.int32),
        canonical=_canonical(encodings, lengths, depth),
        valid=np.arange(longest)[None] < np.array(lengths)[:, None],
    )


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


def _renumbered(trie: _Trie, paths: list[list[list[int]]]) -> dict[int, int]:
    """Nodes on the paths and their children, to 0 .. U-2 in the trie's order."""
    reached = {node for of_text in paths for path in of_text for node in path}
    reached |= {following for node in reached for following in trie.children[node].values()}
    return {node: new for new, node in enumerate(sorted(reached))}


def _ahead(paths, index: dict[int, int], longest: int, depth: int) -> np.ndarray:
    ahead = np.full((len(paths), longest, depth), len(index), np.int32)
    for g, of_text in enumerate(paths):
        for m, path in enumerate(of_text):
            ahead[g, m, : len(path)] = [index[node] for node in path]
    return ahead


def _children(trie: _Trie, index: dict[int, int]) -> np.ndarray:
    absent = len(index)
    child = np.full((absent + 1, 256), absent, np.int32)
    for node, new in index.items():
        for byte, following in trie.children[node].items():
            child[new, byte] = index.get(following, absent)
    return child


def _token_nodes(tokens: list[list[int]], index: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of every indexed node, and the node's new number; nodes ascending."""
    pairs = [(token, new) for node, new in index.items() for token in tokens[node]]
    columns = np.array(pairs, np.int32).reshape(-1, 2)
    return columns[:, 0].copy(), columns[:, 1].copy()


def _rows(encodings, before: list[int], lengths: list[int]):
    """(rows [R,T], row [G,N], place [G,N]): contexts in as few rows as possible.

    A causal model reads a context on the way to any longer one, so that a context needs a row of
    its own only where no other context continues it.
    """
    contexts = {
        tuple(before + list(ids))
        for prefixes, length in zip(encodings, lengths, strict=True)
        for ids in prefixes[:length]
    }
    own: list[tuple[int, ...]] = []  # contexts with a row of their own
    home: dict[tuple[int, ...], int] = {}
    # In descending order the contexts that continue a context come right before it.
    for context in sorted(contexts, reverse=True):
        if not own or own[-1][: len(context)] != context:
            own.append(context)
        home[context] = len(own) - 1
    rows = np.zeros((len(own), max(map(len, own))), np.int32)
    for r, ids in enumerate(own):
        rows[r, : len(ids)] = ids
    row, place = np.zeros((2, len(encodings), max(lengths)), np.int32)
    for g, (prefixes, length) in enumerate(zip(encodings, lengths, strict=True)):
        row[g, :length] = [home[tuple(before + list(ids))] for ids in prefixes[:length]]
        place[g, :length] = [len(before) + len(ids) - 1 for ids in prefixes[:length]]
    return rows, row, place


def _canonical(encodings, lengths: list[int], depth: int) -> np.ndarray:
    """`ByteLookup.canonical`: prefixes whose encoding is another prefix's and one token more."""
    canonical = np.full((len(lengths), max(lengths), depth), -1, np.int32)
    for g, (prefixes, length) in enumerate(zip(encodings, lengths, strict=True)):
        by_ids = {tuple(ids): m for m, ids in enumerate(prefixes[:length])}
        for end, ids in enumerate(prefixes[:length]):
            start = by_ids.get(tuple(ids[:-1])) if ids else None
            if start is not None and end - start < depth:
                canonical[g, start, end - start] = ids[-1]
    return canonical
