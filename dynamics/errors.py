"""Errors for people to read: what was got, what was expected, the likely mend."""

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Self

__all__ = ["ChainError", "InputError", "located", "printable"]

_LONGEST_WORD, _LONGEST_TEXT = 400, 3000  # characters; a path or a list of names fits


class InputError(ValueError):
    """Bad input. Scripts print its one sentence, without a traceback, and exit with code 1.

    Whatever the parts quote, the sentence is one printable line of limited length.

    Args:
        got: what was got.
        expected: what would have been right.
        mend: what the user can do, as a sentence.

    Example:
        >>> print(InputError("3 seeds", expected="at least 4", mend="Add a seed."))
        got 3 seeds; expected at least 4. Add a seed.
    """

    def __init__(self, got: str, *, expected: str = "", mend: str = ""):
        self.got, self.expected, self.mend = got, expected, mend
        self.place = ""
        sentence = (
            f"got {got}"
            + (f"; expected {expected}" if expected else "")
            + (f". {mend}" if mend else "")
        )
        super().__init__(printable(sentence))

    @classmethod
    def unknown(cls, kind: str, name: object, choices: Iterable[object]) -> Self:
        """An unknown `name` of a kind of thing: lists the choices, and suggests near ones.

        Example:
            >>> print(InputError.unknown("suite", "nanno", ["nano", "smoke"]))
            got unknown suite 'nanno'; expected one of nano, smoke. Did you mean nano?
        """
        names = [str(choice) for choice in choices]
        near = difflib.get_close_matches(str(name), names, n=3)
        listing = (
            ", ".join(names)
            if len(names) <= 40
            else ", ".join(names[:40]) + f", ... ({len(names)} in all)"
        )
        return cls(
            f"unknown {kind} {str(name)!r}",
            expected=f"one of {listing or '(none known)'}",
            mend=f"Did you mean {' or '.join(near)}?" if near else "",
        )


@contextlib.contextmanager
def located(place: str, folder: str = "") -> Iterator[None]:
    """Has an InputError that arises within say at which place: the innermost that is named.

    `folder` is where the place lies; it is not said again of an error that names it.

    Example:
        >>> with located("nano-32 seed 0 step 8"):
        ...     raise InputError("a tensor of NaN", expected="finite numbers")
        Traceback (most recent call last):
        dynamics.errors.InputError: got a tensor of NaN, at nano-32 seed 0 step 8; expected finite \
numbers
    """
    try:
        yield
    except InputError as error:
        if error.place:
            raise
        where = f" in {folder}" if folder and folder not in error.got else ""
        at_place = type(error)(
            f"{error.got}, at {place}{where}", expected=error.expected, mend=error.mend
        )
        at_place.place = place
        raise at_place from error


def printable(text: str) -> str:
    """The text on one line, fit for a terminal.

    Characters that would move the cursor, colour, hide or reorder text become escapes. A word of
    more than 400 characters and a text of more than 3,000 lose their middle. Credentials in an
    address become three dots.

    Example:
        >>> print(printable("a name\\x1b[31m in red"), len(printable("x" * 1_000_000)))
        a name\\x1b[31m in red 400
    """
    # Cut first: a name may have a million characters.
    text = re.sub(
        rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: _without_middle(word[0], _LONGEST_WORD), text
    )
    text = _without_middle(text, _LONGEST_TEXT)
    text = re.sub(r"(?<=://)[^/@\s]+(?=@)", "...", text)
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _without_middle(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class ChainError(InputError):
    """A chain that is non-finite or beyond the stability bound, so that its estimate is refused."""
