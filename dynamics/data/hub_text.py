"""A data set of the hub as a corpus, its first documents by stream: nothing else of it is fetched.

`datasets` reads it, where it is installed; else pyarrow reads the parquet that the hub keeps of it.
"""

import importlib
import importlib.util
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dynamics import inputs
from dynamics.data import hub_parquet
from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError

PREFIX = "hub:"
_FORM = f"{PREFIX}OWNER/NAME, {PREFIX}OWNER/NAME:SPLIT or {PREFIX}OWNER/NAME/CONFIG:SPLIT"
_NAME = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:/([\w.-]+))?(?::([\w.-]+))?")
_LOGIN = ("gated", "authenticated", "401", "403", "log in", "login")


def read(name: str, count: int, most: int = 1 << 30) -> Corpus:
    """The first `count` documents of a data set, each the field "text" of a row.

    Args:
        name: "hub:OWNER/NAME", with "/CONFIG" and ":SPLIT" as far as wanted; the split is "train"
            where none is named. A row's field "domain", such as a language, is its document's.
        count: documents to take, fewer where it has no more.
        most: the most bytes of text that they may have.

    Raises:
        InputError: a name of another form; neither `datasets` nor pyarrow; a data set that does not
            exist, cannot be reached or needs a login; a row without text; no row; too much text.

    Example:
        >>> read("hub:pile", 100)  # not "hub:monology/pile-uncopyrighted:validation"
        Traceback (most recent call last):
        ...
        dynamics.errors.InputError: got the corpus hub:pile; expected ...
    """
    parts = _NAME.fullmatch(name)
    if not parts:
        raise InputError(f"the corpus {name}", expected=_FORM)
    documents, size = [], 0
    for number, row in enumerate(itertools.islice(_rows(name, *parts.groups()), count)):
        documents.append(_document(f"{name}#{number}", row))
        size += len(documents[-1].text.encode())
        if size > most:
            raise InputError(
                f"{len(documents)} documents of {name} of more than {most >> 20} MiB",
                expected="less text",
                mend="Take fewer with --corpus_documents.",
            )
    if not any(document.text.strip() for document in documents):
        raise InputError(f"the corpus {name} without text", expected="at least one document")
    return Corpus(name, tuple(documents))


def _rows(name: str, repo: str, config: str | None, split: str | None) -> Iterable[Mapping]:
    try:
        yield from _stream(name, repo, config, split or "train")
    except InputError:
        raise
    except Exception as error:  # of the library, the hub's client, the network, the file's format
        reason = " ".join(str(error).split())
        needs_login = any(word in reason.lower() for word in _LOGIN)
        raise InputError(
            f"the corpus {name}, which cannot be read ({reason[:300]})",
            expected=f"a data set of the hub, as {_FORM}",
            mend="Accept its terms on the hub, and log in: hf auth login." if needs_login else "",
        ) from error


def _stream(name: str, repo: str, config: str | None, split: str) -> Iterable[Mapping]:
    try:
        library: Any = importlib.import_module("datasets")
    except ImportError:
        library = None
    if library is not None:
        return library.load_dataset(repo, config, split=split, streaming=True)
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            f"the corpus {name} without the library datasets or pyarrow",
            expected="what reads a data set of the hub",
            mend="pip install datasets (or pyarrow), or download a part and give its jsonl.",
        )
    return hub_parquet.rows(name, repo, config, split)


def _document(name: str, row: Mapping) -> Document:
    if not isinstance(row.get("text"), str):
        columns = ", ".join(map(str, row))
        raise InputError(
            f"{name} with the columns {columns}", expected="a column 'text' that holds text"
        )
    text = inputs.check_text(row["text"], f"the text of {name}", nul=True)
    domain = inputs.check_text(row.get("domain") or "text", f"the domain of {name}")
    return Document(name, domain, text)
