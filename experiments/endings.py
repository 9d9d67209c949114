"""How a script ends: one line for bad input, a clean end for Ctrl-C and SIGTERM, exit codes."""

import functools
import os
import signal
import sys
from collections.abc import Callable

import jax

from dynamics.errors import InputError

_DISK = (
    "expected a readable, writable disk with room. Free some space, or move $DYNAMICS_CACHE or "
    "--out, and run the same command: what was committed stays."
)
_MEMORY = (
    "expected work that fits the memory. Take fewer windows, seeds or chains at once; what was "
    "committed stays."
)
# signal -> exit code, and what is said
_SIGNALS = {
    signal.SIGINT: (130, b"\nstopped; run the same command to go on where it was\n"),
    signal.SIGTERM: (143, b"\nterminated; committed results stay, the same command goes on\n"),
}


def catch_signals():
    """Ends the process at Ctrl-C and SIGTERM. A kill at any point is safe.

    Not by exceptions: one raised inside a callback of the compiler is swallowed.
    """
    for number, (code, words) in _SIGNALS.items():
        signal.signal(number, functools.partial(_end, code, words))


def run(body: Callable[[], None]):
    """Runs `body`; an error that a person can mend is one line on stderr and exit code 1."""
    try:
        body()
    except InputError as error:
        _exit(f"error: {error}")
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _exit(f"error: got {str(error).splitlines()[0][:200]}; {_MEMORY}")
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        _exit(f"error: got {error.strerror or error}{where}; {_DISK}")


def _exit(line: str):
    print(line, file=sys.stderr)
    sys.exit(1)


def _end(code: int, words: bytes, signum, frame):
    os.write(2, words)
    os._exit(code)
