"""Tags of words spread over characters, and tokens that take the majority of theirs."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from dynamics.data import tags, tokenizer
from dynamics.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def by_length(words):
    """A toy tagger: the tag of a word is how long it is; of punctuation, none."""
    return [str(len(word)) if word.isalpha() else "" for word in words]


def test_a_token_takes_the_tag_of_most_of_its_characters():
    tagged = tags.tag_text("ab cdefg", by_length)
    assert tagged.names == ("2", "5")
    spans = np.array([[0, 2], [2, 8], [0, 4], [1, 5], [2, 3], [0, 0]])
    values = tags.majority(tagged.of_character, tagged.votes, spans)
    # "b cd" is two of "5" and one of "2"; "ab c" two of "2" and one of "5"; whitespace and nothing
    # have no tag
    assert values.tolist() == [0, 1, 0, 1, tags.NONE, tags.NONE]


def test_half_is_no_majority():
    tagged = tags.tag_text("ab cde", by_length)
    assert tags.majority(tagged.of_character, tagged.votes, np.array([[0, 5]])).tolist() == [
        tags.NONE
    ]


def test_whitespace_before_a_word_does_not_vote():
    tagged = tags.tag_text("x      a", lambda words: ["X", "A"])
    assert tags.majority(tagged.of_character, tagged.votes, np.array([[1, 8]])).tolist() == [1]


def test_pairs_of_word_and_tag_are_tags():
    pairs = tags.tag_text("ab cd", lambda words: [(word, "T") for word in words])
    plain = tags.tag_text("ab cd", lambda words: ["T"] * len(words))
    np.testing.assert_array_equal(pairs.of_character, plain.of_character)


@pytest.mark.parametrize("answer", [lambda words: ["T"], lambda words: ["T"] * 9, lambda words: []])
def test_another_number_of_tags_is_refused(answer):
    with pytest.raises(InputError, match="tags of a tagger that was given 3 words"):
        tags.tag_text("one two three", answer)


def test_something_else_than_tags_is_refused():
    with pytest.raises(InputError, match="for a tag"):
        tags.tag_text("one", lambda words: [3])


@pytest.mark.parametrize(
    ("name", "words"), [("nltkk", "tagger"), ("no_module:x", "imported"), ("math:pi", "float")]
)
def test_unknown_taggers_are_refused(name, words):
    with pytest.raises(InputError, match=words):
        tags.tagger(name)


def test_nltk_is_asked_for_where_it_or_its_data_is_missing(monkeypatch):
    def without_data(words):
        raise LookupError("averaged_perceptron_tagger_eng")

    monkeypatch.setitem(sys.modules, "nltk", None)  # what makes an import fail
    with pytest.raises(InputError, match="not installed"):
        tags.tagger("nltk")
    monkeypatch.setitem(sys.modules, "nltk", types.SimpleNamespace(pos_tag=without_data))
    with pytest.raises(InputError, match="data is missing"):
        tags.tagger("nltk")
    installed = types.SimpleNamespace(pos_tag=lambda words: [(word, "NN") for word in words])
    monkeypatch.setitem(sys.modules, "nltk", installed)
    assert tags.tag_text("one two", tags.tagger("nltk")).names == ("NN",)


def test_offsets_of_another_text_are_refused():
    tagged = tags.tag_text("ab", by_length)
    with pytest.raises(InputError, match="token offsets"):
        tags.majority(tagged.of_character, tagged.votes, np.array([[0, 3]]))


def test_function_words_are_a_closed_class():
    classes = tags.closed_class(
        ["The", "dog", "does", "n't", "see", "itself", ",", "42", "or", "can"]
    )
    expected = [
        "determiner",
        "other",
        "auxiliary",
        "particle",
        "other",
        "pronoun",
        "",
        "",
        "coordinator",
        "modal",
    ]
    assert classes == expected


def test_a_character_over_several_tokens_gives_its_tag_to_each():
    """A byte-level tokenizer without merges splits é and 日 into their bytes."""
    encoder = tokenizer.train(["abc"], 257)
    text = "é 日日"
    tagged = tags.tag_text(text, lambda words: ["first", "second"])
    values = tags.token_tags(tagged, encoder.encode(text))
    assert [tagged.names[k] if k >= 0 else None for k in values] == ["first"] * 2 + [None] + [
        "second"
    ] * 6


@pytest.mark.skipif(
    not (SHARED / "pythia_tokenizer.json").exists(), reason="Pythia's tokenizer is not at hand"
)
def test_pythias_tokenizer_splits_and_joins_as_it_likes():
    encoder = Tokenizer.from_file(str(SHARED / "pythia_tokenizer.json"))
    text = "The unbelievably naïve dogs don't sleep."
    encoding = encoder.encode(text)
    tagged = tags.tag_text(text, tags.closed_class)
    token_tags = [tagged.names[k] if k >= 0 else None for k in tags.token_tags(tagged, encoding)]
    pieces = [text[start:end].strip() for start, end in encoding.offsets]
    assert len(pieces) > len(text.split())  # some words are split
    by_piece = dict(zip(pieces, token_tags, strict=True))
    assert by_piece["The"] == "determiner"
    assert (
        by_piece["don"[:2]] == "auxiliary" if "do" in by_piece else by_piece["don"] == "auxiliary"
    )
    assert by_piece["dogs"] == by_piece["sleep"] == "other"
    assert by_piece["."] is None
    split = [
        tag
        for piece, tag in zip(pieces, token_tags, strict=True)
        if piece in "unbelievably" and piece
    ]
    assert len(split) > 1
    assert set(split) == {"other"}
