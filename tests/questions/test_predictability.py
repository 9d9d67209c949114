"""Divergence beside n-grams, on made-up predictions whose KL is a planted function of surprisal."""

import dataclasses

import made_contexts
import numpy as np
import pytest
from made_contexts import TOKENS, WINDOWS, Text

from dynamics.errors import InputError
from dynamics.figures import style
from dynamics.questions import Committed, predictability
from dynamics.questions.convergence import record as convergence_record
from dynamics.questions.predictability import record
from dynamics.results import Unit


def ngrams(text: Text) -> record.Record:
    """Orders 1 to 3; which of them predicts a token best is random."""
    surprisal = np.random.default_rng(5).exponential(3, (3, WINDOWS, TOKENS - 1))
    return record.Record(orders=(1, 2, 3), surprisal=surprisal, document=text.document)


def find(kl_of_step, measured: record.Record) -> predictability.Predictability:
    """Findings of seeds whose KL at a prediction is a function of the n-grams' surprisals."""
    rng, units = np.random.default_rng(0), []
    for step in (0, 8, 64):
        made = made_contexts.predictions(made_contexts.text(), rng)
        made = dataclasses.replace(made, token_kl=kl_of_step(step, measured.surprisal, rng))
        unit = Unit(measure="convergence", model="toy-8", seeds=(0, 1, 2), step=step)
        units.append((unit, convergence_record.to_dataset(made)))
    text = [(Unit.of_suite(record.MEASURE), record.to_dataset(measured))]
    findings = predictability.find(Committed({"convergence": units, record.MEASURE: text}))
    assert findings is not None
    return findings[0]


def planted(step: int, surprisal: np.ndarray, rng) -> np.ndarray:
    """Noise alone at step 0, half of the variance of order 2 at step 8, all of it at step 64."""
    signal = surprisal[1] / surprisal[1].std()
    noise = rng.normal(size=signal.shape)
    return 10 + {0: 0 * signal, 8: signal, 64: signal}[step] + {0: noise, 8: noise, 64: 0}[step]


def test_what_n_grams_explain_is_what_was_planted():
    model = find(planted, ngrams(made_contexts.text()))
    nothing, half, everything = model.explained.value
    assert nothing < 3
    assert model.explained.low[1] < 50 < model.explained.high[1]
    assert half == pytest.approx(50, abs=8)
    assert everything == pytest.approx(100)
    np.testing.assert_allclose(model.explained_by[2].value[1:], model.explained.value[1:], atol=2)
    assert model.explained_by[1].value.max() < 3


def test_every_prediction_belongs_to_the_order_that_is_least_surprised():
    measured = ngrams(made_contexts.text())
    best = measured.surprisal.argmin(0)
    model = find(lambda step, surprisal, rng: 1.0 + best, measured)
    for at, n in enumerate(measured.orders):
        np.testing.assert_allclose(model.by_order[n].value, 1.0 + at)
        assert model.predictions[n] == (best == at).sum()
    sentence = predictability.QUESTION.section([model], style.Look(["toy-8"])).findings[0].sentence
    assert "nearest on tokens that n = 1 predicts best (1.00 nats)" in sentence


def test_other_windows_are_refused():
    measured = ngrams(made_contexts.text())
    for other in (
        dataclasses.replace(measured, surprisal=measured.surprisal[..., :-1]),
        dataclasses.replace(measured, document=measured.document + 1),
    ):
        with pytest.raises(InputError, match="the very windows"):
            find(lambda step, surprisal, rng: np.ones((WINDOWS, TOKENS - 1)), other)
