"""The page to read: passages whose tokens are coloured by how far seeds are apart."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path

from dynamics.figures import style
from dynamics.questions.reading.findings import Passages
from dynamics.report.section import Entry, Finding, Section

INTRODUCTION = "Passages of the held-out text, token by token, with what every seed expects there."


def section(passages: Passages, look: style.Look) -> Section:
    """A document of its own, with everything that it needs in the one file."""
    return Section(
        introduction=INTRODUCTION,
        panels=[],
        findings=[
            Finding(
                sentence=f"{passages.count} passages of {passages.tokens} tokens to read, each "
                "token coloured by how far seeds are apart on it, with a slider through training.",
                rests_on="these passages alone",
                grade="open",
            )
        ],
        document=functools.partial(render, passages),
    )


def render(passages: Passages, pages: Sequence[Entry] = ()) -> str:
    """The page's HTML, with the other pages of the site to go to."""
    import jinja2

    template = Path(__file__).with_name("reading.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    text = json.dumps(passages.payload, ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only "<" could end it; as an escape of JSON it is the same text.
    return environment.from_string(template).render(data=text.replace("<", "\\u003c"), pages=pages)
