"""Corpora: the embedded one out of the running interpreter, or a user's own text.

A corpus is a list of documents, because a standard error over text rests on documents. Training and
held-out parts are split by document.
"""

import dataclasses
import hashlib
import importlib
import json
import sysconfig
from pathlib import Path
from typing import NamedTuple

from dynamics.errors import InputError

HELD_OUT_EVERY = 10  # one document in ten is held out; a hash of its name decides
_BLOCK = 8_000  # characters of one document where a plain text file has no documents of its own

# A fixed list, so that every installation of one Python release has the same corpus: library
# modules that each full CPython 3.11 to 3.13 has, on every system. No tests, no tables of encodings
# or entities, nothing that distributions ship apart (tkinter, idlelib, turtle).
_MODULES = """
__future__ _collections_abc _compat_pickle _markupbase _py_abc _pydecimal _pyio _strptime
_threading_local _weakrefset abc argparse ast base64 bdb bisect bz2 cProfile calendar cmd code
codecs codeop colorsys compileall configparser contextlib contextvars copy copyreg csv dataclasses
datetime decimal difflib dis doctest enum filecmp fileinput fnmatch fractions ftplib functools
genericpath getopt getpass gettext glob graphlib gzip hashlib heapq hmac imaplib inspect io
ipaddress keyword linecache locale lzma mailbox mimetypes modulefinder netrc ntpath numbers opcode
operator optparse os pdb pickle pickletools pkgutil platform plistlib poplib posixpath pprint
profile pstats pty py_compile pyclbr pydoc queue quopri random reprlib rlcompleter runpy sched
secrets selectors shelve shlex shutil signal site smtplib socket socketserver ssl stat statistics
string stringprep struct subprocess symtable tabnanny tarfile tempfile textwrap threading timeit
tokenize trace traceback tracemalloc tty types typing uuid warnings wave weakref webbrowser zipapp
zipimport
"""
_PACKAGES = """
asyncio collections concurrent ctypes curses dbm email http importlib json logging multiprocessing
re sqlite3 tomllib unittest urllib venv wsgiref xml xmlrpc zoneinfo
"""


