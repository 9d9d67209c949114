"""Numbers and text from outside, with their limits: what flags, files and configs are read by.

Nothing here trusts a size, a type or an encoding. Whatever is wrong with an input is an InputError
that names it, and no input takes more memory than its stated limit.
"""

from dynamics.inputs.json_text import json_lines, parse_json
from dynamics.inputs.ranges import Boolean, Choice, Range, Real, Whole, shown
from dynamics.inputs.text_file import check_text, read_bytes, read_text, utf8_name

__all__ = [
    "Boolean",
    "Choice",
    "Range",
    "Real",
    "Whole",
    "check_text",
    "json_lines",
    "parse_json",
    "read_bytes",
    "read_text",
    "shown",
    "utf8_name",
]
