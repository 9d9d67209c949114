"""Minimal pairs: a sentence that a grammar allows, and a nearly equal one that it does not.

Files are of BLiMP's form (Warstadt et al. 2020): each line is a JSON object with `sentence_good`,
`sentence_bad` and the task's name `UID`, and optionally `linguistics_term`, `field` and `pairID`.
As published, 7 of BLiMP's 67,000 rows hold the same sentence twice. A model cannot prefer either,
so such rows are left out, and counted.

Axes: N pairs, K tasks, T tokens of a sentence.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer

from dynamics import inputs
from dynamics.data import tokenizer as tokenizers
from dynamics.errors import InputError

_NEEDED = ("sentence_good", "sentence_bad", "UID")
_OPTIONAL = ("linguistics_term", "field", "pairID")
_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_MOST_BYTES = 1 << 28  # of a file, unpacked: ten times BLiMP


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinimalPairs:
    """Pairs and the task that each belongs to; tasks are in the order of their first pair."""

    name: str
    good: tuple[str, ...]  # [N]
    bad: tuple[str, ...]  # [N]
    task: Int[np.ndarray, " N"]  # index into tasks
    tasks: tuple[str, ...]  # [K]
    terms: tuple[str, ...]  # [K], the phenomenon of each task, "" where the file does not say
    num_same: int = 0  # rows that were left out, because their two sentences are the same

    def __len__(self) -> int:
        return len(self.good)

    @property
    def source(self) -> str:
        """The file's name, and how many of its rows were left out."""
        if not self.num_same:
            return self.name
        rows = "row" if self.num_same == 1 else "rows"
        return f"{self.name}, {self.num_same} {rows} with the same sentence twice left out"

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

    Rows whose two sentences are the same are left out, and counted in `num_same`.

    Raises:
        InputError: naming file and line: a line that is no JSON object; a field that is missing or
            is not text; no row with two sentences that differ. An optional field of a file's first
            line is expected of all its lines.

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
    all_rows = [row for file in files for row in _rows(file)]
    rows = [row for row in all_rows if row["sentence_good"] != row["sentence_bad"]]
    if not rows:
        same = f" ({len(all_rows)} rows hold the same sentence twice)" if all_rows else ""
        raise InputError(
            f"{path} without minimal pairs{same}", expected="at least one line of JSON"
        )
    tasks = list(dict.fromkeys(row["UID"] for row in rows))
    index = {name: k for k, name in enumerate(tasks)}
    terms = {row["UID"]: row.get("linguistics_term", "") for row in reversed(rows)}
    return MinimalPairs(
        name=inputs.utf8_name(path.name),
        good=tuple(row["sentence_good"] for row in rows),
        bad=tuple(row["sentence_bad"] for row in rows),
        task=np.array([index[row["UID"]] for row in rows], np.int32),
        tasks=tuple(tasks),
        terms=tuple(terms[name] for name in tasks),
        num_same=len(all_rows) - len(rows),
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
    encodings = tokenizers.encode_texts(tokenizer, sentences)
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
    if not path.is_dir():
        return [path]
    files = sorted(
        file
        for file in path.rglob("*")
        if file.is_file()
        and file.name.lower().endswith(_SUFFIXES)
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not files:
        raise InputError(
            f"the folder {path} without {' or '.join(_SUFFIXES)} files", expected="minimal pairs"
        )
    return files


def _rows(path: Path) -> list[dict]:
    rows, wanted = [], _NEEDED
    text = inputs.read_text(path, _MOST_BYTES, "UTF-8 text, or gzip of it")
    for place, row in inputs.json_lines(text, str(path)):
        if not rows:
            wanted = (*_NEEDED, *(name for name in _OPTIONAL if name in row))
        _check(row, wanted, place)
        rows.append(row)
    return rows


def _check(row: Mapping, wanted: Sequence[str], place: str):
    for name in wanted:
        if name not in row:
            raise InputError(
                f"{place} without the field {name!r}",
                expected=f"the fields {', '.join(wanted)}",
                mend="Name the folder of the pairs alone; in BLiMP's repository it is data.",
            )
    for name in _NEEDED:
        if not inputs.check_text(row[name], f"{place} with {name}").strip():
            raise InputError(f"{place} with {name} = {row[name]!r}", expected="text")
    inputs.check_text(row.get("linguistics_term", ""), f"{place} with linguistics_term")
