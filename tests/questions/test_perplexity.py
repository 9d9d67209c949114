"""Perplexity over training, on made-up records.

Axes: N texts, U completed texts, P lengths of a prefix.
"""

import numpy as np
import pytest
import xarray as xr

from dynamics.errors import InputError
from dynamics.figures import style
from dynamics.questions import Committed, perplexity
from dynamics.questions.perplexity import record
from dynamics.results import Unit

STEPS, P = (0, 8, 64), 7


def made(step: int, seed: int = 0, last_word: bool = True) -> record.Record:
    """Texts of 6 nats less ln(step + 1), scattered by documents; completions of half of that."""
    rng = np.random.default_rng([step, seed])
    level = 6 - np.log(step + 1)
    completed = level / 2 + rng.uniform(0, 0.3, (4, P))
    return record.Record(
        text_nats=level + 0.1 * rng.normal(size=6),
        text_tokens=np.array([5, 5, 9, 9, 2, 7]),
        text_document=np.array([0, 0, 1, 1, 2, 3]),
        last_word_nats=level + rng.uniform(size=6) if last_word else None,
        last_word_right=rng.uniform(size=6) < 0.5 if last_word else None,
        completion_nats=completed,
        unmasked_nats=completed + 2,
        unmasked_document=np.arange(4),
        repeated=rng.integers(0, 2, (4, P)) * (np.arange(P) < P - 3),
        repeated_in_text=np.zeros((4, P), int),
        ngram=4,
        phrase_prefix=("a", "a b"),
        phrase_completion=(f" {step}\n\t", " c"),
        vocab_size=512,
        texts="passages of toy.jsonl",
        decoding="greedy",
        num_cut=1,
    )


def units(model: str = "toy-8", seeds=(0,), **changed) -> list[tuple[Unit, xr.Dataset]]:
    return [
        (
            Unit(measure=record.MEASURE, model=model, seeds=(seed,), step=step),
            record.to_dataset(made(step, seed, **changed)),
        )
        for seed in seeds
        for step in STEPS
    ]


def find(pairs) -> perplexity.Perplexity:
    findings = perplexity.find(Committed({record.MEASURE: pairs}))
    assert findings is not None
    (model,) = findings
    return model


@pytest.mark.parametrize("last_word", [True, False])
def test_a_record_is_read_as_it_was_written(last_word):
    written = made(8, last_word=last_word)
    read = record.from_dataset(record.to_dataset(written))
    for name, value in vars(written).items():
        if value is None:
            assert getattr(read, name) is None
        else:
            np.testing.assert_array_equal(getattr(read, name), value, err_msg=name)


def test_a_perplexity_is_that_of_all_tokens_together():
    model = find(units())
    for k, step in enumerate(STEPS):
        written = made(step)
        mean = np.average(written.text_nats, weights=written.text_tokens)
        assert model.forward.value[k] == pytest.approx(np.exp(mean))
        # A prefix of p tokens leaves P + 1 - p to score.
        weights = np.broadcast_to(P + 1 - np.arange(1, P + 1), (4, P))
        own = np.average(written.completion_nats, weights=weights)
        assert model.completion.value[k] == pytest.approx(np.exp(own))
        assert model.unmasked.value[k] == pytest.approx(np.exp(own + 2))
    assert (model.forward.low < model.forward.value).all()
    assert model.forward.rests_on == "± standard error over 4 documents, one seed"


def test_repetition_counts_all_ngrams():
    model = find(units())
    written = made(STEPS[-1])
    total = 4 * sum(range(1, P - 2))  # completions of 7 to 4 tokens have 4 to 1
    assert model.repetition.value[-1] == pytest.approx(written.repeated.sum() / total)
    assert model.repetition_of_text == 0


def test_seeds_are_averaged_as_surprisals():
    model = find(units(seeds=(0, 1)))
    of_seed = [find(units(seeds=(seed,))) for seed in (0, 1)]
    mean = np.exp(np.mean([np.log(m.forward.value) for m in of_seed], axis=0))
    np.testing.assert_allclose(model.forward.value, mean)
    assert "2 seeds" in model.forward.rests_on


def test_the_page_shows_completions_and_names_its_texts():
    model = find(units())
    section = perplexity.QUESTION.section([model], style.Look([model.model]))
    (table,) = section.tables.values()
    assert table.columns["prefix"] == ["a", "a b"]
    assert table.columns["step 64"] == [" 64↵⇥", " c"]
    assert "passages of toy.jsonl" in section.panels[0].caption
    assert "1 of them lost their beginning" in section.panels[0].caption
    sentences = [finding.sentence for finding in section.findings]
    assert any("gives its own completions (greedy) a perplexity of" in s for s in sentences)


def test_without_last_words_their_panels_are_left_out():
    model = find(units(last_word=False))
    section = perplexity.QUESTION.section([model], style.Look([model.model]))
    assert not [panel.name for panel in section.panels if "last-word" in panel.name]


@pytest.mark.parametrize("name", ["text_nats", "completion_nats", "unmasked_nats"])
def test_a_stored_perplexity_below_one_is_refused(name):
    data = record.to_dataset(made(8))
    data[name][(0,) * data[name].ndim] = -41.0  # a perplexity of 1e-18
    with pytest.raises(InputError, match=f"{name}.*perplexity of 1 or more"):
        record.from_dataset(data)
