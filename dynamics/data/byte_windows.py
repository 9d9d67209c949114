"""Windows of text by bytes, the same for models of every tokenizer.

Axes: N windows.
"""

import unicodedata
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError


def cut(corpus: Corpus, length: int, count: int) -> tuple[list[bytes], Int[np.ndarray, " N"]]:
    """At most `count` windows of `length` bytes, and the document that each comes from.

    A window ends with a whole character, so it may be up to three bytes shorter. Windows are
    contiguous from each document's start; what is left at its end is dropped. They spread over as
    many documents as possible: every document's first window, then its second... Text is in
    Unicode's composed form (NFC), to which tokenizers bring it anyway.

    Raises:
        InputError: windows shorter than a character may be; no document of `length` bytes.

    Example:
        >>> from dynamics.data.corpus import Corpus, Document
        >>> documents = Document("a", "text", "abcdefgh"), Document("b", "text", "cafés")
        >>> texts, document = cut(Corpus("toy", documents), length=4, count=2)
        >>> texts, document.tolist()  # four bytes of "cafés" would end within its é
        ([b'abcd', b'caf'], [0, 1])
    """
    if length < 4:
        raise InputError(
            f"windows of {length} bytes", expected="4 or more: some characters have four"
        )
    windows = [
        (rank, index, window)
        for index, document in enumerate(corpus.documents)
        for rank, window in enumerate(_windows(document, length))
    ]
    if not windows:
        raise InputError(
            f"{len(corpus.documents)} documents, all shorter than {length} bytes",
            expected="at least one window",
            mend="Use a shorter --byte_length or a larger corpus.",
        )
    # By rank, then document: the first windows of all documents before any second one.
    taken = sorted(windows, key=lambda window: window[:2])[:count]
    taken.sort(key=lambda window: (window[1], window[0]))
    return [text for *_, text in taken], np.array([index for _, index, _ in taken], np.int32)


def _windows(document: Document, length: int) -> Iterator[bytes]:
    text, start = unicodedata.normalize("NFC", document.text).encode(), 0
    while start + length <= len(text):
        end = start + length
        while end < len(text) and text[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        yield text[start:end]
        start = end
