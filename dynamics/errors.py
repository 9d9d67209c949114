"""Errors for people to read: what was got, what was expected, the likely mend."""

import difflib
from collections.abc import Iterable
from typing import Self


class InputError(ValueError):
    """Bad input. Scripts print its one sentence, without a traceback, and exit with code 1.

    Args:
        got: what was got.
        expected: what would have been right.
        mend: what the user can do, as a sentence.

    Example:
        >>> print(InputError("3 seeds", expected="at least 4", mend="Add a seed."))
        got 3 seeds; expected at least 4. Add a seed.
    """

    def __init__(self, got: str, *, expected: str = "", mend: str = ""):
        sentence = (
            f"got {got}"
            + (f"; expected {expected}" if expected else "")
            + (f". {mend}" if mend else "")
        )
        super().__init__(sentence)

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


class ChainError(InputError):
    """A chain that is non-finite or beyond the stability bound, so that its estimate is refused."""