class Document(NamedTuple):
    """One text, with the name by which it is split and counted."""

    name: str
    domain: str  # "prose" or "code"; "text" where the source does not say
    text: str


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Named documents in a fixed order.

    Example:
        >>> toy = Corpus("toy", tuple(Document(f"{k}", "text", "abc") for k in range(20)))
        >>> toy.num_bytes, len(toy.train().documents)
        (60, 16)
        >>> [document.name for document in toy.held_out().documents]
        ['0', '7', '9', '10']
    """

    name: str
    documents: tuple[Document, ...]

    @property
    def num_bytes(self) -> int:
        return sum(len(document.text.encode()) for document in self.documents)

    def fingerprint(self) -> str:
        """sha256 over names, domains and texts: equal for equal documents alone."""
        digest = hashlib.sha256()
        for document in self.documents:
            for part in document:
                digest.update(hashlib.sha256(part.encode()).digest())
        return digest.hexdigest()

    def train(self) -> "Corpus":
        """The documents a model or an n-gram may learn from."""
        return self._part("train", [d for d in self.documents if not _is_held_out(d.name)])

    def held_out(self) -> "Corpus":
        """The documents that measures are taken on."""
        return self._part("held-out", [d for d in self.documents if _is_held_out(d.name)])

    def _part(self, part: str, documents: list[Document]) -> "Corpus":
        if not documents:
            raise InputError(
                f"the corpus {self.name} of {len(self.documents)} documents, "
                f"none of which falls in its {part} part",
                expected=f"enough documents for one in {HELD_OUT_EVERY} to be held out",
                mend="Give a folder or a jsonl file of more documents.",
            )
        return Corpus(f"{self.name}/{part}", tuple(documents))


def embedded() -> Corpus:
    """The Python distribution's documentation topics (prose) and library source (code).

    About 7 MB, without a download. Its content is that of the running interpreter, so its
    fingerprint differs between Python releases.

    Raises:
        InputError: an interpreter that ships without them.
    """
    library = Path(sysconfig.get_paths()["stdlib"])
    corpus = Corpus("embedded", (*_topics(), *_modules(library)))
    if corpus.num_bytes < 5_000_000 or not any(d.domain == "prose" for d in corpus.documents):
        raise InputError(
            f"{corpus.num_bytes / 1e6:.1f} MB of documentation and library source under {library}",
            expected="a full Python installation (about 7 MB, documentation topics among them)",
            mend="Install the distribution's complete Python, or give a text with --corpus=FILE.",
        )
    return corpus


def read(path: str | Path) -> Corpus:
    """A user's corpus: a folder of text files, a jsonl file, or one plain text file.

    In a folder each file is a document; hidden files and folders are left out. In a jsonl file each
    line is one, an object with a "text" field and, where it has it, a "domain" field. A plain text
    file is cut at blank lines into documents of about 8,000 characters. All text is UTF-8.

    Raises:
        InputError: a path that does not exist, a corpus without text, a bad line or file.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "notes.jsonl"
        ...     _ = path.write_text('{"text": "first"}\\n{"text": "x = 1", "domain": "code"}')
        ...     notes = read(path)
        >>> [document.name for document in notes.documents]
        ['notes.jsonl#1', 'notes.jsonl#2']
        >>> notes.documents[1].domain
        'code'
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"the corpus {path}, which does not exist", expected="a text or jsonl file, or a folder"
        )
    if path.is_dir():
        files = sorted(
            p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path))
        )
        documents = [Document(str(p.relative_to(path)), _domain(p), _text(p)) for p in files]
    elif path.suffix == ".jsonl":
        documents = _jsonl(path)
    else:
        documents = _blocks(path)
    if not any(document.text.strip() for document in documents):
        raise InputError(f"the corpus {path} without text", expected="at least one document")
    return Corpus(path.name, tuple(documents))


def _is_held_out(name: str) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % HELD_OUT_EVERY == 0


def _topics() -> list[Document]:
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        return []
    return [Document(f"topics/{name}", "prose", topics[name]) for name in sorted(topics)]


def _modules(library: Path) -> list[Document]:
    files = [library / f"{name}.py" for name in _MODULES.split()]
    for package in _PACKAGES.split():
        files += [
            p for p in (library / package).rglob("*.py") if not _test_file(p.relative_to(library))
        ]
    by_name = {str(path.relative_to(library)): path for path in files if path.is_file()}
    return [Document(name, "code", _text(by_name[name])) for name in sorted(by_name)]


def _test_file(path: Path) -> bool:
    return bool({"test", "tests"} & set(path.parts)) or path.name.startswith("test_")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _domain(path: Path) -> str:
    return {".py": "code", ".md": "prose", ".rst": "prose"}.get(path.suffix, "text")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, which is not UTF-8 ({error.reason} at byte {error.start})", expected="text"
        ) from error


def _jsonl(path: Path) -> list[Document]:
    documents = []
    # Not splitlines(): JSON strings may hold U+2028 and its like, which end no record.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            record["text"].encode()  # refuses an unpaired surrogate: valid JSON, but no text
            documents.append(
                Document(f"{path.name}#{number}", str(record.get("domain", "text")), record["text"])
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"line {number} of {path}: {line[:60]!r}",
                expected='a JSON object with a "text" field',
            ) from error
    return documents


def _blocks(path: Path) -> list[Document]:
    blocks, size = [[]], 0
    for paragraph in _text(path).split("\n\n"):
        if size > _BLOCK:
            blocks, size = [*blocks, []], 0
        blocks[-1].append(paragraph)
        size += len(paragraph) + 2
    return [
        Document(f"{path.name}#{k}", "text", "\n\n".join(block)) for k, block in enumerate(blocks)
    ]
