"""Tokenizers: trained for the suites made here, or loaded from beside published weights.

Ours are byte-level BPE. Others are a tokenizer.json or, for BERTs without one, a vocab.txt of word
pieces.

Plain text is plain text: where it spells a control token, such as "<|endoftext|>" or "[MASK]", it
is encoded as any other characters. Control tokens are put in by their ids.

Axes: T tokens of a document.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tokenizers
from jaxtyping import Int
from tokenizers import Encoding, Tokenizer

from dynamics import inputs
from dynamics.data.corpus import Corpus
from dynamics.errors import InputError

SEPARATOR = "<|endoftext|>"  # stands before every document, as in Pythia's training data
MASK, MASK_ID = "<|mask|>", 1  # of the masked suites made here
# BERT's: before and after every text, and in place of a hidden token.
_FRAME, _BERT_MASK = ("[CLS]", "[SEP]"), "[MASK]"
_MOST_BYTES = 1 << 28  # of a tokenizer's file; the largest published ones have 40 MB
_MOST_IDS = 1 << 20
_WORD_PIECES = ("[PAD]", "[UNK]", *_FRAME, _BERT_MASK)


def train(texts: Iterable[str], vocab_size: int, *, masks: bool = False) -> Tokenizer:
    """A byte-level BPE of exactly `vocab_size` ids; id 0 is the document separator, as in Pythia.

    With `masks`, id 1 is the mask token.

    Raises:
        InputError: a size below that of separator, mask and bytes, or above a million; too little
            text for the size.

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
    if vocab_size > _MOST_IDS:  # the trainer would take memory for all, and abort the process
        raise InputError(f"a vocabulary of {vocab_size}", expected=f"at most {_MOST_IDS} ids")
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
    content = inputs.read_bytes(path, _MOST_BYTES, "a tokenizer.json")
    with _refused(f"{path}, unreadable", "a tokenizer.json"):
        tokenizer = Tokenizer.from_buffer(content.removeprefix(b"\xef\xbb\xbf"))
    # A file may ask for every text to be cut to the model's positions.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(
    tokenizer: Tokenizer, corpus: Corpus, *, control_tokens: bool = False
) -> list[Int[np.ndarray, " T"]]:
    """Token ids of every document, int32, each headed by the id that `separator` gives.

    With `control_tokens` a text that spells a control token becomes it. A document that comes as
    ids keeps them, but for separators at its ends: one stands before it, none after it.

    Raises:
        InputError: a tokenizer without a token that heads a document, or that cannot encode.

    Example:
        >>> from dynamics.data.corpus import Corpus, Document
        >>> toy = Corpus("toy", (Document("0", "text", "aaa"), Document("1", "text", "")))
        >>> [len(ids) for ids in encode(train(["aaaa aaaa"], vocab_size=258), toy)]
        [3, 1]
    """
    head = separator(tokenizer)
    texts = [document.text for document in corpus.documents]
    encodings = encode_texts(tokenizer, texts, control_tokens=control_tokens)
    return [
        np.asarray([head, *encoding.ids], np.int32)
        if document.ids is None
        else _headed(document.ids, head)
        for document, encoding in zip(corpus.documents, encodings, strict=True)
    ]


def _headed(ids: Int[np.ndarray, " T"], head: int) -> Int[np.ndarray, " T"]:
    first, end = int(ids[:1].tolist() == [head]), len(ids) - int(ids[-1:].tolist() == [head])
    return np.concatenate([[head], ids[first:end]]).astype(np.int32)


def encode_texts(
    tokenizer: Tokenizer, texts: Sequence[str], *, control_tokens: bool = False, fast: bool = True
) -> list[Encoding]:
    """The encodings of texts, with nothing put before or after them.

    Args:
        tokenizer: of any kind.
        texts: plain text.
        control_tokens: whether a text that spells a control token becomes it, as tokenizers do
            unless they are told otherwise.
        fast: leave out the offsets of tokens in the text.

    Raises:
        InputError: a tokenizer that cannot encode them.

    Example:
        >>> bpe = train(["aaaa aaaa"], vocab_size=258)
        >>> len(encode_texts(bpe, ["a<|endoftext|>"])[0])
        14
        >>> len(encode_texts(bpe, ["a<|endoftext|>"], control_tokens=True)[0])
        2
    """
    encode_batch = tokenizer.encode_batch_fast if fast else tokenizer.encode_batch
    before = tokenizer.encode_special_tokens
    tokenizer.encode_special_tokens = not control_tokens
    try:
        with _refused("text that the tokenizer cannot encode", "a tokenizer with an unknown token"):
            encodings = encode_batch(list(texts), add_special_tokens=False)
    finally:
        tokenizer.encode_special_tokens = before
    if not any(map(len, encodings)) and any(any(map(str.isalnum, text)) for text in texts):
        raise InputError(
            "a tokenizer that gives no token for any text", expected="the suite's own tokenizer"
        )
    return encodings


@contextlib.contextmanager
def _refused(got: str, expected: str) -> Iterator[None]:
    """Turns what the tokenizers library raises into InputError."""
    try:
        yield
    # It raises bare Exceptions and, where its Rust code panics, an error that is no Exception.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise InputError(f"{got} ({error})", expected=expected) from error


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


def spelled(tokenizer: Tokenizer, tokens: Sequence[int], *, special: bool = True) -> str:
    """Tokens as text; special ones, such as the separator, on demand.

    Bytes that are no UTF-8 by themselves show as replacement characters, a NUL, which would end the
    text where it is stored, as its picture.
    """
    return tokenizer.decode(list(tokens), skip_special_tokens=not special).replace("\0", "\u2400")


def piece(tokenizer: Tokenizer, token: int) -> str:
    """One token as text, as `spelled` has it."""
    return spelled(tokenizer, [token])


def _id_of(tokenizer: Tokenizer, names: tuple[str, ...], expected: str) -> int:
    for name in names:
        if (index := tokenizer.token_to_id(name)) is not None:
            return index
    raise InputError(f"a tokenizer without {' or '.join(names)}", expected=expected)


def _word_pieces(folder: Path) -> Tokenizer:
    """BERT's tokenizer from vocab.txt, in lower case unless tokenizer_config.json denies it."""
    path = folder / "vocab.txt"
    text = inputs.read_text(path, _MOST_BYTES, "a word piece on every line")
    lines = text.removesuffix("\n").split("\n")
    pieces = {line.rstrip(): index for index, line in enumerate(lines)}
    tokenizer = Tokenizer(tokenizers.models.WordPiece(pieces, unk_token="[UNK]"))
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
    stored = {}
    if path.is_file():
        stored = inputs.parse_json(inputs.read_bytes(path, _MOST_BYTES), str(path), "a JSON object")
    if not isinstance(stored, dict):
        raise InputError(f"{path} that holds {inputs.shown(stored)}", expected="a JSON object")
    fields = {arguments[name]: stored[name] for name in stored.keys() & arguments.keys()}
    if not all(value is None or isinstance(value, bool) for value in fields.values()):
        raise InputError(f"{path} with {inputs.shown(fields)}", expected="true or false for each")
    return {"lowercase": True, **fields}
