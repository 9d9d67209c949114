"""What a smaller model's seeds do beyond a larger one's, bin by bin, on the same tokens."""

import dataclasses

import made_contexts
import numpy as np
import pytest

from dynamics.questions.token_properties import contrasts, partitions
from dynamics.questions.token_properties.contexts import predicted

TEXT = made_contexts.text(documents=20)
FUNCTION = predicted(TEXT.word_class) == 1


def models(rise: float):
    """A larger model, and a smaller one whose seeds lie `rise` farther apart on function words
    from step 8 on: documents and tokens that are hard for one are hard for both."""
    rng = np.random.default_rng(3)
    hard = rng.exponential(5.0, len(FUNCTION)) + rng.exponential(5.0, 20)[TEXT.owners]

    def small(step: int, rng) -> np.ndarray:
        return hard + rise * FUNCTION * (step >= 8) + 0.1 * rng.standard_normal(len(hard))

    large = made_contexts.contexts(TEXT, "toy-32", kl=lambda step, rng: hard)
    return made_contexts.contexts(TEXT, "toy-8", steps=(0, 4, 8, 64), kl=small), large


def test_what_both_models_share_cancels_and_the_planted_difference_is_left():
    small, large = models(rise=0.2)
    by_class = contrasts.contrast(small, large, TEXT, partitions.by_word_class(TEXT))
    assert by_class is not None
    content, function = by_class.bins
    assert content.kl.steps.tolist() == [0, 8, 64]  # those of both
    assert function.kl.value == pytest.approx([0, 0.2, 0.2], abs=0.02)
    # A tenth of the scatter of documents, which an unpaired difference would have.
    assert (function.kl.high - function.kl.low < 0.1).all()
    assert (function.sure, content.sure) == (True, False)
    np.testing.assert_allclose(  # the same predictions of both models
        function.cross_entropy.value, (small.surprisal[:3] - large.surprisal)[:, FUNCTION].mean(1)
    )


def test_models_that_are_alike_are_not_surely_apart_in_any_bin():
    small, large = models(rise=0.0)
    found = contrasts.contrasts(small, large, TEXT)
    assert found[0].name == "frequency"
    assert not any(part.sure for each in found for part in each.bins)


def test_bins_of_final_surprisal_are_of_both_models_alike():
    small, large = models(rise=0.2)
    large = dataclasses.replace(large, last_surprisal=3 * large.last_surprisal)
    one, other = (contrasts.contrasts(*pair, TEXT)[-1] for pair in ((small, large), (large, small)))
    assert one.name == other.name == "final surprisal"
    for part, turned in zip(one.bins, other.bins, strict=True):
        assert (part.name, part.tokens) == (turned.name, turned.tokens)
        np.testing.assert_allclose(part.kl.value, -turned.kl.value)


def test_a_bin_of_few_documents_is_never_sure():
    only = np.where(TEXT.document[:, None] < 3, TEXT.word_class, -1)
    text = dataclasses.replace(TEXT, word_class=only)
    by_class = contrasts.contrast(*models(rise=5.0), text, partitions.by_word_class(text))
    assert by_class is not None
    assert all(part.too_few and not part.sure for part in by_class.bins)


def test_models_without_a_common_step_have_no_difference():
    small, large = models(rise=0.2)
    later = dataclasses.replace(large, steps=np.array([1, 2, 3]))
    assert contrasts.contrasts(small, later, TEXT) == ()
