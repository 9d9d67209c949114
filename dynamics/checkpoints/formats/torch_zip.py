"""The zip archive that torch.save writes: stored entries under one folder, without overlap.

Anything else that zip allows is refused. Opening reads only the directory at the file's end. An
entry's own header is compared with the directory when the entry is read. Checksums are ignored:
torch can write an archive without them, and a part of an entry has none. Source: APPNOTE.TXT of
PKWARE, sections 4.3 and 4.5.3; ZIP64 is read throughout.
"""

import struct
from typing import NamedTuple

from dynamics.checkpoints.formats.byte_source import ByteSource
from dynamics.checkpoints.formats.detect import CUT_OFF, unreadable
from dynamics.errors import InputError

EXPECTED = "a whole file as torch.save writes it"
_LOCAL, _CENTRAL, _END = (
    struct.Struct("<4s5H3I2H"),
    struct.Struct("<4s6H3I5H2I"),
    struct.Struct("<4s4H2IH"),
)
_LOCATOR, _END64 = struct.Struct("<4sIQI"), struct.Struct("<4sQ2H2I4Q")
_TAIL = 1 << 16
_MOST_ENTRIES, _MOST_DIRECTORY = 200_000, 1 << 26
_ENCRYPTED, _SIZES_FOLLOW = 1 | 1 << 6 | 1 << 13, 1 << 3
_FULL = 0xFFFFFFFF  # in a 32-bit field: the number is in the ZIP64 extra field


class Entry(NamedTuple):
    """One entry: its local header starts at `start`; the next entry starts at `limit`."""

    path: bytes  # with the top folder
    size: int
    flags: int
    start: int
    limit: int

    @property
    def slack(self) -> int:
        """Bytes left for the header's extra field (torch pads with it) and a descriptor."""
        return self.limit - self.start - _LOCAL.size - len(self.path) - self.size


