"""Windows of text by bytes, the same for models of every tokenizer.

Axes: N windows.
"""

import unicodedata

import numpy as np

from dynamics.data.corpus import Corpus
from dynamics.errors import InputError


def cut(corpus: Corpus, length: int, count: int) -> tuple[list[bytes], np.ndarray]:
    """At most `count` windows of `length` bytes, or up to three fewer to end with a character:
    texts, documents [N].

    Contiguous from each document's start, its rest left out, and spread over as many documents as
    possible: every document's first, then its second... Text is in Unicode's composed form (NFC),
    to which tokenizers bring it anyway. Raises InputError where no document is long enough.
    """
    if length < 4:
        raise InputError(
            f"windows of {length} bytes", expected="4 or more: some characters have four"
        )
    found = [
        (turn, index, window)
        for index, d in enumerate(corpus.documents)
        for turn, window in _windows(d, length)
    ]
    if not found:
        raise InputError(
            f"{len(corpus.documents)} documents, all shorter than {length} bytes",
            expected="at least one window",
            mend="Use a shorter --byte_length or a larger corpus.",
        )
    chosen = sorted(
        sorted(found, key=lambda one: one[:2])[:count], key=lambda one: (one[1], one[0])
    )
    return [window for *_, window in chosen], np.array([index for _, index, _ in chosen], np.int32)


def _windows(document, length: int) -> list[tuple[int, bytes]]:
    text, start, found = unicodedata.normalize("NFC", document.text).encode(), 0, []
    while start + length <= len(text):
        end = start + length
        while end < len(text) and text[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        found.append((len(found), text[start:end]))
        start = end
    return found
