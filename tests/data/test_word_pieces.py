"""BERT's word pieces out of vocab.txt, and each tokenizer's ids of separator and mask."""

import json

import numpy as np
import pytest

from dynamics.data import tokenizer
from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "Seeds",
    "seeds",
    "di",
    "##ver",
    "##ge",
    ".",
    "cafe",
    "Ca",
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    return tmp_path


def encoded(pieces, text: str, **asked) -> list[str]:
    (ids,) = tokenizer.encode(pieces, Corpus("some", (Document("0", "text", text),)), **asked)
    assert ids.dtype == np.int32
    return [PIECES[k] for k in ids]


def test_words_fall_into_their_longest_pieces(folder):
    pieces = tokenizer.load(folder)
    assert encoded(pieces, "The SEEDS diverge.\n") == [
        "[CLS]",
        "the",
        "seeds",
        "di",
        "##ver",
        "##ge",
        ".",
    ]
    assert encoded(pieces, "other café") == ["[CLS]", "[UNK]", "cafe"]
    assert encoded(pieces, "the [MASK]") == ["[CLS]", "the", *["[UNK]"] * 3]
    assert encoded(pieces, "the [MASK]", control_tokens=True) == ["[CLS]", "the", "[MASK]"]
    assert pieces.decode([8, 9, 10]) == "diverge"


def test_case_is_kept_where_the_configuration_says_so(folder):
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": False, "strip_accents": None})
    )
    assert encoded(tokenizer.load(folder), "Seeds seeds") == ["[CLS]", "Seeds", "seeds"]


def test_long_texts_are_not_cut(folder):
    pieces = tokenizer.load(folder)
    pieces.enable_truncation(4)
    pieces.enable_padding(length=9)
    pieces.save(str(folder / "tokenizer.json"))
    assert encoded(tokenizer.load(folder), "the " * 50) == ["[CLS]", *["the"] * 50]


def test_transformers_cuts_words_alike(folder):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer(str(folder / "vocab.txt"))
    text = "The seeds diverge. Café di\u00adverge, [SEP] the\tseeds 你 seedsdi"
    ids = theirs(text, add_special_tokens=False)["input_ids"]
    ours = encoded(tokenizer.load(folder), text, control_tokens=True)  # as transformers does
    assert ours == ["[CLS]", *(PIECES[k] for k in ids)]


def test_special_ids_of_a_bert(folder):
    pieces = tokenizer.load(folder)
    assert (tokenizer.separator(pieces), tokenizer.mask(pieces)) == (2, 4)
    assert tokenizer.frame(pieces) == ((2,), (3,))


def test_special_ids_of_our_own():
    bpe = tokenizer.train(["some words to merge"] * 3, 260, masks=True)
    assert bpe.get_vocab_size() == 260
    assert (tokenizer.separator(bpe), tokenizer.mask(bpe)) == (0, 1)
    assert tokenizer.frame(bpe) == ((), ())
    plain = tokenizer.train(["some words to merge"] * 3, 260)
    with pytest.raises(InputError, match=r"a tokenizer without \[MASK\] or <\|mask\|>"):
        tokenizer.mask(plain)
    with pytest.raises(
        InputError, match=r"a vocabulary of 257; expected at least 258 ids.*the mask"
    ):
        tokenizer.train(["text"], 257, masks=True)


def test_a_vocabulary_that_is_no_berts_is_refused(folder):
    (folder / "vocab.txt").write_text("[UNK]\na\nb\n")
    with pytest.raises(InputError, match=r"vocab\.txt without \[PAD\], \[CLS\], \[SEP\], \[MASK\]"):
        tokenizer.load(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"do_lower_case": "no"}', "3"])
def test_a_damaged_configuration_is_refused(folder, text):
    (folder / "tokenizer_config.json").write_text(text)
    with pytest.raises(InputError, match=r"tokenizer_config\.json"):
        tokenizer.load(folder)
