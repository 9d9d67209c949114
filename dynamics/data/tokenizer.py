"""Tokenizers: trained for the suites made here, or loaded from beside published weights.

Ours are byte-level BPE. Others are a tokenizer.json or, for BERTs without one, a vocab.txt of word
pieces.

Axes: T tokens of a document.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tokenizers
from jaxtyping import Int
from tokenizers import Tokenizer

from dynamics.data.corpus import Corpus
from dynamics.errors import InputError

SEPARATOR = "<|endoftext|>"  # stands before every document, as in Pythia's training data
MASK, MASK_ID = "<|mask|>", 1  # of the masked suites made here
# BERT's: before and after every text, and in place of a hidden token.
_FRAME, _BERT_MASK = ("[CLS]", "[SEP]"), "[MASK]"
_WORD_PIECES = ("[PAD]", "[UNK]", *_FRAME, _BERT_MASK)


def train(texts: Iterable[str], vocab_size: int, *, masks: bool = False) -> Tokenizer:
    """A byte-level BPE of exactly `vocab_size` ids; id 0 is the document separator, as in Pythia.

    With `masks`, id 1 is the mask token.

    Raises:
        InputError: a size below that of separator, mask and bytes; too little text for the size.

    Example:
        >>> bpe = train(["aaaa aaaa"], vocab_size=258)
        >>> bpe.encode("aaa").tokens, bpe.token_to_id(SEPARATOR)
        (['aa', 'a'], 0)
    """
    special = [SEPARATOR, MASK] if masks else [SEPARATOR]
    if vocab_size < 256 + len(special):
        marks = "the separator, the mask" if masks else "the separator"
        raise InputError(
            f"a vocabulary of {vocab_size}",
            expected=f"at least {256 + len(special)} ids: {marks} and every byte",
        )
    tokenizer = Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != vocab_size:
        raise InputError(
            f"text that yields {tokenizer.get_vocab_size()} BPE tokens",
            expected=f"enough text for {vocab_size}",
        )
    return tokenizer


def load(folder: str | Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder: tokenizer.json, else BERT's vocab.txt.

    It neither truncates nor pads, whatever the file asks for.

    Raises:
        InputError: both files are missing, or the one that is read is damaged.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     train(["aaaa aaaa"], vocab_size=258).save(f"{folder}/tokenizer.json")
        ...     bpe = load(folder)
        >>> bpe.get_vocab_size()
        258
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file() and (Path(folder) / "vocab.txt").is_file():
        return _word_pieces(Path(folder))
    if not path.is_file():
        raise InputError(
            f"{folder} without tokenizer.json",
            expected="the suite's own tokenizer beside the weights (or vocab.txt, of a BERT)",
            mend="Copy it there; every Pythia checkpoint shares one.",
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(f"{path}, unreadable: {error}", expected="a tokenizer.json") from error
    # A file may ask for every text to be cut to the model's positions.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer: Tokenizer, corpus: Corpus) -> list[Int[np.ndarray, " T"]]:
    """Token ids of every document, int32, each headed by the id that `separator` gives.

    Raises:
        InputError: a tokenizer without a token that heads a document.

    Example:
        >>> from dynamics.data.corpus import Corpus, Document
        >>> toy = Corpus("toy", (Document("0", "text", "aaa"), Document("1", "text", "")))
        >>> [len(ids) for ids in encode(train(["aaaa aaaa"], vocab_size=258), toy)]
        [3, 1]
    """
    head = separator(tokenizer)
    encodings = tokenizer.encode_batch_fast(
        [d.text for d in corpus.documents], add_special_tokens=False
    )
    return [np.asarray([head, *encoding.ids], np.int32) for encoding in encodings]


def separator(tokenizer: Tokenizer) -> int:
    """The id that stands before a document: GPT-NeoX's <|endoftext|> or BERT's [CLS].

    Raises:
        InputError: a tokenizer with neither.
    """
    return _id_of(tokenizer, (SEPARATOR, _FRAME[0]), "a token that heads a document")


def mask(tokenizer: Tokenizer) -> int:
    """The id that stands for a hidden token. Raises InputError."""
    return _id_of(
        tokenizer,
        (_BERT_MASK, MASK),
        "a token that stands for a hidden token, as every masked LM has",
    )


def frame(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that a model expects before and after every text: BERT's [CLS] and [SEP], or none."""
    before, after = (tokenizer.token_to_id(name) for name in _FRAME)
    return ((), ()) if before is None or after is None else ((before,), (after,))


def piece(tokenizer: Tokenizer, token: int) -> str:
    """A token as text.

    Bytes that are no UTF-8 by themselves show as replacement characters, a NUL as its picture.
    """
    return tokenizer.decode([token], skip_special_tokens=False).replace("\0", "\u2400")


def _id_of(tokenizer: Tokenizer, names: tuple[str, ...], expected: str) -> int:
    for name in names:
        if (index := tokenizer.token_to_id(name)) is not None:
            return index
    raise InputError(f"a tokenizer without {' or '.join(names)}", expected=expected)


def _word_pieces(folder: Path) -> Tokenizer:
    """BERT's tokenizer from vocab.txt, in lower case unless tokenizer_config.json denies it."""
    path = folder / "vocab.txt"
    try:
        model = tokenizers.models.WordPiece.from_file(str(path), unk_token="[UNK]")
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(
            f"{path}, unreadable: {error}", expected="a word piece on every line"
        ) from error
    tokenizer = Tokenizer(model)
    missing = [name for name in _WORD_PIECES if tokenizer.token_to_id(name) is None]
    if missing:
        raise InputError(f"{path} without {', '.join(missing)}", expected="a BERT's word pieces")
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(**_normalizer_config(folder))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(list(_WORD_PIECES))
    return tokenizer


def _normalizer_config(folder: Path) -> dict[str, bool | None]:
    path = folder / "tokenizer_config.json"
    arguments = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "handle_chinese_chars",
    }
    try:
        stored = json.loads(path.read_bytes()) if path.is_file() else {}
        fields = {arguments[name]: stored[name] for name in stored.keys() & arguments.keys()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}, unreadable: {error}", expected="a JSON object") from error
    if not all(value is None or isinstance(value, bool) for value in fields.values()):
        raise InputError(f"{path} with {fields}", expected="true or false for each")
    return {"lowercase": True, **fields}
