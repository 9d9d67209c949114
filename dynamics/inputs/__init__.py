"""Numbers, text and ids from outside, with their limits: what flags and files are read by.

Nothing here trusts a size, a type or an encoding. Whatever is wrong with an input is an InputError
that names it, and no input takes more memory than its stated limit.
"""

from dynamics.inputs.id_files import read_ids
from dynamics.inputs.json_text import json_lines, parse_json
from dynamics.inputs.ranges import Boolean, Choice, Range, Real, Whole, shown
from dynamics.inputs.text_file import check_text, read_bytes, read_text, utf8_name
from dynamics.inputs.token_ids import check_vocabulary

__all__ = [
    "Boolean",
    "Choice",
    "Range",
    "Real",
    "Whole",
    "check_text",
    "check_vocabulary",
    "json_lines",
    "parse_json",
    "read_bytes",
    "read_ids",
    "read_text",
    "shown",
    "utf8_name",
]
