"""Part of speech of tokens: words are tagged, tags spread over characters, a token takes the
majority of its own.

The procedure of "Convergence and Divergence of Language Models under Different Random Seeds",
appendix A and Figure 5, where it leaves two things open. Whitespace has no vote, so that " a" is a
determiner and not half of one, and a token of whitespace alone has no tag. A majority is more than
half of the characters that vote; punctuation and every other character without a tag votes for
none.

A tagger is any callable from the words of one text to one tag each, or to (word, tag) pairs. Built
in is a closed
class: words that English does not add to, so that a list does for them and nothing need be
downloaded. A list knows no context ("that" is a pronoun here even where it opens a clause, "like"
is no preposition) and reads the keywords of program code (for, in, if, not) as the English words
that they are spelled like.

Axes: C characters of a text, W words, T tokens, K tags.
"""

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from tokenizers import Encoding

from dynamics.errors import InputError

Tagger = Callable[[list[str]], Sequence[str] | Sequence[tuple[str, str]]]

NONE = -1
UNKNOWN = ("", "UNK", None)  # what a tagger may say of a word that it does not know

# A word that could stand in two classes is in the one it is most often of.
FUNCTION_WORDS = {
    "determiner": "a an the this these those every each either neither some any no all both half such what which whose "
    "another enough much many more most few fewer less least several my your his its our their",
    "pronoun": "i me mine myself you yours yourself yourselves he him himself she her hers herself it itself we us "
    "ours ourselves they them theirs themselves who whom that one oneself anybody anyone anything everybody everyone "
    "everything nobody none nothing somebody someone something there whatever whichever whoever whomever",
    "preposition": "about above across after against along alongside amid among amongst around at before behind below "
    "beneath beside besides between beyond by despite down during except for from in inside into near of off on onto "
    "opposite out outside over past per regarding since than through throughout till toward towards under underneath "
    "until unto up upon versus via with within without",
    "subordinator": "although as because if lest once provided though unless when whenever where whereas wherever "
    "whereby wherein whether while whilst why how",
    "coordinator": "and or but nor yet so plus",
    "modal": "can could may might must ought shall should will would cannot ca wo 'll 'd",
    "auxiliary": "am is are was were be been being have has had having do does did doing 'm 're 've",
    "particle": "to not n't 's",
}
_CLASS = {word: name for name, words in FUNCTION_WORDS.items() for word in words.split()}

# Contractions come apart as in the Penn treebank, so that a tagger trained on it knows the pieces:
# do|n't, she|'ll. Underscores hold a word together: an identifier such as is_file has no "is" in
# it.
_LETTER = r"[\w\u0300-\u036f]"
_WORD = re.compile(
    rf"{_LETTER}+?(?=n['’]t\b)|n['’]t\b|['’](?:s|re|ve|ll|d|m)\b|{_LETTER}+|[^\w\s]", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class Tagged:
    """Tags of a text's characters."""

    names: tuple[str, ...]  # [K], in the order of their first word
    of_character: np.ndarray  # [C] int32, index into names, or NONE
    votes: np.ndarray  # [C] bool: what is not whitespace


def words(text: str) -> list[tuple[int, int]]:
    """Spans [start, end) of words and single punctuation marks: no whitespace, contractions
    apart."""
    return [match.span() for match in _WORD.finditer(text)]


def closed_class(found: list[str]) -> list[str]:
    """The built-in tagger: a name of FUNCTION_WORDS, "other" for a word outside of them, "" for
    what has no letter."""
    return [_closed_class(word) for word in found]


def tag_text(text: str, tagger: Tagger) -> Tagged:
    """Tags spread over the characters of a text.

    Raises InputError where the tagger returns another number of tags than it was given words, or
    something else than tags.
    """
    spans = words(text)
    tags = _checked(tagger, [text[start:end] for start, end in spans])
    names = tuple(dict.fromkeys(tag for tag in tags if tag not in UNKNOWN))
    rank = {name: index for index, name in enumerate(names)}
    of_character = np.full(len(text), NONE, np.int32)
    for (start, end), tag in zip(spans, tags, strict=True):
        of_character[start:end] = rank.get(tag, NONE)
    votes = np.fromiter((not character.isspace() for character in text), bool, len(text))
    return Tagged(names, of_character, votes)


def tokens(tagged: Tagged, encoding: Encoding) -> np.ndarray:
    """The tag of every token, [T] int32, an index into `tagged.names` or NONE.

    A character that a byte-level tokenizer splits over tokens has the same offsets in each of them,
    so each takes that character's tag. Whether leading whitespace lies within a token's offsets
    (Pythia's tokenizer trims it away) makes no difference.
    """
    return majority(
        tagged.of_character, tagged.votes, np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
    )


def majority(of_character: np.ndarray, votes: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """The value of more than half of a span's voting characters, else NONE. [C], [C] bool, [T, 2]
    -> [T].

    Raises InputError on spans that leave the text: offsets of another text.
    """
    if spans.size and not (spans.min() >= 0 and spans.max() <= len(of_character)):
        raise InputError(
            f"token offsets from {spans.min()} to {spans.max()}",
            expected=f"offsets within the text of {len(of_character)} characters",
            mend="Tag the text that was encoded.",
        )
    found = np.full(len(spans), NONE, np.int32)
    for token, (start, end) in enumerate(spans):
        voting = of_character[start:end][votes[start:end]]
        if voting.size:
            value = np.sort(voting)[
                voting.size // 2
            ]  # whatever fills more than half of a sorted row is its median
            found[token] = value if 2 * (voting == value).sum() > voting.size else NONE
    return found


def tagger(name: str) -> Tagger:
    """The tagger that a flag names: "closed" (built in), "nltk", or "module:function". Raises
    InputError."""
    if name == "closed":
        return closed_class
    if name == "nltk":
        return _nltk()
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise InputError.unknown("tagger", name, ["closed", "nltk", "module:function"])
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the tagger {name}, which cannot be imported ({error})",
            expected="module:function, a module that `python -c 'import module'` finds from here",
        ) from error
    if not callable(found):
        raise InputError(
            f"the tagger {name}, a {type(found).__name__}", expected="a function of a list of words"
        )
    return cast(Tagger, found)


def _closed_class(word: str) -> str:
    known = _CLASS.get(word.lower().replace("’", "'"))
    return known or ("other" if any(map(str.isalpha, word)) else "")


def _checked(tagger: Tagger, found: list[str]) -> list[str]:
    answer = list(tagger(found)) if found else []
    if len(answer) != len(found):
        raise InputError(
            f"{len(answer)} tags of a tagger that was given {len(found)} words",
            expected="one tag for each word, in the order of the words",
            mend="A tagger must not split or join words: they are split already.",
        )
    tags = [one[1] if isinstance(one, tuple) and len(one) == 2 else one for one in answer]
    odd = next((tag for tag in tags if not (tag is None or isinstance(tag, str))), None)
    if odd is not None:
        raise InputError(f"{odd!r} for a tag", expected="a string, or a pair (word, string)")
    return tags


def _nltk() -> Tagger:
    mend = "Install nltk and its data (nltk.download('averaged_perceptron_tagger_eng')), or leave --tagger out."
    try:
        nltk = importlib.import_module("nltk")
    except ImportError as error:
        raise InputError(
            "--tagger=nltk where nltk is not installed", expected="the package nltk", mend=mend
        ) from error
    try:
        nltk.pos_tag(["word"])  # the data is looked up at the first use
    except LookupError as error:
        raise InputError(
            "--tagger=nltk where its data is missing", expected="its English tagger", mend=mend
        ) from error
    return nltk.pos_tag
