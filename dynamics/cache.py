"""The folder of what is costly to make or to download again, and locks on what lies in it."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from dynamics.errors import InputError

__all__ = ["cache_root", "locked"]

# What file systems without locks answer, such as some network mounts.
_NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL}


def cache_root() -> Path:
    """$DYNAMICS_CACHE, else ~/.cache/dynamics. Raises InputError for a user without a home."""
    folder = os.environ.get("DYNAMICS_CACHE") or "~/.cache/dynamics"
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{folder} for the cache, on a machine that knows no home folder for it",
            expected="a folder",
            mend="Set DYNAMICS_CACHE.",
        ) from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Holds the lock file `path` against other threads and processes.

    Yields True; where the file system has no locks, False, and nothing is held. Raises OSError for
    a file that cannot be made.

    Example:
        >>> import tempfile
        >>> with locked(Path(tempfile.mkdtemp()) / ".lock") as held:
        ...     held
        True
    """
    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        held = False
    else:
        held = True
    try:
        yield held
    finally:
        if held:
            lock.release()
