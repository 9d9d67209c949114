"""The bytes that the ids of a byte-level BPE spell, and the encoding of every prefix of a text.

Axes: V vocabulary, N bytes of a text.
"""

import json
from collections.abc import Sequence

from tokenizers import Tokenizer

from dynamics.data.tokenizer import encode_texts
from dynamics.errors import InputError

# A continuation byte; where any byte can complete a character, this one makes it no space.
_LAST = 0xBF
_UNKNOWN = "\ufffd"


def alphabet() -> dict[str, int]:
    """Character -> byte, in the alphabet that byte-level BPE writes its tokens in.

    Printable bytes stand for themselves. The others stand, in order, for the characters from U+0100
    on (Radford et al. 2019, section 2.2).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + k): byte for k, byte in enumerate(others)
    }


def token_bytes(tokenizer: Tokenizer, vocab_size: int) -> list[bytes | None]:
    """The bytes that every id spells, [V].

    None stands for ids that spell nothing: the separator, other special ids, and rows of a padded
    vocabulary that no token has.

    Raises:
        InputError: a tokenizer that is no byte-level BPE, or has ids beyond `vocab_size`.

    Example:
        >>> from dynamics.data import tokenizer
        >>> bpe = tokenizer.train(["aaaa"], 258)  # a separator, 256 bytes, one merge
        >>> spellings = token_bytes(bpe, 260)
        >>> spellings[0], spellings[bpe.token_to_id("a")], spellings[257:]
        (None, b'a', [b'aa', None, None])
    """
    check_byte_level(tokenizer)
    letters, added = alphabet(), tokenizer.get_added_tokens_decoder()
    spellings: list[bytes | None] = [None] * vocab_size
    for piece, index in tokenizer.get_vocab(with_added_tokens=True).items():
        if index >= vocab_size:
            raise InputError(
                f"the token {piece!r} with the id {index}",
                expected=f"ids below {vocab_size}, the model's vocabulary",
                mend="Is this the model's own tokenizer?",
            )
        if index in added:  # written as it is, not in the alphabet
            spellings[index] = None if added[index].special else added[index].content.encode()
        elif all(letter in letters for letter in piece):
            spellings[index] = bytes(letters[letter] for letter in piece)
        else:
            raise InputError(f"the token {piece!r}", expected="the alphabet of a byte-level BPE")
    return spellings


def check_byte_level(tokenizer: Tokenizer):
    """Raises InputError unless the tokenizer is a byte-level BPE, whose ids spell bytes."""
    parts = json.loads(tokenizer.to_str())
    steps = [parts["pre_tokenizer"] or {}]
    steps += steps[0].get("pretokenizers", [])
    kind = parts["model"].get("type")
    if kind != "BPE" or not any(step.get("type") == "ByteLevel" for step in steps):
        raise InputError(
            f"a tokenizer of the kind {kind} without bytes"
            if kind == "BPE"
            else f"a tokenizer of the kind {kind}",
            expected="a byte-level BPE, whose ids spell bytes",
            mend="Models of word pieces cannot be compared byte by byte.",
        )


def encode_prefixes(
    tokenizer: Tokenizer, text: bytes, spellings: Sequence[bytes | None]
) -> list[list[int]]:
    """The tokenizer's own encoding of text[:0], text[:1], ..., text[:N], without a separator.

    Where a prefix ends within a character, its pieces are those of the text with the character
    completed, and the last piece is encoded without the completing bytes.

    Args:
        tokenizer: a byte-level BPE.
        text: UTF-8.
        spellings: [V], as from `token_bytes`.

    Returns:
        N + 1 lists of ids.

    Raises:
        InputError: an encoding that does not spell its own prefix, from a tokenizer that normalises
            or adds a space and a text that it changes.

    Example:
        >>> from dynamics.data import tokenizer
        >>> bpe = tokenizer.train(["aaaa"], 258)
        >>> encodings = encode_prefixes(bpe, b"aaa", token_bytes(bpe, 258))
        >>> [bpe.decode_batch([[index] for index in ids]) for ids in encodings]
        [[], ['a'], ['aa'], ['aa', 'a']]
    """
    encodings = []
    ends = [_whole(text[:end]) for end in range(len(text) + 1)]
    whole = encode_texts(tokenizer, [text[:end].decode() for end in ends])
    for end, (character_end, encoding) in enumerate(zip(ends, whole, strict=True)):
        ids, tail = list(encoding.ids), text[character_end:end]
        if tail:
            ids = _within(tokenizer, text[:character_end].decode(), tail)
            if _spell(ids, spellings) != text[:end]:
                ids = [*encoding.ids, *(spellings.index(bytes([byte])) for byte in tail)]
        if _spell(ids, spellings) != text[:end]:
            raise InputError(
                f"a text whose bytes {text[max(0, end - 20) : end]!r} the tokenizer encodes as "
                "other bytes",
                expected="text that its encoding spells again",
                mend="Normalise the text to NFC; a tokenizer that adds a space before the text "
                "cannot be used.",
            )
        encodings.append(ids)
    return encodings


def _whole(prefix: bytes) -> int:
    """How many bytes of a prefix of UTF-8 are whole characters."""
    for back in range(1, min(3, len(prefix)) + 1):
        byte = prefix[-back]
        if byte >= 0xC0:
            length = 2 + (byte >= 0xE0) + (byte >= 0xF0)
            return len(prefix) - back if length > back else len(prefix)
        if byte < 0x80:
            break
    return len(prefix)


def _within(tokenizer: Tokenizer, text: str, tail: bytes) -> list[int]:
    """Ids of `text` and of the first bytes `tail` of one more character."""
    length = 2 + (tail[0] >= 0xE0) + (tail[0] >= 0xF0)
    try:
        character = (tail + bytes([_LAST] * (length - len(tail)))).decode()
    except UnicodeDecodeError:
        character = _UNKNOWN
    completed = text + character
    ids = encode_texts(tokenizer, [completed])[0].ids
    splitter = tokenizer.pre_tokenizer
    assert splitter is not None  # a byte-level tokenizer has one
    piece = splitter.pre_tokenize_str(completed)[-1][0]
    letters = {byte: letter for letter, byte in alphabet().items()}
    last = [token.id for token in tokenizer.model.tokenize(piece)]
    # Without the bytes that complete the character.
    shortened = piece[: -len(character.encode())] + "".join(letters[byte] for byte in tail)
    return ids[: len(ids) - len(last)] + [token.id for token in tokenizer.model.tokenize(shortened)]


def _spell(ids: Sequence[int], spellings: Sequence[bytes | None]) -> bytes:
    return b"".join(spellings[index] or b"" for index in ids)
