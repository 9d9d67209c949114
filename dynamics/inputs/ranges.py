"""Ranges of values: the one parser of every flag, field and schedule.

A range checks a value that has a type already (of JSON, TOML or Python), and parses one that is
text (a flag, a word of --steps). Both refuse what `int` and `float` would let through or choke on:
True for 1, digits of other scripts, underscores, infinity, NaN, numbers of thousands of digits.
"""

import dataclasses
import math
import re
from typing import TypeAlias, TypeGuard

from dynamics.errors import InputError

_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_REAL = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,6})?")
_MOST_SHOWN = 60  # characters of a value in a message


@dataclasses.dataclass(frozen=True)
class Whole:
    """Whole numbers from `least` to `most`, both included.

    Example:
        >>> Whole(1, 100).check(64, "hidden_size ")
        64
        >>> Whole(2, 1000).parse("1e3", "--chains=")
        Traceback (most recent call last):
        ...
        dynamics.errors.InputError: got --chains=1e3; expected a whole number from 2 to 1000
    """

    least: int
    most: int

    @property
    def words(self) -> str:
        """What an error says is expected."""
        return f"a whole number from {self.least} to {self.most}"

    def check(self, value: object, name: str) -> int:
        """The value, an int of this range. Raises InputError, which says `name` before it."""
        if self.holds(value):
            return value
        raise InputError(name + shown(value), expected=self.words)

    def holds(self, value: object) -> TypeGuard[int]:
        """Is the value an int of this range? True and False are none."""
        return type(value) is int and self.least <= value <= self.most

    def parse(self, text: str, name: str) -> int:
        """The number that a text spells in decimal digits. Raises InputError."""
        digits = text.strip()
        if _WHOLE.fullmatch(digits) and self.holds(int(digits)):
            return int(digits)
        raise InputError(name + _clipped(text), expected=self.words)


@dataclasses.dataclass(frozen=True)
class Real:
    """Finite numbers from `least` to `most`, both included, or above `least` where it is `open`.

    Example:
        >>> Real(0, 1).check(0.25, "rotary_pct ")
        0.25
        >>> Real(0, 1e6, open=True).parse("nan", "--nbeta=")
        Traceback (most recent call last):
        ...
        dynamics.errors.InputError: got --nbeta=nan; expected a number above 0, at most 1e+06
    """

    least: float
    most: float
    open: bool = False

    @property
    def words(self) -> str:
        """What an error says is expected."""
        if self.open:
            return f"a number above {self.least:.6g}, at most {self.most:.6g}"
        return f"a number from {self.least:.6g} to {self.most:.6g}"

    def check(self, value: object, name: str) -> float:
        """The value, an int or a float of this range. Raises InputError.

        The value is returned as it is, so that 10000 and 10000.0 both stay what they were.
        """
        if self.holds(value):
            return value
        raise InputError(name + shown(value), expected=self.words)

    def parse(self, text: str, name: str) -> float:
        """The number that a text spells. Raises InputError."""
        digits = text.strip()
        if _REAL.fullmatch(digits) and self.holds(float(digits)):
            return float(digits)
        raise InputError(name + _clipped(text), expected=self.words)

    def holds(self, value: object) -> TypeGuard[float]:
        """Is the value an int or a float of this range? True, False and NaN are none."""
        if type(value) is not int and not isinstance(value, float):
            return False
        # Comparisons of an int with a float are exact in Python, even beyond the largest float.
        return (self.least < value if self.open else self.least <= value) and value <= self.most


@dataclasses.dataclass(frozen=True)
class Boolean:
    """True or false, and no number or word in place of them.

    Example:
        >>> Boolean().check("false", "use_parallel_residual ")
        Traceback (most recent call last):
        ...
        dynamics.errors.InputError: got use_parallel_residual 'false'; expected true or false
    """

    @property
    def words(self) -> str:
        """What an error says is expected."""
        return "true or false"

    def check(self, value: object, name: str) -> bool:
        """The value. Raises InputError."""
        if type(value) is bool:
            return value
        raise InputError(name + shown(value), expected=self.words)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few names."""

    names: tuple[str, ...]

    @property
    def words(self) -> str:
        """What an error says is expected."""
        return f"one of {', '.join(self.names)}"

    def check(self, value: object, name: str) -> str:
        """The value. Raises InputError, which suggests a name that is near."""
        if isinstance(value, str) and value in self.names:
            return value
        if isinstance(value, str):
            raise InputError.unknown(name.strip(), value[:_MOST_SHOWN], self.names)
        raise InputError(name + shown(value), expected=self.words)


Range: TypeAlias = Whole | Real | Boolean | Choice


def shown(value: object) -> str:
    """A value as messages say it: its repr, at most 60 characters.

    Example:
        >>> shown("a" * 100)[:12], len(shown("a" * 100)), shown(10**5000)
        ("'aaaaaaaaaaa", 60, 'an int of 5001 digits')
    """
    if isinstance(value, int) and abs(value) >= 10**100:
        return f"an int of {int(math.log10(abs(value))) + 1} digits"
    try:
        return _clipped(_short_repr(value))
    except (ValueError, RecursionError):  # a number of too many digits, or a nesting too deep
        return f"a {type(value).__name__}"


def _short_repr(value: object) -> str:
    # The repr of a text of a megabyte would be one of a megabyte too.
    return repr(value[: 4 * _MOST_SHOWN] if isinstance(value, str | bytes) else value)


def _clipped(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
