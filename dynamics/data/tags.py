"""Part of speech of tokens: words are tagged, and a token takes the tag of most of its characters.

Source: Fehlauer, Mahowald & Pimentel, "Convergence and Divergence of Language Models under
Different Random Seeds", appendix A and figure 5. They leave two choices open. Here whitespace has
no vote, so that " a" is a determiner and not half of one, and a token of whitespace alone has no
tag. A majority is more than half of the characters that vote; punctuation and every other character
without a tag votes for none.

A tagger is any callable from the words of one text to one tag each, or to (word, tag) pairs. The
built-in one knows the closed classes of English: words that the language does not add to, so that a
list suffices and nothing need be downloaded. A list sees no context: "that" is a pronoun here even
where it opens a clause, "like" is no preposition, and keywords of program code (for, in, if, not)
are the English words that they are spelled like.

Axes: C characters of a text, W words, T tokens, K tags.
"""

import importlib
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Bool, Int
from tokenizers import Encoding

from dynamics.errors import InputError

Tagger = Callable[[list[str]], Sequence[str] | Sequence[tuple[str, str]]]

NONE = -1
UNKNOWN = ("", "UNK", None)  # what a tagger may return for a word that it does not know

# A word of two classes is listed in its more frequent one.
FUNCTION_WORDS = {
    "determiner": (
        "a an the this these those every each either neither some any no all both half such "
        "what which whose another enough much many more most few fewer less least several my "
        "your his its our their"
    ),
    "pronoun": (
        "i me mine myself you yours yourself yourselves he him himself she her hers herself "
        "it itself we us ours ourselves they them theirs themselves who whom that one oneself "
        "anybody anyone anything everybody everyone everything nobody none nothing somebody "
        "someone something there whatever whichever whoever whomever"
    ),
    "preposition": (
        "about above across after against along alongside amid among amongst around at before "
        "behind below beneath beside besides between beyond by despite down during except for "
        "from in inside into near of off on onto opposite out outside over past per regarding "
        "since than through throughout till toward towards under underneath until unto up "
        "upon versus via with within without"
    ),
    "subordinator": (
        "although as because if lest once provided though unless when whenever where whereas "
        "wherever whereby wherein whether while whilst why how"
    ),
    "coordinator": "and or but nor yet so plus",
    "modal": "can could may might must ought shall should will would cannot ca wo 'll 'd",
    "auxiliary": (
        "am is are was were be been being have has had having do does did doing 'm 're 've"
    ),
    "particle": "to not n't 's",
}
_CLASS = {word: name for name, words in FUNCTION_WORDS.items() for word in words.split()}

