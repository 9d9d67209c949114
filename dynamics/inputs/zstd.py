"""Reading Zstandard with whatever library is here: Python's own from 3.14 on, or another's.

The package `zstandard` is none of them: its streams end without a word where a file is cut short.
"""

import importlib
from typing import IO, Any, cast

from dynamics.errors import InputError


def read_zstd(file: IO[bytes], size: int, path: object) -> bytes:
    """The first `size` bytes that a .zst file unpacks to, fewer where it has no more.

    Raises:
        InputError: a file that is damaged or cut short; no library that can read it.
    """
    stream = _open(file, path)
    try:
        content = bytearray()
        while len(content) < size and (chunk := stream.read(min(1 << 20, size - len(content)))):
            content += chunk
        return bytes(content)
    except Exception as error:  # each library has errors of its own
        raise InputError(f"{path}, unreadable ({error})", expected="a whole .zst file") from error


def _open(file: IO[bytes], path: object) -> IO[bytes]:
    for name in ("compression.zstd", "backports.zstd", "pyarrow"):
        try:
            library: Any = importlib.import_module(name)
        except ImportError:
            continue
        if name == "pyarrow":
            plain = library.PythonFile(file, mode="r")
            return cast(IO[bytes], library.CompressedInputStream(plain, "zstd"))
        return library.ZstdFile(file)
    raise InputError(
        f"{path}, which no library here can unpack",
        expected="a library that reads Zstandard",
        mend="pip install backports.zstd, or unpack the file.",
    )
