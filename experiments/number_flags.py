"""Flags that are numbers: each with its range, read by the parser of every other number.

absl's own accept infinity, NaN, numbers of thousands of digits, and a billion of anything.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

from absl import flags

from dynamics.inputs import Real, Whole

Number = TypeVar("Number", int, float)
MOST = 10_000_000  # of windows, pairs and the like: what a machine may hold
MOST_CHAINS = 100_000  # of chains and probes
MOST_PARTS = 10_000  # of what is computed one after the other


def whole(name: str, default: int | None, help: str, *, least: int = 0, most: int = MOST):
    """Defines a flag that is a whole number from `least` to `most`."""
    _define(_Parser(Whole(least, most), name), name, default, help)


def real(
    name: str,
    default: float | None,
    help: str,
    *,
    least: float,
    most: float,
    open: bool = False,
    none: str = "",
):
    """Defines a flag that is a finite number from `least` to `most`; above `least` where `open`.

    The word `none`, where there is one, stands for no number.
    """
    _define(_Parser(Real(least, most, open=open), name, none), name, default, help)


def wholes(
    name: str, default: Sequence[int] | None, help: str, *, least: int = 0, most: int = MOST
):
    """Defines a flag that is a list of whole numbers, separated by commas."""
    _define(_ListParser(Whole(least, most), name), name, default, help)


def reals(
    name: str,
    default: Sequence[float] | None,
    help: str,
    *,
    least: float,
    most: float,
    open: bool = False,
):
    """Defines a flag that is a list of finite numbers, separated by commas."""
    _define(_ListParser(Real(least, most, open=open), name), name, default, help)


class _Parser(flags.ArgumentParser, Generic[Number]):
    def __init__(self, allowed: Whole | Real, name: str, none: str = ""):
        super().__init__()
        self._allowed, self._name, self._none = allowed, f"--{name}=", none
        self.syntactic_help = allowed.words

    def parse(self, argument):
        """The number. Raises InputError, which absl takes for the ValueError that it is."""
        if isinstance(argument, str):
            if self._none and argument.replace(" ", "") == self._none.replace(" ", ""):
                return None
            return self._allowed.parse(argument, self._name)
        return self._allowed.check(argument, self._name)

    def flag_type(self) -> str:
        """What --helpfull says."""
        return "int" if isinstance(self._allowed, Whole) else "float"


class _ListParser(_Parser):
    def parse(self, argument):
        """The numbers, a list."""
        parts = argument.split(",") if isinstance(argument, str) else argument
        return [super(_ListParser, self).parse(part) for part in parts if part != ""]

    def flag_type(self) -> str:
        """What --helpfull says."""
        return f"list of {super().flag_type()}s"


class _Serializer(flags.ArgumentSerializer):
    def serialize(self, value) -> str:
        """The flag's value as it would be written."""
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _define(parser: _Parser, name: str, default, help: str):
    flags.DEFINE(parser, name, default, help, serializer=_Serializer())


flags.disclaim_key_flags()  # --help lists a flag under the script that asks for it
