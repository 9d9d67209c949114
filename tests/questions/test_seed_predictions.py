"""The page on seeds of regression says what their predictions make it say.

Axes: S seeds, B contexts.
"""

import numpy as np
import pytest

from dynamics.figures import style
from dynamics.measures.prediction_divergence import gaussian_kl
from dynamics.questions import Committed, seed_predictions
from dynamics.questions.seed_predictions import record
from dynamics.results import Unit

SPREADS = {0: 1.0, 8: 0.1, 64: 0.5}


def made(step: int, num_seeds: int = 3, num_contexts: int = 40) -> record.Record:
    """Seeds whose predictions scatter about a common one, farther the later."""
    rng = np.random.default_rng(step)
    spread = SPREADS.get(step, 0.2)
    common = rng.standard_normal(num_contexts)
    own = common + spread * rng.standard_normal((num_seeds, num_contexts))
    return record.Record(
        seeds=tuple(range(num_seeds)),
        kl=gaussian_kl(own),
        squared_error=np.square(own - common),
        from_mean_task=np.square(own) / 2,
    )


def found(num_seeds: int) -> seed_predictions.SeedPredictions:
    units = [
        (
            Unit(measure=record.MEASURE, model="toy", seeds=tuple(range(num_seeds)), step=step),
            record.to_dataset(made(step, num_seeds)),
        )
        for step in SPREADS
    ]
    (model,) = seed_predictions.find(Committed({record.MEASURE: units})) or []
    return model


def test_the_divergence_is_that_of_the_spread_between_seeds():
    """E|a - b|^2 / 2 = spread^2 for independent a and b, within the stated error."""
    model = found(3)
    expected = np.square(list(SPREADS.values()))
    assert (np.abs(model.seed_kl.value - expected) < 4 * model.seed_kl.sem).all()
    assert model.turns.lowest == 1
    assert model.seed_kl.rests_on == "± standard error over 40 contexts"


@pytest.mark.parametrize(("num_seeds", "sure"), [(2, False), (4, True)])
def test_the_sentence_says_what_it_rests_on(num_seeds, sure):
    page = seed_predictions.QUESTION.section([found(num_seeds)], style.Look(["toy"]))
    (course,) = page.findings
    assert "at step 8 and rises to" in course.sentence
    assert course.rests_on == f"{num_seeds} seeds, 40 contexts"
    assert ("standard errors over seeds and contexts" in course.sentence) == sure
    assert "± standard error over contexts" in page.panels[0].caption
