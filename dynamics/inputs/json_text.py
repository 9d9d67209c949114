"""JSON from outside: whole documents and files of one object per line."""

import json
from collections.abc import Iterator
from typing import Any

from dynamics.errors import InputError
from dynamics.inputs.ranges import shown

_OBJECT = "a JSON object"


def parse_json(text: str | bytes, where: str, expected: str = "JSON") -> Any:
    """The value that a JSON text describes, a byte-order mark before it allowed.

    Raises:
        InputError: no JSON, a nesting too deep, a number of thousands of digits.

    Example:
        >>> parse_json('{"seed": 0}', "config.json")
        {'seed': 0}
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:  # JSONDecodeError and its like are ValueErrors
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{where} that is not JSON ({reason})", expected=expected) from error


def json_lines(text: str, path: str, expected: str = _OBJECT) -> Iterator[tuple[str, dict]]:
    """(place, object) of every line that is not blank; the place names line and file.

    Raises:
        InputError: a line that is no JSON object.

    Example:
        >>> list(json_lines('{"seed": 0}\\n\\n{"seed": 1}', "runs.jsonl"))
        [('line 1 of runs.jsonl', {'seed': 0}), ('line 3 of runs.jsonl', {'seed': 1})]
    """
    # Not splitlines(): JSON strings may hold U+2028 and its like, which end no record.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removeprefix("\ufeff").strip(" \t")  # joined files leave marks in the middle
        if not line:
            continue
        place = f"line {number} of {path}"
        row = parse_json(line, f"{place}: {shown(line)}", expected)
        if not isinstance(row, dict):
            raise InputError(f"{place}: {shown(line)}", expected=expected)
        yield place, row
