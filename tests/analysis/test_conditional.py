"""Convergence conditioned on properties of tokens: every prediction is in its bin, once, with its
document's error."""

import dataclasses

import made_contexts
import numpy as np
import pytest

from dynamics.analysis import conditional
from dynamics.analysis.means import clustered_mean
from dynamics.errors import InputError

KNOWN = made_contexts.text()
FOUND = made_contexts.contexts(KNOWN)


@pytest.mark.parametrize("token", ["predicted token", "last context token"])
def test_bins_are_the_means_of_their_own_predictions(token):
    """Window by window: prediction p is of token p + 1, its last context token is p."""
    found = conditional.condition(FOUND, KNOWN, conditional.by_word_class(KNOWN), token)
    kl = FOUND.kl[-1].reshape(KNOWN.index.shape[0], -1)
    for place, name in enumerate(("content words", "function words")):
        chosen = [
            (kl[w, p], KNOWN.document[w])
            for w in range(kl.shape[0])
            for p in range(kl.shape[1])
            if KNOWN.word_class[w, p + 1 if token == "predicted token" else p] == place
        ]
        values, owners = map(np.array, zip(*chosen, strict=True))
        mean, sem, count = clustered_mean(values, owners)
        (own,) = (b for b in found.bins if b.name == name)
        assert (own.tokens, own.documents) == (len(chosen), count)
        assert own.kl.value[-1] == pytest.approx(mean)
        assert own.kl.high[-1] - own.kl.value[-1] == pytest.approx(sem)


def test_frequency_leaves_no_token_out():
    found = conditional.condition(FOUND, KNOWN, conditional.by_frequency(KNOWN))
    assert sum(b.tokens for b in found.bins) == FOUND.kl.shape[1]
    whole = sum(b.tokens * b.kl.value for b in found.bins) / FOUND.kl.shape[1]
    np.testing.assert_allclose(whole, FOUND.kl.mean(1))


def test_tokens_that_a_corpus_lacks_have_a_bin():
    known = dataclasses.replace(KNOWN, count=np.where(KNOWN.index > 20, 0, KNOWN.count))
    found = conditional.condition(FOUND, known, conditional.by_frequency(known))
    assert found.bins[0].name == "never"
    assert found.bins[0].tokens == (KNOWN.index[:, 1:] > 20).sum()


def test_final_surprisal_is_in_bits_of_the_seed_mean():
    cut = conditional.by_surprisal(FOUND.last_surprisal, KNOWN.index.shape)
    value = FOUND.last_surprisal.mean(0) / np.log(2)
    expected = np.array([sum(v >= e for e in (1, 2, 4, 8)) for v in value])
    np.testing.assert_array_equal(cut.of[:, 1:].ravel(), expected)
    assert (cut.of[:, 0] == -1).all()  # predicted by nothing
    one = conditional.by_surprisal(
        FOUND.last_surprisal, KNOWN.index.shape, unit="nats", seed=1, edges=(0.0, 3.0)
    )
    np.testing.assert_array_equal(one.of[:, 1:].ravel(), FOUND.last_surprisal[1] >= 3)


def test_an_empty_bin_is_told_and_not_drawn():
    known = dataclasses.replace(
        KNOWN, word_class=np.where(KNOWN.word_class == 1, -1, KNOWN.word_class)
    )
    found = conditional.condition(FOUND, known, conditional.by_word_class(known))
    assert found.empty == ("function words",)
    assert [b.name for b in found.bins] == ["content words"]
    assert all(np.isfinite(b.kl.value).all() for b in found.bins)


def test_a_bin_of_few_documents_is_flagged():
    only = np.where(KNOWN.document[:, None] < 2, KNOWN.word_class, -1)
    known = dataclasses.replace(KNOWN, word_class=only)
    found = conditional.condition(FOUND, known, conditional.by_word_class(known))
    assert [b.few for b in found.bins] == [True, True]


def test_penn_tags_are_grouped_as_in_the_paper():
    known = made_contexts.text(tagger="nltk")
    cuts = {
        cut.name: cut
        for cut in conditional.by_tags(dataclasses.replace(known, tag_names=("DT", "NN", "IN")))
    }
    assert set(cuts) == {"part of speech", "nouns", "verbs"}
    nouns = conditional.condition(FOUND, known, cuts["nouns"])
    assert [b.name for b in nouns.bins] == ["NN"]
    assert "NNS" in nouns.empty


@pytest.mark.parametrize(
    "act",
    [
        lambda: conditional.by_surprisal(FOUND.last_surprisal, KNOWN.index.shape, unit="bans"),
        lambda: conditional.by_surprisal(FOUND.last_surprisal, KNOWN.index.shape, edges=(1.0, 0.0)),
        lambda: conditional.condition(
            FOUND, KNOWN, conditional.by_word_class(KNOWN), "first token"
        ),
    ],
)
def test_bad_choices_are_refused(act):
    with pytest.raises(InputError):
        act()
