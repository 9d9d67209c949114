"""What a page may do: run its own script, wear its own style, and ask nobody for anything."""

import base64
import hashlib
import html
import html.parser
import re
from collections.abc import Sequence


def content_security_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The policy of a page that has these inline <style> and <script> elements and no others.

    A text that were taken for markup could still not run: its hash is not among these.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hashes(styles)}",
            f"script-src {_hashes(scripts)}",
            "img-src data: blob:",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hashes(texts: Sequence[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def secured(document: str) -> str:
    """An HTML document that brings its own elements, with the policy that allows these alone.

    Example:
        >>> "connect-src 'none'" in html.unescape(secured("<head><style>p {}</style></head>"))
        True
    """
    inline = _Inline()
    inline.feed(document)
    inline.close()
    allowed = content_security_policy(inline.texts["style"], inline.texts["script"])
    meta = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(allowed)}">'
    return re.sub(r"<head[^>]*>", lambda head: f"{head[0]}\n{meta}", document, count=1)


class _Inline(html.parser.HTMLParser):
    """Texts of a document's <style> and <script> elements."""

    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.texts: dict[str, list[str]] = {"style": [], "script": []}
        self._inside = ""

    def handle_starttag(self, tag, attrs):
        self._inside = tag if tag in self.texts else ""
        if self._inside:
            self.texts[tag].append("")

    def handle_data(self, data):
        if self._inside:
            self.texts[self._inside][-1] += data

    def handle_endtag(self, tag):
        self._inside = ""
