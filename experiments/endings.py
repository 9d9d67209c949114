"""How a script ends: one line for bad input, a clean end for Ctrl-C and SIGTERM, exit codes.

The package imports this file before any heavy library, so that a signal of the first seconds ends a
script as cleanly as a later one.
"""

import contextlib
import functools
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from dynamics.errors import InputError, printable

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


def prepare_streams():
    """Opens /dev/null for standard streams that are closed, and lets stdout print any path.

    A file opened later would get the number of a closed stream, and what is meant for stderr would
    be written into it; and progress that nobody can see is no reason to stop.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        if getattr(sys, name) is None:
            mode = "r" if descriptor == 0 else "w"
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, stays open to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path may be no UTF-8


def say(line: str):
    """Prints a line on stderr, if there is anybody to read it."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def run(body: Callable[[], None]):
    """Runs `body`; an error that a person can mend is one line on stderr and exit code 1."""
    import jax  # not at the head: see there

    try:
        body()
    except InputError as error:
        refuse(str(error))
    except MemoryError as error:
        refuse(f"got {error or 'no memory left'}; {_MEMORY}")
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        refuse(f"got {str(error).splitlines()[0][:200]}; {_MEMORY}")
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        refuse(f"got {error.strerror or error}{where}; {_DISK}")


def refuse(sentence: str) -> NoReturn:
    """Ends the script with an error that a person can mend: one line on stderr, exit code 1."""
    say(f"error: {printable(sentence)}")
    sys.exit(1)


def _end(code: int, words: bytes, signum, frame):
    with contextlib.suppress(OSError):  # nobody may be reading
        os.write(2, words)
    os._exit(code)
