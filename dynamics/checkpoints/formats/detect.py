"""What a weight file is, from its first bytes; a file of a foreign kind is refused by its name."""

from typing import NamedTuple

from dynamics.checkpoints.formats.byte_source import ByteSource
from dynamics.errors import InputError

FIRST_BYTES = 1 << 16  # a safetensors header, or a state dict's pickle, of most models
CUT_OFF = "It was probably cut off while it was copied; fetch it again."
CONVERT = (
    "With a torch of 1.6 or later and transformers, convert it: "
    "AutoModelForCausalLM.from_pretrained(folder)"
    ".save_pretrained(new_folder, safe_serialization=True)."
)
_ZIP = b"PK\x03\x04"
# The number that torch before 1.6 pickled first.
_LEGACY_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


class BufferedStart:
    """A source whose first bytes are read once, so that opening a remote file costs few requests.

    `start` holds the first FIRST_BYTES bytes, or all of a smaller file.
    """

    def __init__(self, source: ByteSource):
        self.name, self.size = source.name, source.size
        self._source = source
        self.start = source.read(0, min(FIRST_BYTES, source.size))

    def read(self, start: int, stop: int) -> memoryview:
        return self.start[start:stop] if stop <= len(self.start) else self._source.read(start, stop)


def buffered(source: ByteSource) -> BufferedStart:
    """The source with its first bytes buffered; unchanged if it buffers them already."""
    return source if isinstance(source, BufferedStart) else BufferedStart(source)


def unreadable(source: ByteSource, why: str, *, expected: str, mend: str = CUT_OFF) -> InputError:
    """The error for a damaged weight file, in one form for every format."""
    return InputError(
        f"{source.name} ({source.size} bytes), unreadable: {why}", expected=expected, mend=mend
    )


def is_torch(source: BufferedStart) -> bool:
    """Did torch write the file, whole or not? Where its bytes do not say, its name decides."""
    start = bytes(source.start[:9])
    if start.startswith((_ZIP, _LEGACY_TORCH[:4])):
        return True
    return start[8:] != b"{" and source.name.endswith((".bin", ".pt", ".pth"))


def refuse_foreign(source: BufferedStart, expected: str):
    """Raises InputError for a file that holds no weights, or that an old torch wrote.

    The message names the kind of file.
    """
    for kind in _foreign_kinds(bytes(source.start[:512])):
        if kind.matches:
            raise unreadable(source, kind.why, expected=expected, mend=kind.mend)


class _ForeignKind(NamedTuple):
    matches: bool
    why: str
    mend: str


def _foreign_kinds(start: bytes) -> list[_ForeignKind]:
    text = start.lstrip().lower()
    return [
        _ForeignKind(
            start.startswith(b"version https://git-lfs"),
            "it is a git-lfs pointer, not the file that it points to",
            "Run `git lfs pull` in the repository, or fetch the file itself.",
        ),
        _ForeignKind(
            text.startswith((b"<!doctype html", b"<html", b"<?xml")),
            "it is a web page, not weights",
            "A download was answered with an error or a sign-in page; fetch it again.",
        ),
        _ForeignKind(
            start.startswith(_LEGACY_TORCH),
            "it is in torch's format from before 1.6, a bare pickle",
            CONVERT,
        ),
        _ForeignKind(
            start[257:262] == b"ustar",
            "it is a tar archive, torch's format from before 0.1.10",
            CONVERT,
        ),
    ]
