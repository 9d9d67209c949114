"""One part of the device checks: what it runs, at which sizes, in whose process, how long."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Part(NamedTuple):
    """A row of the table.

    Attributes:
        run: (sizes, earlier) -> numbers, `earlier` being the numbers of the parts before, by name.
            "remarks" in the numbers are sentences for the table; "agrees" False says that they are
            out of their tolerance.
        process: parts of one name follow each other in one process, which spares the imports. A
            peak of memory cannot be reset in JAX, so they stand in the order of what they need.
        limit_s: seconds, the start of the process among them.
        full, dry: sizes on an accelerator, and at toy size on a CPU.
    """

    name: str
    run: Callable[[Any, Mapping[str, Mapping]], dict]
    process: str
    limit_s: float
    full: Any
    dry: Any
