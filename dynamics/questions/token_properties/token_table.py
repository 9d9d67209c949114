"""The tokens on which seeds agree least, most, and in the middle, with the text around them.

Table 1 of "Convergence and Divergence of Language Models under Different Random Seeds". Axes: W
windows, T tokens of a window, N = W (T - 1) predictions.
"""

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
    token.
    """
    kl = contexts.kl[-1]
    order = np.argsort(-kl, kind="stable")
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
    pieces = [text.pieces[k] for k in text.index[window]]
    return Token(
        group=group,
        piece=pieces[place + 1],
        left="".join(pieces[: place + 1])[-left:],
        right="".join(pieces[place + 2 :])[:right],
        kl=float(contexts.kl[-1, at]),
        surprisal=float(contexts.surprisal[-1, at]),
        domain=text.domain.get(int(text.document[window]), "text"),
    )
