"""The state of a training run on disk: written whole, or an error that says what to do."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
from jaxtyping import Array, PyTree

from dynamics.errors import InputError

# What a saved state takes on a disk: more than its numbers, and files that describe them.
_STATE_ROOM, _STATE_FILES = 1.25, 2**18  # times its bytes; bytes


@contextlib.contextmanager
def written(folder: Path, state: PyTree[Array]) -> Iterator[None]:
    """Raises InputError where `state` cannot be written under `folder`, and leaves no litter."""
    # Before orbax begins: in a write that fails, its threads print tracebacks of their own.
    num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    if shutil.disk_usage(folder).free < _STATE_ROOM * num_bytes + _STATE_FILES:
        raise _no_room(folder, "No space left on device")
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:  # tensorstore raises ValueError
        for partial in folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(partial, ignore_errors=True)
        raise _no_room(folder, str(error)) from error


def _no_room(folder: Path, reason: str) -> InputError:
    return InputError(
        f"{folder}, which cannot be written ({reason})",
        expected="a writable folder with room",
        mend="Free some space or move $DYNAMICS_CACHE, and run the same command: training goes on "
        "from what was saved.",
    )
