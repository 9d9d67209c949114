"""The file of results: one line of JSON for each part, in the order in which they ended."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from dynamics.errors import InputError

DONE = "done"
MISSING = "missing"  # a package that our side needs is not installed
DISAGREES = "disagrees"  # numbers are out of their tolerance
OUT_OF_MEMORY = "out of memory"
FAILED = "failed"
DIED = "died"  # the process ended without a word
OVER_LIMIT = "over its limit"
NOT_REACHED = "not reached"  # the time of all parts together was up
STATES = (DONE, MISSING, DISAGREES, OUT_OF_MEMORY, FAILED, DIED, OVER_LIMIT, NOT_REACHED)
GREEN = (DONE, MISSING)


class Line(NamedTuple):
    """What is known of one part."""

    part: str
    state: str  # one of STATES
    seconds: float  # wall time of the part
    reason: str = ""  # why it is not done
    numbers: dict[str, Any] = {}  # noqa: RUF012 (never changed)

    def sentence(self) -> str:
        """For people: the part, its state and its remarks."""
        remarks = self.numbers.get("remarks", [])
        words = "; ".join([*([self.reason] if self.reason else []), *remarks])
        return f"{self.part}: {self.state}, {self.seconds:.1f} s" + (f". {words}" if words else "")


def append(path: Path, line: Line):
    """Adds the line at once, so that it outlives whatever happens next."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_finite(line._asdict())) + "\n")


def read(path: Path) -> list[Line]:
    """The lines of a file.

    Raises:
        InputError: a file that is not one of ours.
    """
    try:
        lines = [Line(**json.loads(text)) for text in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}, which cannot be read ({error})",
            expected="the file that launch/device_checks.sh wrote",
        ) from None
    return lines


def _finite(value):
    """`value` with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
