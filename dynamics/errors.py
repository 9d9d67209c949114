"""Errors that a person reads: what was got, what was expected, the likely mend."""

import difflib
from collections.abc import Iterable
from typing import Self


class InputError(ValueError):
    """Bad input, told in one sentence; scripts print it without a traceback and exit with code
    1."""

    def __init__(self, got: str, *, expected: str = "", mend: str = ""):
        sentence = (
            f"got {got}"
            + (f"; expected {expected}" if expected else "")
            + (f". {mend}" if mend else "")
        )
        super().__init__(sentence)

    @classmethod
    def unknown(cls, kind: str, name: object, known: Iterable[object]) -> Self:
        """An unknown `name`: lists the known ones, the near ones first."""
        names = [str(k) for k in known]
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
    """A chain whose numbers mean nothing (non-finite, or beyond the stability bound); the estimate
    is refused."""
