"""Bytes at offsets, local or remote: the interface that readers of weight files use."""

import mmap
from pathlib import Path
from typing import Protocol

from dynamics.errors import InputError


class ByteSource(Protocol):
    """A file whose parts are read independently of the rest, local or remote."""

    name: str  # for messages
    size: int  # bytes

    def read(self, start: int, stop: int) -> memoryview:
        """Bytes [start, stop), read-only. The caller ensures 0 <= start <= stop <= size."""
        ...


class LocalBytes:
    """A local file, memory-mapped: a read is a view, and only touched pages cost memory.

    Raises InputError for a file that cannot be opened.
    """

    def __init__(self, path: Path):
        self.name = str(path)
        try:
            with open(path, "rb") as file:
                self.size = file.seek(0, 2)
                # An empty file cannot be mapped, and nothing is ever read from it.
                self._map = (
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""
                )
        except OSError as error:
            raise InputError(
                f"{path}, which cannot be read ({error.strerror})", expected="a weight file"
            ) from error

    def read(self, start: int, stop: int) -> memoryview:
        return memoryview(self._map)[start:stop]
