"""One process of parts: `python -m benchmarks.device.worker MODULE SIZES PIPE PART...`

Reads the numbers of earlier parts from its standard input, and writes the line of each part into
the pipe as soon as it is known. It ends after a part that went wrong, so that the next starts with
a clean memory.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping

from benchmarks.device import lines
from benchmarks.device.part import Part


def main(module: str, sizes: str, pipe: str, *names: str):
    """Runs the parts `names` of `module`.PARTS at their "full" or "dry" sizes."""
    earlier = json.load(sys.stdin)
    parts = {part.name: part for part in importlib.import_module(module).PARTS}
    with os.fdopen(int(pipe), "w", buffering=1) as results:
        for name in names:
            line = run(parts[name], sizes, earlier)
            print(json.dumps(line), file=results)
            if line.state != lines.DONE:
                return
            earlier[name] = line.numbers


def run(part: Part, sizes: str, earlier: Mapping[str, Mapping]) -> lines.Line:
    """The part's line, whatever it raises."""
    start = time.perf_counter()
    try:
        numbers = part.run(part.dry if sizes == "dry" else part.full, earlier)
        state, reason = (lines.DONE if numbers.get("agrees", True) else lines.DISAGREES), ""
    except Exception as error:
        traceback.print_exc()
        numbers, (state, reason) = {}, classify(error)
    return lines.Line(part.name, state, time.perf_counter() - start, reason, numbers)


def classify(error: Exception) -> tuple[str, str]:
    """(state, reason) of a part, or of a peer, that raised.

    >>> classify(MemoryError())
    ('out of memory', '')
    >>> classify(ModuleNotFoundError("No module named 'torch'", name="torch"))
    ('missing', 'torch')
    """
    first_line = str(error).partition("\n")[0]
    if isinstance(error, ModuleNotFoundError):
        return lines.MISSING, error.name or first_line
    # JAX and torch each have a class of their own for it, which a process without them lacks.
    exhausted = "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()
    if isinstance(error, MemoryError) or exhausted:
        return lines.OUT_OF_MEMORY, first_line
    return lines.FAILED, f"{type(error).__name__}: {first_line}"


if __name__ == "__main__":
    main(*sys.argv[1:])
