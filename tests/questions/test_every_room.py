"""What every page of a question keeps: its tables and its JSON hold all that its figures draw, and
its first finding speaks of all of its models. On made-up results of two models each.
"""

import dataclasses
from collections.abc import Callable, Mapping

import made_audit
import made_causes
import made_contexts
import made_llc
import made_next_byte
import made_paths
import made_stages
import made_truth
import numpy as np
import pytest
import test_calibration
import test_convergence
import test_curvature
import test_development
import test_masked
import test_mechanism
import test_minimal_pairs
import test_perplexity
import test_predictability
import test_seed_predictions
import test_warmup
import test_weights
from drawn import absent_from_numbers, absent_from_table

from dynamics.figures import style
from dynamics.questions import ALL, Committed, Question
from dynamics.questions.llc_sweeps import record as sweeps_record
from dynamics.report.section import Section, Table
from dynamics.results import Unit

MODELS = ("toy-8", "toy-16")
STEPS = (8, 64, 512)
Units = list[tuple[Unit, object]]
QUESTIONS = {question.name: question for question in ALL if question.name != "reading"}


def of_two(measure: str, by_unit: Mapping[tuple[tuple[int, ...], int], object]) -> dict:
    """The same results of two models: (seeds, step) -> data set."""
    return {
        measure: [
            (Unit(measure=measure, model=model, seeds=seeds, step=step), data)
            for model in MODELS
            for (seeds, step), data in by_unit.items()
        ]
    }


def audit() -> dict:
    record = made_audit.record
    data = record.to_dataset(made_audit.audited(weights_read=True))
    return {record.MEASURE: [(Unit.of_run(record.MEASURE, model, (0,)), data) for model in MODELS]}


def convergence() -> dict:
    return {
        "convergence": test_convergence.divergence_units(),
        "icl": test_convergence.context_units(),
        "ngram": test_convergence.ngram_units(),
    }


def in_context() -> dict:
    return {"icl": test_convergence.context_units()}


def token_properties() -> dict:
    committed = made_contexts.committed(made_contexts.text())
    return {name: committed.of(name) for name in ("convergence", "token_properties")}


def predictability() -> dict:
    text = made_contexts.text()
    committed = made_contexts.committed(text, models=MODELS, measures=("convergence",))
    record = test_predictability.record
    ngrams = record.to_dataset(test_predictability.ngrams(text))
    return {
        "convergence": committed.of("convergence"),
        record.MEASURE: [(Unit.of_suite(record.MEASURE), ngrams)],
    }


def minimal_pairs() -> dict:
    record = test_minimal_pairs.record
    stored = {
        ((0, 1, 2, 3), step): record.to_dataset(judged)
        for step, judged in test_minimal_pairs.records().items()
    }
    return of_two(record.MEASURE, stored)


def masked() -> dict:
    return {test_masked.record.MEASURE: list(test_masked.stored_units(3))}


def icl_regression() -> dict:
    return stages() | of_two(
        test_development.record.MEASURE,
        {
            ((0,), step): test_development.record.to_dataset(test_development.made(step))
            for step in test_development.STEPS
        },
    )


def seed_predictions() -> dict:
    record = test_seed_predictions.record
    stored = {
        ((0, 1, 2), step): record.to_dataset(test_seed_predictions.made(step)) for step in STEPS
    }
    return of_two(record.MEASURE, stored)


def next_byte() -> dict:
    record = made_next_byte.record
    stored = {
        ((0, 1, 2), step): record.to_dataset(made_next_byte.planted(k))
        for k, step in enumerate(made_next_byte.STEPS)
    }
    return of_two(record.MEASURE, stored)


def truth() -> dict:
    record = made_truth.record
    stored = {
        ((0, 1, 2), step): record.to_dataset(made_truth.planted(k))
        for k, step in enumerate(made_truth.STEPS)
    }
    return of_two(record.MEASURE, stored)


def causes() -> dict:
    record = made_causes.record
    stored = {
        (tuple(range(16)), step): record.to_dataset(made_causes.planted(k))
        for k, step in enumerate(made_causes.STEPS)
    }
    return of_two(record.MEASURE, stored)


def warmup() -> dict:
    return test_warmup.results({"toy-8": 0, "toy-16": 32}, {"toy-8": 16, "toy-16": 16})


