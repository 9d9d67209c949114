"""A byte-level BPE of the size asked for, that loses no byte and is the same each time."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics.data import corpus, tokenizer
from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError

SIZE = 400
# Words of one frequency, so that most merges are ties: an order left to chance would show.
TEXTS = [
    " ".join(f"{a}{b}{c}" for a in "straw" for b in "berry" for c in "fields") for _ in range(3)
] + ["déjà vu 你好\n\n"]


@pytest.fixture(scope="module")
def trained():
    return tokenizer.train(TEXTS, SIZE)


def documents(*texts: str) -> Corpus:
    return Corpus("some", tuple(Document(str(k), "text", text) for k, text in enumerate(texts)))


def encode(trained, *texts: str) -> list[np.ndarray]:
    return tokenizer.encode(trained, documents(*texts))


def test_vocabulary_has_the_size_asked_for(trained):
    assert trained.get_vocab_size() == SIZE
    assert sorted(trained.get_vocab().values()) == list(range(SIZE))
    assert trained.token_to_id("<|endoftext|>") == 0


@settings(deadline=None, max_examples=300)
@given(text=st.text(st.characters(codec="utf-8")))
def test_decoding_restores_every_text(trained, text):
    (ids,) = encode(trained, text)
    assert trained.decode(list(ids[1:]), skip_special_tokens=False) == text
    assert ids.max() < SIZE


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "  two  spaces ",
        "\r\n\t\0",
        "e\u0301",
        "\ufeffbom",
        "👩‍👩‍👧",
        "a\u2028b",
        "\U0010ffff",
    ],
)
def test_decoding_restores_the_odd_ones(trained, text):
    assert trained.decode(list(encode(trained, text)[0][1:])) == text


def test_every_byte_has_an_id_of_its_own():
    smallest = tokenizer.train(["no merges"], 257)
    (ids,) = encode(smallest, "é")
    assert len(ids) == 3  # separator and two bytes


def test_separator_stands_first_and_once(trained):
    documents = encode(trained, "one two", "", "three")
    assert [int(ids[0]) for ids in documents] == [0, 0, 0]
    assert all((ids[1:] != 0).all() for ids in documents)
    assert [len(ids) > 1 for ids in documents] == [True, False, True]
    assert {ids.dtype for ids in documents} == {np.dtype(np.int32)}


def test_documents_are_encoded_alone(trained):
    np.testing.assert_array_equal(
        encode(trained, "straw berry", "fields")[1], encode(trained, "fields")[0]
    )


def test_training_twice_gives_the_same_tokenizer(trained):
    assert tokenizer.train(iter(TEXTS), SIZE).to_str() == trained.to_str()


def test_training_in_another_process_gives_the_same_tokenizer(trained):
    program = "from dynamics.data import tokenizer\n"
    program += f"print(tokenizer.train({TEXTS!r}, {SIZE}).to_str(), end='')"
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "7",
        "RAYON_NUM_THREADS": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert run.stdout == trained.to_str()


def test_merges_shorten_text(trained):
    assert len(encode(trained, TEXTS[0])[0]) < len(TEXTS[0]) / 2


@pytest.mark.long
def test_embedded_corpus_fills_a_real_vocabulary():
    text = corpus.embedded().train()
    bpe = tokenizer.train((d.text for d in text.documents), 2048)
    assert bpe.get_vocab_size() == 2048
    sample = corpus.embedded().held_out().documents[:20]
    for document, ids in zip(sample, tokenizer.encode(bpe, Corpus("sample", sample)), strict=True):
        if tokenizer.SEPARATOR not in document.text:
            assert bpe.decode(list(ids[1:])) == document.text


def test_saved_tokenizer_loads_the_same(trained, tmp_path):
    trained.save(str(tmp_path / "tokenizer.json"))
    assert tokenizer.load(tmp_path).to_str() == trained.to_str()


def test_too_little_text_is_refused():
    with pytest.raises(
        InputError, match=r"text that yields \d+ BPE tokens; expected enough text for 5000"
    ):
        tokenizer.train(["short"], 5000)


@pytest.mark.parametrize("size", [0, 1, 256])
def test_vocabulary_without_room_for_the_bytes_is_refused(size):
    with pytest.raises(InputError, match=f"a vocabulary of {size}; expected at least 257"):
        tokenizer.train(TEXTS, size)


def test_missing_tokenizer(tmp_path):
    with pytest.raises(InputError, match=r"without tokenizer\.json.*Copy it there"):
        tokenizer.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "{}", "not json"])
def test_damaged_tokenizer(tmp_path, text):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(InputError, match=r"tokenizer\.json, unreadable"):
        tokenizer.load(tmp_path)


def test_tokenizer_without_the_separator_is_refused():
    bare = tokenizer.Tokenizer(tokenizer.tokenizers.models.BPE())
    with pytest.raises(InputError, match=r"a tokenizer without <\|endoftext\|>"):
        encode(bare, "text")
