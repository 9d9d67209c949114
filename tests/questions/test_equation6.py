"""The regression of convergence: planted coefficients come back, and what is left out is said."""

import dataclasses

import made_contexts
import numpy as np
import pytest

from dynamics.errors import InputError
from dynamics.questions.token_properties import equation6
from dynamics.questions.token_properties.contexts import predicted

TEXT = made_contexts.text()


def planted(alpha: float, function_word: float, size: float, between: float = 0.0):
    """step, rng -> KL of one model: minus the planted convergence, with noise of its own and of its
    documents."""
    ln_count = np.log(predicted(TEXT.count))
    function = predicted(TEXT.word_class) == 1

    def kl(step, rng):
        shared = rng.normal(size=10)[TEXT.owners] * between
        noise = 0.1 * rng.normal(size=len(ln_count)) + shared
        return 5.0 - alpha * ln_count - function_word * function - size + noise

    return kl


def test_planted_effects_come_back():
    models = [("toy-8", 0.0), ("toy-32", 0.3)]
    fitted = equation6.regression(
        [
            made_contexts.contexts(TEXT, name, kl=planted(0.05, 0.2, size), seed=k)
            for k, (name, size) in enumerate(models)
        ],
        TEXT,
    )
    reference = fitted.references["predicted token"]
    for name, expected in {"ln frequency": 0.05, "model: toy-32": 0.3}.items():
        curve = fitted.coefficient(name)
        np.testing.assert_allclose(curve.value, expected, atol=0.03)
        assert (curve.low < curve.value).all()
        assert (curve.value < curve.high).all()
    word = {level: 0.2 * (level == "function word") for level in equation6.WORD_CLASSES}
    for level in set(equation6.WORD_CLASSES) - {reference}:
        curve = fitted.coefficient(f"predicted token: {level}")
        np.testing.assert_allclose(curve.value, word[level] - word[reference], atol=0.05)
    assert fitted.tokens == TEXT.owners.size


def test_a_coefficient_of_few_documents_is_flagged():
    """Function words in two documents alone: nothing shows how other documents have them."""
    few = np.isin(TEXT.document, np.unique(TEXT.document)[:2])[:, None]
    classes = np.where((TEXT.word_class == 1) & ~few, 0, TEXT.word_class)
    text = dataclasses.replace(TEXT, word_class=classes)
    fitted = equation6.regression([made_contexts.contexts(text)], text)
    assert fitted.too_few("predicted token: function word")
    assert not fitted.too_few("ln frequency")


def test_levels_that_others_tell_are_dropped_and_named():
    text = dataclasses.replace(TEXT, word_class=np.where(TEXT.word_class == 1, 0, TEXT.word_class))
    fitted = equation6.regression([made_contexts.contexts(text)], text)
    assert "predicted token: function word" in fitted.dropped
    assert all(np.isfinite(fit.sem).all() for fit in fitted.fits)


def test_tokens_that_were_never_counted_are_left_out():
    text = dataclasses.replace(TEXT, count=np.where(TEXT.index == 0, 0, TEXT.count))
    fitted = equation6.regression([made_contexts.contexts(text)], text)
    assert fitted.left_out == (TEXT.index[:, 1:] == 0).sum()


def test_tokens_without_a_tag_are_left_out():
    """Appendix A: predicted, or last of the context. A list of words leaves none out."""
    text = made_contexts.text(tagger="nltk")
    fitted = equation6.regression([made_contexts.contexts(text)], text)
    tagged = (text.tag[:, 1:] >= 0) & (text.tag[:, :-1] >= 0)
    assert 0 < fitted.tokens == tagged.sum() < tagged.size
    assert fitted.untagged == (~tagged).sum()
    levels = {name.partition(": ")[2] for name in fitted.names if name.startswith("predicted")}
    assert levels | {fitted.references["predicted token"]} == {"DT", "NN", "VB"}
    nothing = dataclasses.replace(text, tag=np.full_like(text.tag, -1))
    with pytest.raises(InputError, match="no token that was counted and has a tag"):
        equation6.regression([made_contexts.contexts(text)], nothing)
    closed = equation6.regression([made_contexts.contexts(TEXT)], TEXT)
    assert (closed.untagged, closed.tokens) == (0, TEXT.owners.size)


def test_one_document_is_refused():
    text = dataclasses.replace(TEXT, document=np.zeros_like(TEXT.document))
    with pytest.raises(InputError, match="one document"):
        equation6.regression([made_contexts.contexts(text)], text)


def test_an_untext_coefficient_is_refused():
    fitted = equation6.regression([made_contexts.contexts(TEXT)], TEXT)
    with pytest.raises(InputError, match="coefficient"):
        fitted.coefficient("ln frequencyy")
