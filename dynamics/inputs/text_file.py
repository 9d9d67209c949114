"""Text files from outside: bounded, regular, UTF-8.

The one reader of every text that a user names: corpora, minimal pairs, suites, configurations. It
opens no FIFO or device, which would hang or never end, reads (and unpacks) no more than a stated
number of bytes, drops a byte-order mark, and knows gzip and Zstandard by the name's ending.
"""

import gzip
import io
import os
import stat
import zlib
from pathlib import Path
from typing import IO

from dynamics.errors import InputError
from dynamics.inputs.ranges import shown
from dynamics.inputs.zstd import read_zstd

_CHUNK = 1 << 20  # bytes that are read at a time


def read_bytes(path: str | Path, most: int, expected: str = "a file") -> bytes:
    """The content of a regular file, unpacked if its name ends in .gz or .zst.

    Args:
        path: the file.
        most: the most bytes it may hold, after unpacking.
        expected: what an error says should have been here.

    Raises:
        InputError: no such file, a folder, FIFO or device; too long; packed and damaged, or cut
            short; .zst without a library that reads it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "some.txt"
        >>> _ = path.write_text("some text")
        >>> read_bytes(path, most=4)
        Traceback (most recent call last):
        ...
        dynamics.errors.InputError: got ...some.txt of more than 4 bytes; expected a file of ...
    """
    path = Path(path)
    try:
        with _opened(path, expected) as file:
            if str(path).lower().endswith(".gz"):
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _bounded(unpacked, path, most, expected)
            if str(path).lower().endswith(".zst"):
                unpacked = io.BytesIO(read_zstd(file, most + 1, path))
                return _bounded(unpacked, path, most, expected)
            return _bounded(file, path, most, expected)
    except OSError as error:
        raise InputError(
            f"{path}, which cannot be read ({error.strerror or error})", expected=expected
        ) from error
    except (EOFError, zlib.error, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}, unreadable ({error})", expected=expected) from error


def read_text(path: str | Path, most: int, expected: str = "text") -> str:
    """The text of a file of UTF-8, without a byte-order mark, and with "\\n" for every line end.

    Args:
        path: the file; unpacked if its name ends in .gz or .zst.
        most: the most bytes it may hold, after unpacking.
        expected: what an error says should have been here.

    Raises:
        InputError: as `read_bytes` does; text in another encoding.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "some.txt"
        >>> _ = path.write_bytes(b"\\xef\\xbb\\xbftwo\\r\\nlines")
        >>> read_text(path, most=100)
        'two\\nlines'
    """
    content = read_bytes(path, most, expected)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, which is not UTF-8 ({error.reason} at byte {error.start})",
            expected=expected,
            mend="Save it as UTF-8." if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_text(value: object, name: str, *, nul: bool = False) -> str:
    """A value that is text which UTF-8 can hold. Raises InputError, which says `name` before it.

    A lone surrogate is valid JSON but no text. A NUL would end the text where it is stored; with
    `nul` it is allowed.
    """
    if not isinstance(value, str):
        raise InputError(f"{name} = {shown(value)}", expected="text")
    if not nul and "\0" in value:
        raise InputError(f"{name} with a NUL character", expected="text without")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name} with an unpaired surrogate at character {error.start}",
            expected="text that UTF-8 can hold",
        ) from error
    return value


def utf8_name(name: str) -> str:
    """A file's name as text: bytes of it that are no UTF-8 become escapes such as "\\xff".

    Example:
        >>> utf8_name("caf\\udce9.txt")
        'caf\\\\xe9.txt'
    """
    return os.fsencode(name).decode(errors="backslashreplace")


def _opened(path: Path, expected: str) -> IO[bytes]:
    # Without O_NONBLOCK to open a FIFO would wait for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file (a pipe or a device)"
        raise InputError(f"{path}, which is {kind}", expected=expected)
    return os.fdopen(descriptor, "rb")


def _bounded(file: IO[bytes] | gzip.GzipFile, path: Path, most: int, expected: str) -> bytes:
    content = bytearray()
    while chunk := file.read(min(_CHUNK, most + 1 - len(content))):
        content += chunk
        if len(content) > most:
            raise InputError(
                f"{path} of more than {_size(most)}",
                expected=f"{expected} of {_size(most)} or less",
            )
    return bytes(content)


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("kiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"
