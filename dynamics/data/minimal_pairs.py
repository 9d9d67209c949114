"""Minimal pairs: a sentence that a grammar allows, and a nearly equal one that it does not.

Files are of BLiMP's form (Warstadt et al. 2020): each line is a JSON object with `sentence_good`,
`sentence_bad` and the task's name `UID`, and optionally `linguistics_term`, `field` and `pairID`.

Axes: N pairs, K tasks, T tokens of a sentence.
"""

import dataclasses
import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer

from dynamics.data import tokenizer as tokenizers
from dynamics.errors import InputError

_NEEDED = ("sentence_good", "sentence_bad", "UID")
_OPTIONAL = ("linguistics_term", "field", "pairID")
_SUFFIXES = (".jsonl", ".jsonl.gz")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinimalPairs:
    """Pairs and the task that each belongs to; tasks are in the order of their first pair."""

    name: str
    good: tuple[str, ...]  # [N]
    bad: tuple[str, ...]  # [N]
    task: Int[np.ndarray, " N"]  # index into tasks
    tasks: tuple[str, ...]  # [K]
    terms: tuple[str, ...]  # [K], the phenomenon of each task, "" where the file does not say

    def __len__(self) -> int:
        return len(self.good)

    def fingerprint(self) -> str:
        """sha256 over tasks and sentences."""
        digest = hashlib.sha256()
        for row in zip((self.tasks[t] for t in self.task), self.good, self.bad, strict=True):
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def first(self, count: int) -> "MinimalPairs":
        """The first `count` pairs of every task, or all where a task has fewer."""
        rank = np.zeros(len(self), np.int64)  # of a pair within its task
        for task in range(len(self.tasks)):
            own = self.task == task
            rank[own] = np.arange(own.sum())
        index = np.flatnonzero(rank < count)
        return dataclasses.replace(
            self,
            good=tuple(self.good[k] for k in index),
            bad=tuple(self.bad[k] for k in index),
            task=self.task[index],
        )


def read(path: str | Path) -> MinimalPairs:
    """Pairs of a .jsonl or .jsonl.gz file, or of every such file under a folder.

    Raises:
        InputError: naming file and line: a line that is no JSON object; a field that is missing or
            is not text; two sentences that are the same. An optional field of a file's first line
            is expected of all its lines.

    Example:
        >>> import json, pathlib, tempfile
        >>> row = {"UID": "number", "sentence_good": "Cats sleep.", "sentence_bad": "Cats sleeps."}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "pairs.jsonl"
        ...     _ = path.write_text(json.dumps(row))
        ...     pairs = read(path)
        >>> pairs.tasks, pairs.good, pairs.bad
        (('number',), ('Cats sleep.',), ('Cats sleeps.',))
    """
    path = Path(path)
    files = _files(path)
    rows = [row for file in files for row in _rows(file)]
    if not rows:
        raise InputError(f"{path} without minimal pairs", expected="at least one line of JSON")
    tasks = list(dict.fromkeys(row["UID"] for row in rows))
    index = {name: k for k, name in enumerate(tasks)}
    terms = {row["UID"]: str(row.get("linguistics_term", "")) for row in reversed(rows)}
    return MinimalPairs(
        name=path.name,
        good=tuple(row["sentence_good"] for row in rows),
        bad=tuple(row["sentence_bad"] for row in rows),
        task=np.array([index[row["UID"]] for row in rows], np.int32),
        tasks=tuple(tasks),
        terms=tuple(terms[name] for name in tasks),
    )


def encode(
    tokenizer: Tokenizer, sentences: Sequence[str], start: bool = True
) -> list[Int[np.ndarray, " T"]]:
    """Token ids of every sentence, int32.

    With `start` each begins with the document separator, as documents do in Pythia's training data,
    so that its first token has a probability too. Without, the first token is only conditioned on.

    Raises:
        InputError: a sentence of fewer than two ids, which leaves nothing to predict; with `start`,
            a tokenizer without the separator.
    """
    head = []
    if start:
        separator = tokenizer.token_to_id(tokenizers.SEPARATOR)
        if separator is None:
            raise InputError(
                f"a tokenizer without {tokenizers.SEPARATOR}",
                expected="a token to begin sentences with",
                mend="Take the sentences without a start token.",
            )
        head = [separator]
    encodings = tokenizer.encode_batch_fast(list(sentences), add_special_tokens=False)
    ids = [np.array([*head, *encoding.ids], np.int32) for encoding in encodings]
    short = next((k for k, row in enumerate(ids) if len(row) < 2), None)
    if short is not None:
        raise InputError(
            f"the sentence {sentences[short]!r} of {len(ids[short])} token", expected="two or more"
        )
    return ids


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(
            f"the minimal pairs {path}, which do not exist", expected="a .jsonl or .jsonl.gz file"
        )
    if path.is_file():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(_SUFFIXES))
    if not files:
        raise InputError(
            f"the folder {path} without {' or '.join(_SUFFIXES)} files", expected="minimal pairs"
        )
    return files


def _rows(path: Path) -> list[dict]:
    rows, wanted = [], _NEEDED
    # Not splitlines(): JSON strings may hold U+2028 and its like, which end no record.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        row = _record(line, f"line {number} of {path}")
        if not rows:
            wanted = (*_NEEDED, *(name for name in _OPTIONAL if name in row))
        _check(row, wanted, f"line {number} of {path}")
        rows.append(row)
    return rows


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}, unreadable ({error})", expected="UTF-8 text, or gzip of it"
        ) from error


def _record(line: str, place: str) -> dict:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(
            f"{place}: {line[:60]!r}, which is no JSON ({error})", expected="a JSON object"
        ) from error
    if not isinstance(row, dict):
        raise InputError(f"{place}: {line[:60]!r}", expected="a JSON object")
    return row


def _check(row: Mapping, wanted: Sequence[str], place: str):
    for name in wanted:
        if name not in row:
            raise InputError(
                f"{place} without the field {name!r}", expected=f"the fields {', '.join(wanted)}"
            )
    for name in _NEEDED:
        if not isinstance(row[name], str) or not row[name].strip() or not _encodable(row[name]):
            raise InputError(f"{place} with {name} = {row[name]!r}", expected="text")
    if row["sentence_good"] == row["sentence_bad"]:
        raise InputError(f"{place} whose two sentences are the same", expected="two that differ")


def _encodable(text: str) -> bool:
    """False for text with an unpaired surrogate, which is valid JSON but has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