class Archive:
    """Entries by their name under the top folder.

    Raises InputError for an archive that torch would not write.
    """

    def __init__(self, source: ByteSource):
        self._source = source
        self._tail_start = max(0, source.size - _TAIL)
        self._tail = source.read(self._tail_start, source.size)
        # path -> where its data start, once its local header was read
        self._starts: dict[bytes, int] = {}
        self.entries = self._directory()

    def read(self, name: str, start: int, stop: int) -> memoryview:
        """Bytes [start, stop) of an entry; its local header comes in the same range if near."""
        entry = self.entries[name]
        base = self._starts.get(entry.path)
        if base is None and start + entry.slack <= _TAIL:
            data = self._source.read(entry.start, entry.limit - entry.size + stop)
            offset = self._check_local(entry, data) - entry.start
            return data[offset + start : offset + stop]
        if base is None:
            near = entry.start + _LOCAL.size + len(entry.path) + min(entry.slack, _TAIL)
            base = self._check_local(entry, self._source.read(entry.start, near))
        return self._source.read(base + start, base + stop)

    def refuse(self, why: str, mend: str = CUT_OFF) -> InputError:
        """The error for an archive that cannot be read, to be raised by the caller."""
        return unreadable(self._source, why, expected=EXPECTED, mend=mend)

    def _at(self, start: int, stop: int) -> memoryview:
        if not 0 <= start <= stop <= self._source.size:
            raise self.refuse("its directory lies outside the file")
        if start >= self._tail_start:
            return self._tail[start - self._tail_start : stop - self._tail_start]
        return self._source.read(start, stop)

    def _end(self) -> tuple[int, int, int, int]:
        """(number of entries, directory's start, its size, where it must end)."""
        at = self._source.size - _END.size
        if at < 0 or bytes(self._at(at, at + 4)) != b"PK\x05\x06":
            raise self.refuse("its end, where the directory of a zip archive is, is not there")
        _, disk, first, here, count, size, start, comment = _END.unpack(
            self._at(at, at + _END.size)
        )
        before = at - _LOCATOR.size
        if before >= 0 and bytes(self._at(before, before + 4)) == b"PK\x06\x07":
            return self._end64(before)
        if disk or first or here != count or comment:
            raise self.refuse("its directory is of an archive in parts")
        return count, start, size, at

    def _end64(self, before: int) -> tuple[int, int, int, int]:
        _, disk, at, _ = _LOCATOR.unpack(self._at(before, before + _LOCATOR.size))
        if disk or at + _END64.size != before or bytes(self._at(at, at + 4)) != b"PK\x06\x06":
            raise self.refuse("its ZIP64 directory is not where it is said to be")
        *_, disk, first, here, count, size, start = _END64.unpack(self._at(at, at + _END64.size))
        if disk or first or here != count:
            raise self.refuse("its directory is of an archive in parts")
        return count, start, size, at

    def _directory(self) -> dict[str, Entry]:
        count, start, size, end = self._end()
        if start + size != end or size > _MOST_DIRECTORY or not 0 < count <= _MOST_ENTRIES:
            raise self.refuse(
                f"its directory of {count} entries in {size} bytes does not end where it should"
            )
        directory, at, entries = self._at(start, end), 0, []
        for _ in range(count):
            entry, at = self._central(directory, at)
            entries.append(entry)
        if at != size:
            raise self.refuse("its directory holds more than its entries")
        return self._named(self._bounded(entries, start))

    def _central(self, directory: memoryview, at: int) -> tuple[Entry, int]:
        if len(directory) < at + _CENTRAL.size or bytes(directory[at : at + 4]) != b"PK\x01\x02":
            raise self.refuse("its directory breaks off")
        fields = _CENTRAL.unpack_from(directory, at)
        flags, method = fields[3:5]
        packed, size, n_path, n_extra, n_comment, disk = fields[8:14]
        start = fields[16]
        at += _CENTRAL.size
        path = bytes(directory[at : at + n_path])
        extra = bytes(directory[at + n_path : at + n_path + n_extra])
        size, packed, start = self._wide(extra, size, packed, start)
        if method or packed != size:
            raise self.refuse(
                f"{_shown(path)} is compressed, and torch compresses nothing",
                "Save it again by torch.",
            )
        if flags & _ENCRYPTED or disk:
            raise self.refuse(f"{_shown(path)} is encrypted or in parts", "Save it again by torch.")
        return Entry(path, size, flags, start, 0), at + n_path + n_extra + n_comment

    def _wide(self, extra: bytes, *numbers: int) -> list[int]:
        """The numbers; those beyond 32 bits come, in order, from the ZIP64 extra field."""
        wide, at = b"", 0
        while at + 4 <= len(extra):
            tag, length = struct.unpack_from("<2H", extra, at)
            wide = extra[at + 4 : at + 4 + length] if tag == 1 else wide
            at += 4 + length
        missing = numbers.count(_FULL)
        if len(wide) < 8 * missing:
            raise self.refuse("its directory lacks a ZIP64 size")
        large = iter(struct.unpack_from(f"<{missing}Q", wide))
        return [next(large) if number == _FULL else number for number in numbers]

    def _bounded(self, entries: list[Entry], end: int) -> list[Entry]:
        bounded = []
        for entry in sorted(entries, key=lambda e: e.start, reverse=True):
            bounded.append(entry := entry._replace(limit=end))
            if entry.slack < 0:
                raise self.refuse(
                    f"{_shown(entry.path)} overlaps what follows it, or the file's end"
                )
            end = entry.start
        return bounded

    def _named(self, entries: list[Entry]) -> dict[str, Entry]:
        tops, named = set(), {}
        for entry in entries:
            parts = entry.path.decode("utf-8", "replace").split("/")
            if (
                len(parts) < 2
                or {"", ".", ".."} & set(parts)
                or any(c in "\\\0\ufffd" for c in "".join(parts))
            ):
                raise self.refuse(
                    f"the path {_shown(entry.path)} in it is none that torch writes",
                    "Do not trust it.",
                )
            tops.add(parts[0])
            named["/".join(parts[1:])] = entry
        if len(tops) != 1 or len(named) != len(entries):
            raise self.refuse("its entries are not under one folder, each once", "Do not trust it.")
        return named

    def _check_local(self, entry: Entry, header: memoryview) -> int:
        """Where the entry's data start. Raises InputError if header and directory disagree."""
        signature, _, flags, method, _, _, _, packed, size, n_path, n_extra = _LOCAL.unpack_from(
            header
        )
        path = bytes(header[_LOCAL.size : _LOCAL.size + n_path])
        extra = bytes(header[_LOCAL.size + n_path : _LOCAL.size + n_path + n_extra])
        same = (
            signature == b"PK\x03\x04"
            and path == entry.path
            and method == 0
            and flags == entry.flags
        )
        sizes = set(self._wide(extra, size, packed)) if same else set()
        # An entry whose sizes follow its data has zeros here.
        if (
            not same
            or n_extra > entry.slack
            or sizes - {entry.size} - ({0} if flags & _SIZES_FOLLOW else set())
        ):
            raise self.refuse(f"the header of {_shown(entry.path)} contradicts the directory")
        self._starts[entry.path] = entry.start + _LOCAL.size + n_path + n_extra
        return self._starts[entry.path]


def _shown(path: bytes) -> str:
    return repr(path[:80].decode("utf-8", "replace"))
