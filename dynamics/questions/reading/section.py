"""The page to read: passages whose tokens are coloured by how far seeds are apart."""

import json
from pathlib import Path

from dynamics.figures import style
from dynamics.questions.reading.findings import Passages
from dynamics.report.section import Finding, Section

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
        document=render(passages),
    )


def render(passages: Passages) -> str:
    """The page's HTML."""
    import jinja2

    template = Path(__file__).with_name("reading.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    text = json.dumps(passages.payload, ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only "<" could end it; as an escape of JSON it is the same text.
    return environment.from_string(template).render(data=text.replace("<", "\\u003c"))