def llc() -> dict:
    record, effects = (
        made_llc.record,
        made_llc.record.Sensitivity(
            step_effect=-0.1, step_effect_sem=0.02, pull_effect=-0.4, pull_effect_sem=0.01
        ),
    )
    stored = {
        ((seed,), step): record.to_dataset(
            made_llc.one_record(
                40.0 + 10 * k + seed,
                5.0 - k,
                sensitivity=effects,
                localization_share=0.95,
                pull_exponent=-0.9 + 0.1 * k,
                pull_exponent_sem=0.02,
                pull_bound=0.5,
                reference=made_llc.reference(30.0 + 8 * k),
            )
        )
        for k, step in enumerate(STEPS)
        for seed in range(2)
    }
    return of_two(record.MEASURE, stored)


def curvature() -> dict:
    record = test_curvature.record
    stored = {
        ((0,), step): record.to_dataset(test_curvature.with_spectrum(step))
        for step in test_curvature.STEPS
    }
    llcs = {
        ((0,), step): made_llc.record.to_dataset(made_llc.one_record(float(step)))
        for step in test_curvature.STEPS
    }
    return of_two(record.MEASURE, stored) | of_two(made_llc.record.MEASURE, llcs)


def stages() -> dict:
    record, steps = test_curvature.record, made_stages.STEPS
    stored = {((0,), step): record.to_dataset(made_stages.curvature(step)) for step in steps}
    llcs = {((0,), step): made_llc.record.to_dataset(made_stages.llc(step, 0)) for step in steps}
    return of_two(record.MEASURE, stored) | of_two(made_llc.record.MEASURE, llcs)


def calibration() -> dict:
    record = test_calibration.record
    stored = {((0,), step): record.to_dataset(test_calibration.made()) for step in STEPS}
    return of_two(record.MEASURE, stored)


def sweeps(step: int, **changed) -> sweeps_record.Record:
    """One thing varied at a time around an LLC that grows with the step."""
    rng = np.random.default_rng(step)
    level = 10.0 * np.log1p(step)
    fields = {
        "data_sizes": (8, 64),
        "llc_by_data_size": level + rng.normal(size=2),
        "sem_by_data_size": np.full(2, 0.5),
        "batch_sizes": (2, 4, 8),
        "llc_by_batch": level + rng.normal(size=(2, 3)),
        "sem_by_batch": np.full((2, 3), 0.5),
        "running": level + rng.normal(size=(2, 250)),
        "running_sem": np.full((2, 250), 0.5),
        "nbeta": 100.0,
        "num_chains": 4,
        "predictions": 12,
        "batch_factor": 5,
    }
    return sweeps_record.Record(**fields | changed)


def llc_sweeps() -> dict:
    noise = sweeps_record.NoiseRecord(
        llc=np.array([40.0, 41.0]), sem=np.array([0.5, 0.7]), nbeta=100.0, num_chains=4
    )
    stored = {((0,), step): sweeps_record.to_dataset(sweeps(step)) for step in STEPS}
    noises = {((0,), step): sweeps_record.noise_to_dataset(noise) for step in STEPS}
    return of_two(sweeps_record.MEASURE, stored) | of_two(sweeps_record.NOISE_MEASURE, noises)


def weights() -> dict:
    record = test_weights.record
    stored = {
        ((seed,), step): test_weights.census_of(seed, step)
        for seed in range(3)
        for step in test_weights.STEPS
    }
    return of_two(record.MEASURE, stored)


def paths() -> dict:
    record = made_paths.record
    units = [
        (Unit.of_run(record.MEASURE, model, (seed,)), made_paths.data_set(seed, 10**k))
        for k, model in enumerate(MODELS)
        for seed in range(2)
    ]
    return {record.MEASURE: units}


def perplexity() -> dict:
    pairs = [pair for model in MODELS for pair in test_perplexity.units(model)]
    return {test_perplexity.record.MEASURE: pairs}


def mechanism() -> dict:
    pairs = [pair for model in MODELS for pair in test_mechanism.units(model)]
    return {test_mechanism.record.MEASURE: pairs}


def development() -> dict:
    pairs = [pair for model in MODELS for pair in test_development.units(model)]
    return {test_development.record.MEASURE: pairs}


