"""Short texts that are scored whole, and their last words: LAMBADA's form, or lines of plain text.

Axes: N passages, T tokens.

LAMBADA (Paperno et al. 2016) asks for the last word of a passage that only the whole passage
foretells. As its files are published, each line of a .jsonl file is an object with a "text" field;
in a plain text file each line is a passage.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer

from dynamics import inputs
from dynamics.data import corpus, tokenizer
from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError

_MOST_BYTES = 1 << 28  # a hundred times LAMBADA
_JSON = (".jsonl", ".ndjson", ".json")


class Passages(NamedTuple):
    """Encoded passages, each headed by the document separator.

    Attributes:
        tokens: [N,T] int32, padded at the end with the separator.
        lengths: [N] tokens of each, the separator among them.
        last_word: [N] the place at which the last word begins; None where it was not asked for.
        num_cut: how many lost their beginning, being longer than what was allowed.
    """

    tokens: Int[np.ndarray, "N T"]
    lengths: Int[np.ndarray, " N"]
    last_word: Int[np.ndarray, " N"] | None
    num_cut: int


def read(path: str | Path) -> Corpus:
    """Passages of a file: of JSON as `corpus.read` has it, or one on each line that is not blank.

    The name's ending decides, after a .gz.

    Raises:
        InputError: as `corpus.read` does; a file without passages.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "passages.txt"
        ...     _ = path.write_text("He said no.\\n\\nShe said yes.\\n")
        ...     passages = read(path)
        >>> [(passage.name, passage.text) for passage in passages.documents]
        [('passages.txt#1', 'He said no.'), ('passages.txt#3', 'She said yes.')]
    """
    path = Path(path)
    if path.is_dir() or path.name.lower().removesuffix(".gz").endswith(_JSON):
        return corpus.read(path)
    if not path.exists():
        raise InputError(
            f"the passages {path}, which do not exist", expected="a text or jsonl file"
        )
    name = inputs.utf8_name(path.name)
    lines = inputs.read_text(path, _MOST_BYTES, "a passage on each line").split("\n")
    passages = [
        Document(f"{name}#{number}", "text", line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not passages:
        raise InputError(f"{path} without text", expected="at least one passage")
    return Corpus(name, tuple(passages))


def encode(bpe: Tokenizer, passages: Corpus, most: int, *, last_word: bool = False) -> Passages:
    """Token ids of every passage, in rows of one length.

    A passage of more than `most` tokens loses its beginning. With `last_word` a passage and its
    last word, with the blank before it, are encoded apart, so that no token is of both.

    Raises:
        InputError: a passage without text or, with `last_word`, of a single word; a last word that
            is too long; a tokenizer without a token to begin with.

    Example:
        >>> bpe = tokenizer.train(["aaaa aaaa"], vocab_size=258)
        >>> toy = Corpus("toy", (Document("0", "text", "aa aa"), Document("1", "text", "a b")))
        >>> encoded = encode(bpe, toy, most=9, last_word=True)
        >>> encoded.lengths.tolist(), encoded.last_word.tolist()
        ([4, 4], [2, 2])
    """
    head = tokenizer.separator(bpe)
    halves = [_halves(passage, last_word) for passage in passages.documents]
    before, after = (tokenizer.encode_texts(bpe, texts) for texts in zip(*halves, strict=True))
    rows, begins, num_cut = [], [], 0
    for document, first, last in zip(passages.documents, before, after, strict=True):
        ids = [head, *first.ids, *last.ids]
        shortened = ids[-most:]
        num_cut += len(ids) > most
        if len(last.ids) >= len(shortened):
            raise InputError(
                f"{document.name} whose last word has {len(last.ids)} tokens",
                expected=f"fewer than {most}",
            )
        rows.append(shortened)
        begins.append(len(shortened) - len(last.ids))
    lengths = np.array([len(row) for row in rows])
    tokens = np.full((len(rows), lengths.max()), head, np.int32)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = ids
    return Passages(tokens, lengths, np.array(begins) if last_word else None, num_cut)


def _halves(passage: Document, last_word: bool) -> tuple[str, str]:
    """(what comes before, the last word with the blank before it); ("all", "") without."""
    text = passage.text.strip()
    if not text:
        raise InputError(f"{passage.name} without text", expected="a passage")
    if not last_word:
        return text, ""
    parts = text.rsplit(maxsplit=1)
    if len(parts) < 2:
        raise InputError(
            f"{passage.name} of a single word",
            expected="words before the last one, which is scored",
            mend="Leave the last word out with --nolast_word.",
        )
    return parts[0], " " + parts[1]
