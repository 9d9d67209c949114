"""The tokens at either end and in the middle, in their contexts."""

import dataclasses

import made_contexts
import numpy as np

from dynamics.questions.token_properties import token_table

TEXT = made_contexts.text()
CONTEXTS = made_contexts.contexts(TEXT)


def test_groups_are_the_ends_and_the_middle_of_the_order():
    kl = np.sort(CONTEXTS.kl[-1])[::-1]
    listed = token_table.tokens(CONTEXTS, TEXT, each=5)
    by_group = {name: [t.kl for t in listed if t.group == name] for name in token_table.GROUPS}
    np.testing.assert_allclose(by_group["most divergent"], kl[:5])
    np.testing.assert_allclose(by_group["least divergent"], kl[-5:])
    assert min(by_group["middle"]) <= np.median(kl) <= max(by_group["middle"])
    assert kl[len(kl) // 2 - 4] >= max(by_group["middle"])  # and nothing farther from it


def test_a_token_is_shown_where_it_stands():
    spot = 3 * (made_contexts.TOKENS - 1) + 6  # window 3, prediction 6: of its token 7
    kl = CONTEXTS.kl.copy()
    kl[-1, spot] = 1e3
    (first, *_) = token_table.tokens(dataclasses.replace(CONTEXTS, kl=kl), TEXT, left=12, right=8)
    pieces = [TEXT.pieces[k] for k in TEXT.index[3]]
    assert first.piece == pieces[7]
    assert first.left == "".join(pieces[:7])[-12:]
    assert first.right == "".join(pieces[8:])[:8]


def test_excluded_domains_give_no_token():
    """The largest divergences are planted in code; without it the table has the largest of the
    rest."""
    domain = {owner: "code" if owner < 5 else "prose" for owner in TEXT.domain}
    code = np.isin(TEXT.owners, range(5))
    planted = dataclasses.replace(CONTEXTS, kl=CONTEXTS.kl + 100 * code)
    text = dataclasses.replace(TEXT, domain=domain)
    assert {t.domain for t in token_table.tokens(planted, text, each=5)[:5]} == {"code"}
    listed = token_table.tokens(planted, dataclasses.replace(text, excluded=("code",)), each=5)
    assert {t.domain for t in listed} == {"prose"}
    np.testing.assert_allclose([t.kl for t in listed[:5]], np.sort(CONTEXTS.kl[-1, ~code])[:-6:-1])


def test_single_predictions_have_the_text_around_them():
    """Windows of two tokens, one for each prediction of the same text."""
    whole = dataclasses.replace(
        TEXT,
        document=TEXT.owners,
        index=np.stack([TEXT.index[:, :-1].ravel(), TEXT.index[:, 1:].ravel()], axis=1),
    )
    for place in (0, 6, made_contexts.TOKENS - 2):
        kl = CONTEXTS.kl.copy()
        kl[-1, place] = 1e3
        of_windows, of_single = (
            token_table.tokens(dataclasses.replace(CONTEXTS, kl=kl), text, left=12, right=8)[0]
            for text in (TEXT, whole)
        )
        assert of_single.piece == of_windows.piece
        assert of_single.left == of_windows.left
        assert of_single.right.startswith(of_windows.right)


def test_few_tokens_are_not_listed_twice():
    few = dataclasses.replace(CONTEXTS, kl=CONTEXTS.kl[:, :4], surprisal=CONTEXTS.surprisal[:, :4])
    assert len(token_table.tokens(few, TEXT, each=8)) == 3


def test_whitespace_can_be_seen():
    assert token_table.visible(" a\n\t\x07") == "␣a↵⇥\\x07"
