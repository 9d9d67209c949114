"""Convergence conditioned on properties of tokens: every prediction is in its bin, once, with its
document's error."""

import dataclasses

import made_contexts
import numpy as np
import pytest

from dynamics.analysis.means import clustered_mean
from dynamics.errors import InputError
from dynamics.questions.token_properties import conditions, partitions

TEXT = made_contexts.text()
CONTEXTS = made_contexts.contexts(TEXT)


@pytest.mark.parametrize("token", ["predicted token", "last context token"])
def test_bins_are_the_means_of_their_own_predictions(token):
    """Window by window: prediction p is of token p + 1, its last context token is p."""
    by_bin = conditions.condition(CONTEXTS, TEXT, partitions.by_word_class(TEXT), token)
    kl = CONTEXTS.kl[-1].reshape(TEXT.index.shape[0], -1)
    for place, name in enumerate(("content words", "function words")):
        members = [
            (kl[w, p], TEXT.document[w])
            for w in range(kl.shape[0])
            for p in range(kl.shape[1])
            if TEXT.word_class[w, p + 1 if token == "predicted token" else p] == place
        ]
        values, owners = map(np.array, zip(*members, strict=True))
        mean, sem, count = clustered_mean(values, owners)
        (own,) = (b for b in by_bin.bins if b.name == name)
        assert (own.tokens, own.documents) == (len(members), count)
        assert own.kl.value[-1] == pytest.approx(mean)
        assert own.kl.high[-1] - own.kl.value[-1] == pytest.approx(sem)


def test_frequency_leaves_no_token_out():
    by_bin = conditions.condition(CONTEXTS, TEXT, partitions.by_frequency(TEXT))
    assert sum(b.tokens for b in by_bin.bins) == CONTEXTS.kl.shape[1]
    whole = sum(b.tokens * b.kl.value for b in by_bin.bins) / CONTEXTS.kl.shape[1]
    np.testing.assert_allclose(whole, CONTEXTS.kl.mean(1))


def test_tokens_that_a_corpus_lacks_have_a_bin():
    text = dataclasses.replace(TEXT, count=np.where(TEXT.index > 20, 0, TEXT.count))
    by_bin = conditions.condition(CONTEXTS, text, partitions.by_frequency(text))
    assert by_bin.bins[0].name == "never"
    assert by_bin.bins[0].tokens == (TEXT.index[:, 1:] > 20).sum()


def test_final_surprisal_is_in_bits_of_the_seed_mean():
    cut = partitions.by_surprisal(CONTEXTS.last_surprisal, TEXT.index.shape)
    value = CONTEXTS.last_surprisal.mean(0) / np.log(2)
    expected = np.array([sum(v >= e for e in (1, 2, 4, 8)) for v in value])
    np.testing.assert_array_equal(cut.bin_of[:, 1:].ravel(), expected)
    assert (cut.bin_of[:, 0] == -1).all()  # predicted by nothing
    of_one_seed = partitions.by_surprisal(
        CONTEXTS.last_surprisal, TEXT.index.shape, unit="nats", seed=1, edges=(0.0, 3.0)
    )
    np.testing.assert_array_equal(
        of_one_seed.bin_of[:, 1:].ravel(), CONTEXTS.last_surprisal[1] >= 3
    )


def test_an_empty_bin_is_told_and_not_drawn():
    text = dataclasses.replace(TEXT, word_class=np.where(TEXT.word_class == 1, -1, TEXT.word_class))
    by_bin = conditions.condition(CONTEXTS, text, partitions.by_word_class(text))
    assert by_bin.empty == ("function words",)
    assert [b.name for b in by_bin.bins] == ["content words"]
    assert all(np.isfinite(b.kl.value).all() for b in by_bin.bins)


def test_a_bin_of_few_documents_is_flagged():
    only = np.where(TEXT.document[:, None] < 2, TEXT.word_class, -1)
    text = dataclasses.replace(TEXT, word_class=only)
    by_bin = conditions.condition(CONTEXTS, text, partitions.by_word_class(text))
    assert [b.few for b in by_bin.bins] == [True, True]


def test_penn_tags_are_grouped_as_in_the_paper():
    text = made_contexts.text(tagger="nltk")
    cuts = {
        cut.name: cut
        for cut in partitions.by_tags(dataclasses.replace(text, tag_names=("DT", "NN", "IN")))
    }
    assert set(cuts) == {"part of speech", "nouns", "verbs"}
    nouns = conditions.condition(CONTEXTS, text, cuts["nouns"])
    assert [b.name for b in nouns.bins] == ["NN"]
    assert "NNS" in nouns.empty


@pytest.mark.parametrize(
    "act",
    [
        lambda: partitions.by_surprisal(CONTEXTS.last_surprisal, TEXT.index.shape, unit="bans"),
        lambda: partitions.by_surprisal(
            CONTEXTS.last_surprisal, TEXT.index.shape, edges=(1.0, 0.0)
        ),
        lambda: conditions.condition(CONTEXTS, TEXT, partitions.by_word_class(TEXT), "first token"),
    ],
)
def test_bad_choices_are_refused(act):
    with pytest.raises(InputError):
        act()
