"""Corpora: the embedded one out of the running interpreter, or a user's own text.

A corpus is a list of documents, because a standard error over text rests on documents. Training and
held-out parts are split by document.
"""

import dataclasses
import hashlib
import importlib
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypeGuard

import numpy as np
from jaxtyping import Int

from dynamics import inputs
from dynamics.errors import InputError
from dynamics.inputs import id_files

HELD_OUT_EVERY = 10  # one document in ten is held out; a hash of its name decides
_BLOCK = 8_000  # characters of one document where a plain text file has no documents of its own
_MOST_BYTES = 1 << 30  # of a corpus, unpacked
_RECORD = 'a JSON object with a "text" field'

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
    text: str  # "" where the source has token ids alone
    ids: Int[np.ndarray, " T"] | None = None  # of the suite's tokenizer, where the source has them


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
        """sha256 over names, domains and texts or token ids: equal for equal documents alone."""
        digest = hashlib.sha256()
        for document in self.documents:
            for part in document[:3]:
                digest.update(hashlib.sha256(part.encode()).digest())
            if document.ids is not None:
                digest.update(hashlib.sha256(document.ids.astype("<i4").tobytes()).digest())
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

    Example:
        >>> text = embedded()
        >>> sorted({document.domain for document in text.documents})
        ['code', 'prose']
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
    """A user's corpus: a folder of files, or one file of plain text, of JSON or of token ids.

    A plain text file is cut at blank lines into documents of about 8,000 characters. In a .jsonl or
    .ndjson file each line is a document, an object with a "text" field and, where it has it, a
    "domain" field; a .json file holds such an object, a list of them, or one on each line. A .npy
    or .bin file holds token ids of the suite's tokenizer, beside the offsets of their documents
    (`inputs.id_files` has the forms). In a folder every file counts, hidden ones left out: of JSON
    or ids as above, and any other as one document. All text is UTF-8, with or without a byte-order
    mark, and packed where the name ends in .gz or .zst.

    Raises:
        InputError: a path that does not exist, or is a pipe or a device; a corpus without text, or
            of more than 1 GiB once it is unpacked; a bad line or file.

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
            f"the corpus {path}, which does not exist",
            expected="a file of text, jsonl or token ids, or a folder",
        )
    if path.suffix in id_files.SUFFIXES:
        documents = _of_ids(path, inputs.utf8_name(path.name))
    else:
        documents = _of_folder(path) if path.is_dir() else _of_file(path)
    if not any(d.text.strip() or d.ids is not None for d in documents):
        raise InputError(f"the corpus {path} without text", expected="at least one document")
    return Corpus(inputs.utf8_name(path.name), tuple(documents))


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
    return [
        Document(name, "code", inputs.read_text(by_name[name], _MOST_BYTES))
        for name in sorted(by_name)
    ]


def _test_file(path: Path) -> bool:
    return bool({"test", "tests"} & set(path.parts)) or path.name.startswith("test_")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _domain(path: Path) -> str:
    return {".py": "code", ".md": "prose", ".rst": "prose"}.get(path.suffix, "text")


def _of_ids(path: Path, name: str) -> list[Document]:
    documents = inputs.read_ids(path, _MOST_BYTES)
    if not any(map(len, documents)):
        raise InputError(f"the corpus {path} without token ids", expected="at least one document")
    return [Document(f"{name}#{k}", "text", "", ids) for k, ids in enumerate(documents)]


def _of_folder(path: Path) -> list[Document]:
    documents, size = [], 0
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        relative = file.relative_to(path)
        if _hidden(relative) or id_files.is_beside(file):
            continue
        name = inputs.utf8_name(str(relative))
        of_ids = file.suffix in id_files.SUFFIXES
        text = "" if of_ids else inputs.read_text(file, _MOST_BYTES)
        size += file.stat().st_size if of_ids else len(text)
        if size > _MOST_BYTES:
            raise InputError(
                f"the corpus {path} of more than 1 GiB",
                expected="less text",
                mend="Give a part of it: windows are measured by the hundred.",
            )
        if of_ids:
            documents += _of_ids(file, name)
        else:
            documents += _of_json(file, text, name) or [Document(name, _domain(file), text)]
    return documents


def _of_file(path: Path) -> list[Document]:
    text, name = inputs.read_text(path, _MOST_BYTES), inputs.utf8_name(path.name)
    documents = _of_json(path, text, name)
    if documents is None:
        return _blocks(text, name)
    if not documents and text.strip():
        raise InputError(f"the corpus {path}, which holds JSON without documents", expected=_RECORD)
    return documents


def _of_json(path: Path, text: str, name: str) -> list[Document] | None:
    """The documents of a JSON file: none where it holds other JSON, None for another file."""
    suffix = Path(path.name.lower().removesuffix(".gz").removesuffix(".zst")).suffix
    if suffix in (".jsonl", ".ndjson"):
        rows = inputs.json_lines(text, str(path), _RECORD)
    elif suffix == ".json":
        rows = _rows(text, str(path))
    else:
        return None
    return [Document(f"{name}#{place.split()[1]}", *_fields(row, place)) for place, row in rows]


def _rows(text: str, where: str) -> Iterable[tuple[str, object]]:
    """(place, object) of each document of a .json file: an object, a list, or objects by line."""
    rows = _parsed(text)
    if rows is None and _are_documents(_parsed(text.lstrip().partition("\n")[0])):
        return inputs.json_lines(text, where, _RECORD)  # many files of lines bear this name
    if not _are_documents(rows):
        return []
    return [(f"object {number} of {where}", row) for number, row in enumerate(rows, 1)]


def _parsed(text: str) -> list | None:
    """The values of a JSON list, or the one value that is none; None for what is no JSON."""
    try:
        content = inputs.parse_json(text, "")
    except InputError:
        return None
    return content if isinstance(content, list) else [content]


def _are_documents(rows: list | None) -> TypeGuard[list]:
    return any(isinstance(row, dict) and "text" in row for row in rows or [])


def _fields(row: object, place: str) -> tuple[str, str]:
    """(domain, text) of a document's object."""
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise InputError(f"{place}: {inputs.shown(row)}", expected=_RECORD)
    try:
        text = inputs.check_text(row["text"], "text", nul=True)
        return inputs.check_text(row.get("domain", "text"), "domain"), text
    except InputError as error:
        raise InputError(
            f"{place}: {error.got}", expected=f"{_RECORD}, {error.expected}"
        ) from error


def _blocks(text: str, name: str) -> list[Document]:
    blocks, size = [[]], 0
    for paragraph in text.split("\n\n"):
        if size > _BLOCK:
            blocks, size = [*blocks, []], 0
        blocks[-1].append(paragraph)
        size += len(paragraph) + 2
    return [Document(f"{name}#{k}", "text", "\n\n".join(block)) for k, block in enumerate(blocks)]
