"""Byte-level BPE: trained on the embedded corpus for the nano suite, read from tokenizer.json for all others."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import Tokenizer

from dynamics.data.corpus import Corpus
from dynamics.errors import InputError

SEPARATOR = "<|endoftext|>"  # stands before every document, as in Pythia's training data


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE of exactly `vocab_size` ids; id 0 is the document separator, as in Pythia. Raises InputError."""
    if vocab_size < 257:
        raise InputError(f"a vocabulary of {vocab_size}", expected="at least 257 ids: the separator and every byte")
    tokenizer = Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[SEPARATOR],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != vocab_size:
        raise InputError(
            f"text that yields {tokenizer.get_vocab_size()} BPE tokens", expected=f"enough text for {vocab_size}"
        )
    return tokenizer


def load(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder. Raises InputError where tokenizer.json is missing or damaged."""
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise InputError(
            f"{folder} without tokenizer.json",
            expected="the suite's own tokenizer beside the weights",
            mend="Copy it there; every Pythia checkpoint shares one.",
        )
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(f"{path}, unreadable: {error}", expected="a tokenizer.json") from error


def encode(tokenizer: Tokenizer, corpus: Corpus) -> list[np.ndarray]:
    """Token ids of every document, int32, each headed by the separator. Raises InputError if it is unknown."""
    separator = tokenizer.token_to_id(SEPARATOR)
    if separator is None:
        raise InputError(f"a tokenizer without {SEPARATOR}", expected="the GPT-NeoX document separator")
    encodings = tokenizer.encode_batch_fast([d.text for d in corpus.documents], add_special_tokens=False)
    return [np.asarray([separator, *encoding.ids], np.int32) for encoding in encodings]