RESULTS: dict[str, Callable[[], dict]] = {
    "audit": audit,
    "causes": causes,
    "convergence": convergence,
    "token_properties": token_properties,
    "icl_regression": icl_regression,
    "in_context": in_context,
    "minimal_pairs": minimal_pairs,
    "masked": masked,
    "mechanism": mechanism,
    "perplexity": perplexity,
    "predictability": predictability,
    "seed_predictions": seed_predictions,
    "next_byte": next_byte,
    "truth": truth,
    "llc": llc,
    "calibration": calibration,
    "llc_sweeps": llc_sweeps,
    "curvature": curvature,
    "stages": stages,
    "development": development,
    "warmup": warmup,
    "weights": weights,
    "paths": paths,
}


def section_of(question: Question, results: dict) -> tuple[list[str], Section]:
    """Names of the models that a question speaks of, and its section."""
    findings = question.find(Committed(results))
    assert findings is not None
    models = question.models(findings)
    return models, question.section(findings, style.Look(models))


@pytest.fixture(scope="module", params=QUESTIONS)
def room(request) -> tuple[str, list[str], Section]:
    """A question's name, its models and its section."""
    question = QUESTIONS[request.param]
    return question.name, *section_of(question, RESULTS[question.name]())


def test_the_table_behind_a_figure_holds_all_that_it_draws(room):
    name, _, section = room
    assert section.panels
    # A cell of the audit is a verdict, which the table has in words.
    panels = [panel for panel in section.panels if name != "audit"]
    assert [line for panel in panels for line in absent_from_table(panel)] == []


def test_the_json_holds_every_curve_that_is_drawn(room):
    name, _, section = room
    if name == "convergence":  # its overview draws the scores of another question too
        _, scores = section_of(QUESTIONS["in_context"], in_context())
        section = dataclasses.replace(section, numbers={**section.numbers, **scores.numbers})
    assert section.numbers
    assert absent_from_numbers(section) == []


def test_a_number_that_a_table_lacks_is_seen():
    _, section = section_of(QUESTIONS["minimal_pairs"], minimal_pairs())
    line, _, heat_map = section.panels
    for panel, lost in ((line, "high"), (heat_map, "KL between seeds (nats per pair)")):
        columns = {name: cells for name, cells in panel.table.columns.items() if name != lost}
        less = dataclasses.replace(panel, table=Table(columns=columns))
        assert absent_from_table(panel) == []
        assert absent_from_table(less)
    assert absent_from_numbers(dataclasses.replace(section, numbers={"none": [0.0]}))


# Which of these sentences count over all models, and need not name each.
COUNTS = {"audit": "of 8 checkpoints", "llc": "of 12 LLC estimates"}


def test_the_first_finding_speaks_of_every_model(room):
    name, models, section = room
    sentence = section.findings[0].sentence
    assert COUNTS[name] in sentence if name in COUNTS else all(m in sentence for m in models)
    assert len(models) == len(MODELS)


def test_captions_read_no_number_of_their_figure_aloud(room):
    """What else a number in a caption may be: a setting, a level, a constant of nature."""
    name, _, section = room
    for panel in section.panels:
        values = [
            f"{cell:.3g}"
            for row in panel.table.rows
            for cell in row
            if isinstance(cell, float) and cell % 1 > 0
        ]
        spoken = [value for value in values if len(value) > 3 and value in panel.caption]
        assert not spoken, (name, panel.name, spoken)


def test_the_plan_of_the_likelihood_comes_from_the_results():
    def caption(**changed) -> str:
        stored = {((0,), step): sweeps_record.to_dataset(sweeps(step, **changed)) for step in STEPS}
        results = of_two(sweeps_record.MEASURE, stored)
        _, section = section_of(QUESTIONS["llc_sweeps"], results)
        panels = {panel.name: panel for panel in section.panels}
        return panels["sweep-likelihood-toy-8"].caption

    assert "12 are drawn of each window, and a batch has 5 times as many" in caption()
    assert "drawn of each window" not in caption(predictions=None, batch_factor=None)


def test_one_checkpoint_shows_no_order():
    results = of_two(sweeps_record.MEASURE, {((0,), 8): sweeps_record.to_dataset(sweeps(8))})
    _, section = section_of(QUESTIONS["llc_sweeps"], results)
    ranks = [finding for finding in section.findings if "rank the checkpoints" in finding.sentence]
    assert ranks
    assert all(finding.grade != "sure" for finding in ranks)
