"""Passages of plain text and of LAMBADA's jsonl, and where their last words begin."""

import gzip
import json

import numpy as np
import pytest

from dynamics.data import passages, tokenizer
from dynamics.errors import InputError

TEXTS = ("the cat saw the dog", "he gave her the book", "a")


@pytest.fixture(scope="module")
def bpe():
    return tokenizer.train([" ".join(TEXTS) * 5], vocab_size=280)


def test_jsonl_and_lines_hold_the_same_passages(tmp_path):
    lines, rows = tmp_path / "texts.txt", tmp_path / "texts.jsonl.gz"
    lines.write_text("\n\n".join(TEXTS) + "\n", encoding="utf-8")
    rows.write_bytes(gzip.compress("\n".join(json.dumps({"text": t}) for t in TEXTS).encode()))
    for path in (lines, rows):
        assert [document.text for document in passages.read(path).documents] == list(TEXTS)


def test_tokens_spell_the_passage(bpe, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS[:2]))
    encoded = passages.encode(bpe, passages.read(path), most=100, last_word=True)
    for k, text in enumerate(TEXTS[:2]):
        ids = encoded.tokens[k, : encoded.lengths[k]]
        begin = encoded.last_word[k]
        assert ids[0] == tokenizer.separator(bpe)
        assert bpe.decode(ids[1:].tolist()) == text
        assert bpe.decode(ids[begin:].tolist()) == " " + text.split()[-1]
    assert encoded.num_cut == 0


def test_a_long_passage_loses_its_beginning(bpe, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text(TEXTS[0])
    whole = passages.encode(bpe, passages.read(path), most=100, last_word=True)
    most = int(whole.lengths[0]) - 1
    cut = passages.encode(bpe, passages.read(path), most=most, last_word=True)
    np.testing.assert_array_equal(cut.tokens[0], whole.tokens[0, 1:])
    assert cut.last_word[0] == whole.last_word[0] - 1
    assert cut.num_cut == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("a", "single word"), ("", "without text"), (None, "do not exist")],
)
def test_bad_passages_are_refused(bpe, tmp_path, text, words):
    path = tmp_path / "texts.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        passages.encode(bpe, passages.read(path), most=100, last_word=True)
