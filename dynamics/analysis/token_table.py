"""The tokens on which seeds agree least, most, and in the middle, with the text around them (Table
1 of "Convergence and Divergence of Language Models under Different Random Seeds").

Axes: K steps, W windows, T tokens of a window, N = W (T - 1) predictions.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.analysis.contexts import Contexts, Text

PICTURES = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}
GROUPS = ("most divergent", "middle", "least divergent")


@dataclass(frozen=True, kw_only=True)
class Token:
    """One predicted token; `left` and `right` are the text beside it, cut to a few characters."""

    group: str
    piece: str
    left: str
    right: str
    kl: float  # nats, mean over ordered pairs of seeds
    surprisal: float  # nats, mean over seeds
    domain: str


def tokens(
    found: Contexts, known: Text, each: int = 8, left: int = 40, right: int = 20
) -> list[Token]:
    """`each` tokens of every group at the model's last step: largest KL first, those about the
    median, smallest last.

    Where there are fewer than 3 `each` predictions, groups shrink so that none holds another's
    token.
    """
    kl = found.kl[-1]
    order = np.argsort(-kl, kind="stable")
    each = min(each, len(order) // 3)
    start = (len(order) - each) // 2
    chosen = (order[:each], order[start : start + each], order[len(order) - each :])
    return [
        _token(found, known, group, int(at), left, right)
        for group, members in zip(GROUPS, chosen, strict=True)
        for at in members
    ]


def visible(text: str) -> str:
    """Whitespace and control characters as pictures, so that " the" and "the" are told apart."""
    return "".join(PICTURES.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in text)


def _token(found: Contexts, known: Text, group: str, at: int, left: int, right: int) -> Token:
    window, place = divmod(at, known.index.shape[1] - 1)
    pieces = [known.pieces[k] for k in known.index[window]]
    return Token(
        group=group,
        piece=pieces[place + 1],
        left="".join(pieces[: place + 1])[-left:],
        right="".join(pieces[place + 2 :])[:right],
        kl=float(found.kl[-1, at]),
        surprisal=float(found.surprisal[-1, at]),
        domain=known.domain.get(int(known.document[window]), "text"),
    )
