"""Files and folders that appear whole or not at all.

The content is written under a temporary name beside its target, flushed to the disk, and put in
place by one rename, so that a reader sees the old content or the new. Any failure removes the
temporary name. What a killed process leaves is hidden (its name starts with a dot) and harmless.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from dynamics.errors import InputError

__all__ = ["check_writable", "rename_durably", "write_atomically", "write_folder_atomically"]

_ROOM = "a writable folder with room"
_MEND = "Free some space or choose another place."


def write_atomically(path: str | Path, content: bytes | str, *, mend: str = _MEND) -> Path:
    """Writes `content` to `path` whole or not at all, and returns the path.

    Missing folders are made. A `str` is encoded as UTF-8. Several processes and threads may write
    one path at once: the last rename wins, and each version is whole.

    Args:
        path: the file to write, new or to be replaced.
        content: all of it.
        mend: what the error advises.

    Raises:
        InputError: the file cannot be written (no permission, no room, a folder of that name). The
            path then holds what it held before.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> path = write_atomically(folder / "new" / "run.json", '{"seed": 0}')
        >>> path.read_text()
        '{"seed": 0}'
        >>> [file.name for file in path.parent.iterdir()]
        ['run.json']
    """
    path = Path(path)
    with _as_input_error(path, mend):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _beside(path, "partial")
        try:
            with open(partial, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
            rename_durably(partial, path)
        except BaseException:
            _remove(partial)
            raise
    return path


def write_folder_atomically(folder: str | Path, fill: Callable[[Path], object]) -> Path:
    """Makes `folder` whole or not at all, and returns it.

    A rename cannot replace a folder that is not empty. An older folder of that name therefore steps
    aside first, and back if the rename fails; between the two renames there is none.

    Args:
        folder: the folder to write, new or to be replaced.
        fill: writes the content into the empty folder that it is called with.

    Raises:
        InputError: a file stands where the folder should, or the disk refuses to hold it.
        Whatever else `fill` raises; the folder then holds what it held before.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{folder}, which is a file", expected="a folder to write, new or to be replaced"
        )
    with _as_input_error(folder, _MEND):
        partial = _beside(folder, "partial")
        try:
            partial.mkdir(parents=True)
            fill(partial)
            for path in partial.rglob("*"):
                _flush(path)
            _replace_folder(partial, folder)
        finally:
            _remove(partial)
    return folder


def rename_durably(partial: Path, path: Path):
    """Puts a finished file in place, on disk before it has its name and with its name thereafter.

    Raises OSError.
    """
    _flush(partial)
    partial.replace(path)
    _flush(path.parent)


def check_writable(folder: str | Path, *, name: str):
    """Raises InputError, before any work is done, if nothing could be written under `folder`.

    `name` is what the error calls the folder, such as "--out=results".
    """
    probe = _beside(Path(folder) / "probe", "partial")
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        _remove(probe)
        raise InputError(
            f"{name}, which cannot be written ({error.strerror or error})", expected=_ROOM
        ) from error


@contextlib.contextmanager
def _as_input_error(path: Path, mend: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}, which cannot be written ({error.strerror or error})",
            expected=_ROOM,
            mend=mend,
        ) from error


def _beside(path: Path, role: str) -> Path:
    """A hidden name of this thread in the same folder: a rename never crosses a file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_native_id()}.{role}")


def _replace_folder(partial: Path, folder: Path):
    if not folder.exists():
        partial.rename(folder)
        _flush(folder.parent)
        return
    aside = _beside(folder, "replaced")
    _remove(aside)
    folder.rename(aside)
    try:
        partial.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    _flush(folder.parent)
    shutil.rmtree(aside)


def _flush(path: Path):
    """Has the disk hold a file's bytes, or a folder's names, before this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some network file systems cannot do this for a folder, and need not.
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path):
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
