"""Development over training, on made-up records: a model that passes by the mean task."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from dynamics.errors import InputError
from dynamics.figures import style
from dynamics.questions import Committed, development
from dynamics.questions.development import record
from dynamics.results import Unit

STEPS = (0, 10, 100, 1000)


def made(step: int, seed: int = 0) -> record.Record:
    """E[yhat^2] dips at step 10; from step 100 on the context is used, and norms collapse."""
    k = STEPS.index(step)
    rng = np.random.default_rng([step, seed])
    attention = np.full((8, 2, 2, 3), 0.5) + 0.01 * rng.uniform(size=(8, 2, 2, 3))
    kinds = np.full((2, 2, 3), "none", "<U14")
    if step == 1000:
        kinds[1, 0, 2] = "previous x"
        attention[0, 1, 0, 2] = 0.02
    return record.Record(
        loss=(4.4, 4.12, 2.5, 1.8)[k] + 0.01 * seed,
        loss_sem=0.05,
        ridge_loss=1.55,
        trivial_loss=4.125,
        mean_square=(0.3, 0.02, 1.5, 2.5)[k],
        mean_square_sem=0.01,
        from_prior=(0.3, 0.02, 1.5, 2.5)[k],
        from_prior_sem=0.01,
        icl_early=(0.0, 0.01, -1.0, -2.0)[k],
        icl_early_sem=0.1,
        icl_late=(0.0, 0.0, 0.1, -0.8)[k],
        icl_late_sem=0.1,
        by_pair=np.linspace(4, 1, 8),
        ridge_by_pair=np.linspace(4, 0.5, 8),
        weight_norm=25.0 + step / 100,
        embed_shares=np.array([0.25, 0.25, 0.24, 0.23, 0.03]),
        position_shares=np.full(16, 1 / 16),
        position_in_embed=0.1 + 0.1 * k,
        norms=("layers.0.attention_norm", "final_norm"),
        small_scales=np.array([0.0, 0.25 * k]),
        small_biases=np.array([1.0, 0.9]),
        attention=attention,
        kinds=kinds,
        gains=np.array([0.1, 1.0, 10.0]),
        input_error=np.array([4.0, 2.0, 5.0 + k]),
        task_error=np.array([4.0, 2.0, 3.0]),
        input_size=np.ones(3),
        task_size=np.ones(3),
        num_contexts=500,
    )


def units(model: str = "toy-8", seeds=(0,)) -> list[tuple[Unit, xr.Dataset]]:
    return [
        (
            Unit(measure=record.MEASURE, model=model, seeds=(seed,), step=step),
            record.to_dataset(made(step, seed)),
        )
        for seed in seeds
        for step in STEPS
    ]


def only_model(pairs) -> development.Development:
    (model,) = development.find(Committed({record.MEASURE: pairs})) or ()
    return model


def test_a_record_is_read_as_it_was_written():
    written, read = made(1000), record.from_dataset(record.to_dataset(made(1000)))
    for name, value in vars(written).items():
        np.testing.assert_array_equal(np.asarray(getattr(read, name)), np.asarray(value), name)
    less = record.to_dataset(written).drop_vars("icl_late")
    with pytest.raises(InputError, match="icl_late"):
        record.from_dataset(less)
    older = record.from_dataset(
        record.to_dataset(written).drop_vars(["from_prior", "from_prior_sem"])
    )
    assert (older.from_prior, older.from_prior_sem) == (written.mean_square, 0.01)


def test_what_happened_when():
    model = only_model(units())
    assert model.lowest_mean_square == (0.02, 10)
    assert [(head.name, head.target, head.kind) for head in model.heads] == [
        ("0.2", "y", "previous x")
    ]
    assert model.far == 10
    np.testing.assert_allclose(model.far_inputs.value, [5, 6, 7, 8])
    np.testing.assert_allclose(model.final_scales.value, [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(model.least_entropy.value[-1], 0.02)
    # One seed has its errors over contexts; two have theirs over seeds.
    np.testing.assert_allclose(model.icl_early.sem, 0.1)
    two = only_model(units(seeds=(0, 1)))
    np.testing.assert_allclose(two.loss.value, model.loss.value + 0.005)
    assert two.loss.sem[0] == pytest.approx(0.005)


def test_the_page_says_it():
    models = [only_model(units())]
    section = development.QUESTION.section(models, style.Look(["toy-8"]))
    sentences = {finding.sentence: finding.grade for finding in section.findings}
    text = " ".join(sentences)
    assert "toy-8 errs by 2.00 less at pair D than at the first pair, at step 1000" in text
    assert "nearest to the mean task at step 10" in text
    assert "0.2 (y-tokens: previous x)" in text
    assert "ends at 1.80; predicting 0 loses 4.12, ridge regression 1.55" in text
    assert sentences[section.findings[0].sentence] == "sure"
    assert "development-from-prior" not in [panel.name for panel in section.panels]
    json.dumps(section.numbers, default=lambda curve: curve.value.tolist())


def test_the_prior_of_a_finite_set_is_told_apart_from_zero():
    def nearer(k: int, step: int) -> record.Record:
        prior = (0.5, 0.01, 1.5, 2.5)[k]
        return dataclasses.replace(made(step), from_prior=prior)

    pairs = [(unit, record.to_dataset(nearer(k, STEPS[k]))) for k, (unit, _) in enumerate(units())]
    model = only_model(pairs)
    assert model.finite
    assert (model.lowest_from_prior, model.lowest_mean_square) == ((0.01, 10), (0.02, 10))
    section = development.QUESTION.section([model], style.Look(["toy-8"]))
    assert "development-from-prior" in [panel.name for panel in section.panels]
    text = " ".join(finding.sentence for finding in section.findings)
    assert "E[(ŷ − x·t̄)²] is 0.0100 there" in text
    assert "The nearest to predicting 0 it comes is 0.0200, at step 10" in text
