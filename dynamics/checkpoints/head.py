"""The first bytes of a weight file: kept, and asked what the file is."""

from dynamics.checkpoints.byte_source import ByteSource
from dynamics.errors import InputError

SPAN = 1 << 16  # a safetensors header, or a state dict's pickle, of most models
CUT = "It was probably cut off while it was copied; fetch it again."
CONVERT = (
    "With a torch of 1.6 or later and transformers, convert it: AutoModelForCausalLM.from_pretrained(folder)"
    ".save_pretrained(new_folder, safe_serialization=True)."
)
_ZIP = b"PK\x03\x04"
_LEGACY_TORCH = (
    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch < 1.6 pickled first
)


class WithHead:
    """A source whose first SPAN bytes are read once, so that opening a remote file costs few
    requests."""

    def __init__(self, source: ByteSource):
        self.name, self.size = source.name, source.size
        self._source = source
        self.head = source.read(0, min(SPAN, source.size))

    def read(self, start: int, stop: int) -> memoryview:
        return self.head[start:stop] if stop <= len(self.head) else self._source.read(start, stop)


def with_head(source: ByteSource) -> WithHead:
    """The source with its head kept; one that keeps it already as it is."""
    return source if isinstance(source, WithHead) else WithHead(source)


def unreadable(source: ByteSource, why: str, *, expected: str, mend: str = CUT) -> InputError:
    """The one form in which a damaged weight file is told of."""
    return InputError(
        f"{source.name} ({source.size} bytes), unreadable: {why}", expected=expected, mend=mend
    )


def is_torch(source: WithHead) -> bool:
    """Whether torch wrote the file, whole or not; where the bytes do not tell, its name does."""
    head = bytes(source.head[:9])
    if head.startswith((_ZIP, _LEGACY_TORCH[:4])):
        return True
    return head[8:] != b"{" and source.name.endswith((".bin", ".pt", ".pth"))


def refuse_foreign(source: WithHead, expected: str):
    """Raises InputError that names the kind of a file which is no weight file, or torch's of an
    older age."""
    for told, why, mend in _foreign(bytes(source.head[:512])):
        if told:
            raise unreadable(source, why, expected=expected, mend=mend)


def _foreign(head: bytes) -> list[tuple[bool, str, str]]:
    text = head.lstrip().lower()
    return [
        (
            head.startswith(b"version https://git-lfs"),
            "it is a git-lfs pointer, not the file that it points to",
            "Run `git lfs pull` in the repository, or fetch the file itself.",
        ),
        (
            text.startswith((b"<!doctype html", b"<html", b"<?xml")),
            "it is a web page, not weights",
            "A download was answered with an error or a sign-in page; fetch it again.",
        ),
        (
            head.startswith(_LEGACY_TORCH),
            "it is in torch's format from before 1.6, a bare pickle",
            CONVERT,
        ),
        (
            head[257:262] == b"ustar",
            "it is a tar archive, torch's format from before 0.1.10",
            CONVERT,
        ),
    ]