# Contractions come apart as in the Penn treebank, so that a tagger trained on it knows the pieces:
# do|n't, she|'ll. Underscores hold a word together: an identifier such as is_file has no "is" in
# it.
_LETTER = r"[\w\u0300-\u036f]"
_WORD = re.compile(
    rf"{_LETTER}+?(?=n['’]t\b)|n['’]t\b|['’](?:s|re|ve|ll|d|m)\b|{_LETTER}+|[^\w\s]",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Tagged:
    """Tags of a text's characters."""

    names: tuple[str, ...]  # [K], in the order of their first word
    of_character: Int[np.ndarray, " C"]  # int32, index into names, or NONE
    votes: Bool[np.ndarray, " C"]  # False for whitespace


def word_spans(text: str) -> list[tuple[int, int]]:
    """Spans [start, end) of words and single punctuation marks: no whitespace, contractions apart.

    Example:
        >>> [" don't go"[start:end] for start, end in word_spans(" don't go")]
        ['do', "n't", 'go']
    """
    return [match.span() for match in _WORD.finditer(text)]


def closed_class(words: list[str]) -> list[str]:
    """The built-in tagger: a name of FUNCTION_WORDS, "other", or "" for what has no letter.

    Example:
        >>> closed_class(["The", "dog", "can", "n't", "!"])
        ['determiner', 'other', 'modal', 'particle', '']
    """
    return [_closed_class(word) for word in words]


def tag_text(text: str, tagger: Tagger) -> Tagged:
    """Tags spread over the characters of a text.

    Raises:
        InputError: a tagger that returns something else than one tag per word.

    Example:
        >>> tagged = tag_text("a dog", closed_class)
        >>> tagged.names, tagged.of_character.tolist()
        (('determiner', 'other'), [0, -1, 1, 1, 1])
    """
    spans = word_spans(text)
    tags = _checked(tagger, [text[start:end] for start, end in spans])
    names = tuple(dict.fromkeys(tag for tag in tags if tag not in UNKNOWN))
    rank = {name: index for index, name in enumerate(names)}
    of_character = np.full(len(text), NONE, np.int32)
    for (start, end), tag in zip(spans, tags, strict=True):
        of_character[start:end] = rank.get(tag, NONE)
    votes = np.fromiter((not character.isspace() for character in text), bool, len(text))
    return Tagged(names, of_character, votes)


def token_tags(tagged: Tagged, encoding: Encoding) -> Int[np.ndarray, " T"]:
    """The tag of every token, int32: an index into `tagged.names`, or NONE.

    A character that a byte-level tokenizer splits over tokens has the same offsets in each of them,
    so each takes that character's tag. Whether leading whitespace lies within a token's offsets
    (Pythia's tokenizer trims it away) makes no difference.
    """
    return majority(
        tagged.of_character, tagged.votes, np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
    )


def majority(
    of_character: Int[np.ndarray, " C"],
    votes: Bool[np.ndarray, " C"],
    spans: Int[np.ndarray, "T 2"],
) -> Int[np.ndarray, " T"]:
    """The value of more than half of the voting characters of each span, else NONE.

    Raises:
        InputError: spans that leave the text, and so are offsets of another text.

    Example:
        >>> import numpy as np
        >>> tagged = tag_text("a dog", closed_class)
        >>> spans = np.array([[0, 2], [0, 5], [1, 2]])  # "a ", "a dog", " "
        >>> majority(tagged.of_character, tagged.votes, spans).tolist()
        [0, 1, -1]
    """
    if spans.size and not (spans.min() >= 0 and spans.max() <= len(of_character)):
        raise InputError(
            f"token offsets from {spans.min()} to {spans.max()}",
            expected=f"offsets within the text of {len(of_character)} characters",
            mend="Tag the text that was encoded.",
        )
    values = np.full(len(spans), NONE, np.int32)
    for token, (start, end) in enumerate(spans):
        voting = of_character[start:end][votes[start:end]]
        if voting.size:
            # A value that fills more than half of a sorted row is its median.
            median = np.sort(voting)[voting.size // 2]
            values[token] = median if 2 * (voting == median).sum() > voting.size else NONE
    return values


def tagger(name: str) -> Tagger:
    """The tagger that a flag names: "closed" (built in), "nltk", or "module:function".

    Raises:
        InputError: another name, or a tagger that is not installed or cannot be imported.
    """
    if name == "closed":
        return closed_class
    if name == "nltk":
        return _nltk()
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise InputError.unknown("tagger", name, ["closed", "nltk", "module:function"])
    try:
        imported = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # whatever its module does when it is imported
        raise InputError(
            f"the tagger {name}, which cannot be imported ({error})",
            expected="module:function, a module that `python -c 'import module'` finds from here",
        ) from error
    if not callable(imported):
        raise InputError(
            f"the tagger {name}, a {type(imported).__name__}",
            expected="a function of a list of words",
        )
    return cast(Tagger, imported)


def _closed_class(word: str) -> str:
    name = _CLASS.get(word.lower().replace("’", "'"))
    return name or ("other" if any(map(str.isalpha, word)) else "")


def _checked(tagger: Tagger, words: list[str]) -> list[str]:
    try:
        # One more than there should be is enough to see: itertools.cycle would never end.
        answers = list(itertools.islice(tagger(words), len(words) + 1)) if words else []
    except (Exception, SystemExit) as error:  # os.getcwd is a function too, and no tagger
        raise InputError(
            f"a tagger that fails on a list of {len(words)} words "
            f"({type(error).__name__}: {error})",
            expected="a function of a list of words, which returns a tag for each",
        ) from error
    if len(answers) != len(words):
        raise InputError(
            f"{_count(answers, words)} tags of a tagger that was given {len(words)} words",
            expected="one tag for each word, in the order of the words",
            mend="A tagger must not split or join words: they are split already.",
        )
    tags = [
        answer[1]
        if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], str)
        else answer
        for answer in answers
    ]
    odd = next((tag for tag in tags if not (tag is None or isinstance(tag, str))), None)
    if odd is not None:
        raise InputError(f"{odd!r} for a tag", expected="a string, or a pair (word, string)")
    return cast(list[str], tags)


def _count(answers: Sequence, words: Sequence) -> str:
    return f"more than {len(words)}" if len(answers) > len(words) else str(len(answers))


def _nltk() -> Tagger:
    mend = (
        "Install nltk and its data (nltk.download('averaged_perceptron_tagger_eng')), "
        "or leave --tagger out."
    )
    try:
        nltk = importlib.import_module("nltk")
    except ImportError as error:
        raise InputError(
            "--tagger=nltk where nltk is not installed", expected="the package nltk", mend=mend
        ) from error
    try:
        nltk.pos_tag(["word"])  # nltk looks its data up at the first use
    except LookupError as error:
        raise InputError(
            "--tagger=nltk where its data is missing", expected="its English tagger", mend=mend
        ) from error
    return nltk.pos_tag
