"""The tokens at either end and in the middle, in their contexts."""

import dataclasses

import made_contexts
import numpy as np

from dynamics.analysis import token_table

KNOWN = made_contexts.text()
FOUND = made_contexts.contexts(KNOWN)


def test_groups_are_the_ends_and_the_middle_of_the_order():
    kl = np.sort(FOUND.kl[-1])[::-1]
    found = token_table.tokens(FOUND, KNOWN, each=5)
    by_group = {name: [t.kl for t in found if t.group == name] for name in token_table.GROUPS}
    np.testing.assert_allclose(by_group["most divergent"], kl[:5])
    np.testing.assert_allclose(by_group["least divergent"], kl[-5:])
    assert min(by_group["middle"]) <= np.median(kl) <= max(by_group["middle"])
    assert kl[len(kl) // 2 - 4] >= max(by_group["middle"])  # and nothing farther from it


def test_a_token_is_shown_where_it_stands():
    spot = 3 * (made_contexts.TOKENS - 1) + 6  # window 3, prediction 6: of its token 7
    kl = FOUND.kl.copy()
    kl[-1, spot] = 1e3
    (first, *_) = token_table.tokens(dataclasses.replace(FOUND, kl=kl), KNOWN, left=12, right=8)
    pieces = [KNOWN.pieces[k] for k in KNOWN.index[3]]
    assert first.piece == pieces[7]
    assert first.left == "".join(pieces[:7])[-12:]
    assert first.right == "".join(pieces[8:])[:8]


def test_few_tokens_are_not_listed_twice():
    few = dataclasses.replace(FOUND, kl=FOUND.kl[:, :4], surprisal=FOUND.surprisal[:, :4])
    assert len(token_table.tokens(few, KNOWN, each=8)) == 3


def test_whitespace_can_be_seen():
    assert token_table.visible(" a\n\t\x07") == "␣a↵⇥\\x07"
