"""The tokens on which seeds agree least, most, and in the middle, with the text around them.

Table 1 of "Convergence and Divergence of Language Models under Different Random Seeds". Axes: W
windows, T tokens of a window, N = W (T - 1) predictions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.questions.token_properties.contexts import Contexts, Text

PICTURES = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
GROUPS = ("most divergent", "middle", "least divergent")


@dataclass(frozen=True, kw_only=True)
class Token:
    """One predicted token.

    Attributes:
        group: one of `GROUPS`.
        piece: its text.
        left, right: the text beside it, cut to a few characters.
        kl: nats, mean over ordered pairs of seeds.
        surprisal: nats, mean over seeds.
        domain: of its document.
    """

    group: str
    piece: str
    left: str
    right: str
    kl: float
    surprisal: float
    domain: str


def tokens(
    contexts: Contexts, text: Text, each: int = 8, left: int = 40, right: int = 20
) -> list[Token]:
    """`each` tokens of every group at the last step: largest KL, those about the median, smallest.

    Where there are fewer than 3 `each` predictions, groups shrink so that none holds another's
    token. Documents of the domains that the text excludes give none.
    """
    kl = contexts.kl[-1]
    order = np.argsort(-kl, kind="stable")
    if text.excluded:
        domains = [text.domain.get(int(owner), "text") for owner in text.owners]
        order = order[~np.isin(domains, text.excluded)[order]]
    each = min(each, len(order) // 3)
    start = (len(order) - each) // 2
    parts = (order[:each], order[start : start + each], order[len(order) - each :])
    return [
        _token(contexts, text, group, int(at), left, right)
        for group, members in zip(GROUPS, parts, strict=True)
        for at in members
    ]


def visible(text: str) -> str:
    """Whitespace and control characters as pictures, so that " the" and "the" are told apart.

    Example:
        >>> visible(" a\\t")
        '␣a⇥'
    """
    return "".join(PICTURES.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in text)


def _token(contexts: Contexts, text: Text, group: str, at: int, left: int, right: int) -> Token:
    window, place = divmod(at, text.index.shape[1] - 1)
    before, own, after = _around(text, window, place, left + right)
    return Token(
        group=group,
        piece=text.pieces[own],
        left="".join(text.pieces[k] for k in before)[-left:],
        right="".join(text.pieces[k] for k in after)[:right],
        kl=float(contexts.kl[-1, at]),
        surprisal=float(contexts.surprisal[-1, at]),
        domain=text.domain.get(int(text.document[window]), "text"),
    )


def _around(
    text: Text, window: int, place: int, most: int
) -> tuple[Sequence[int], int, Sequence[int]]:
    """Pieces before the predicted token, its own, and at most `most` after it.

    Windows of two tokens are single predictions, one after another in their document.
    """
    index = text.index[window]
    if len(index) > 2:
        return index[: place + 1].tolist(), int(index[place + 1]), index[place + 2 :].tolist()
    first = np.searchsorted(text.document, text.document[window])
    end = np.searchsorted(text.document, text.document[window], side="right")
    before = text.index[max(first, window - most) : window + 1, 0]
    after = text.index[window + 1 : min(end, window + 1 + most), 1]
    return before.tolist(), int(index[1]), after.tolist()
