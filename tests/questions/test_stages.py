"""Where curves of single runs pause, and in plain words where too few checkpoints can say."""

import dataclasses

import numpy as np
import pytest
from made_stages import STEPS, curvature, llc

from dynamics.figures import style
from dynamics.questions import Committed, stages
from dynamics.questions.curvature import record as curvature_record
from dynamics.questions.llc import record as llc_record
from dynamics.questions.stages.findings import LARGEST, LLC, TRACE
from dynamics.results import Unit

FEW = [0, 1, 8, 64, 512, 640]
PAUSE = np.exp(8.5)  # of every curve below: a peak of the LLC, a shoulder of the trace
LOOK = style.Look(["toy-8"])


def find(steps=STEPS, missing: int | None = None) -> list[stages.RunStages]:
    """LLC of two seeds and curvature of one; the LLC is NaN at the step `missing`."""
    units = {llc_record.MEASURE: [], curvature_record.MEASURE: []}
    for step in steps:
        for seed in (0, 1):
            unit = Unit(measure="llc", model="toy-8", seeds=(seed,), step=step)
            estimate = llc(step, seed, np.nan if step == missing else None)
            units["llc"].append((unit, llc_record.to_dataset(estimate)))
        unit = Unit(measure="curvature", model="toy-8", seeds=(0,), step=step)
        units["curvature"].append((unit, curvature_record.to_dataset(curvature(step))))
    runs = stages.find(Committed(units))
    assert runs is not None
    return runs


@pytest.fixture(scope="module")
def runs():
    return find()


@pytest.fixture(scope="module")
def section(runs):
    return stages.QUESTION.section(runs, LOOK)


def test_every_run_and_curve_is_searched(runs):
    names = [(run.label, run.seed) for run in runs]
    assert names == [(LLC, 0), (LLC, 1), (TRACE, 0), (LARGEST, 0)]


def test_numbers_hold_the_boundaries_that_sentences_say(section):
    shown = section.numbers["stages"]
    assert len(shown) == 4
    for name, run in shown.items():
        edge, boundary = run["boundaries"]
        assert edge["kind"] == "edge"  # every curve is flat at first
        assert boundary["kind"] == ("peak" if "LLC" in name else "shoulder")
        assert boundary["step"] == pytest.approx(PAUSE, rel=0.1)
        assert boundary["low"] < PAUSE < boundary["high"]
        assert len(run["value"]) == len(STEPS)
    sentences = [finding.sentence for finding in section.findings]
    assert sum("a peak at step" in sentence for sentence in sentences) == 2
    assert sum("a shoulder at step" in sentence for sentence in sentences) == 2


def test_pauses_of_estimates_that_are_not_local_are_doubted(runs, section):
    local = sum(np.log1p(step) > 7 for step in STEPS)
    doubt = f"only {local} of {len(STEPS)} estimates are local"
    assert sum(doubt in finding.sentence for finding in section.findings) == 2
    of_all, *own = section.findings
    assert of_all.sentence == "4 of 4 curves of toy-8 pause, with 8 stage boundaries in all."
    for run, finding in zip(runs, own, strict=True):
        assert run.all_local or finding.grade != "sure"


def test_boundaries_are_changes_on_the_common_axis(section):
    changes = [change for track in section.tracks for change in track.changes]
    inner = [change for change in changes if "edge" not in change.name]
    assert len(inner) == 3  # of two LLCs and a trace
    assert all(change.low < PAUSE < change.high for change in inner)


def test_every_panel_draws_and_has_its_numbers(section):
    for panel in section.panels:
        assert panel.draw().axes
        assert panel.table.rows


def test_seeds_and_chance_have_tables(section):
    seeds = section.tables["Boundaries over seeds"].columns
    assert seeds["kind"] == ["edge", "peak"]
    assert seeds["seeds that have it"] == ["2 of 2", "2 of 2"]
    (chance,) = [name for name in section.tables if "Chance" in name]
    assert set(section.tables[chance].columns["in intervals of"]) == {TRACE, LARGEST}


def test_too_few_checkpoints_are_said_and_nothing_is_drawn():
    section = stages.QUESTION.section(find(FEW), LOOK)
    assert not section.panels
    assert "too few checkpoints: 6; expected at least 8" in section.absent
    assert "LLC of toy-8, seed 0, and 3 other curves" in section.absent


def test_checkpoints_without_a_number_are_left_out():
    run = find(missing=STEPS[20])[0]
    assert len(run.curve.steps) == len(STEPS) - 1
    assert run.stages is not None
    _, peak = run.stages.boundaries
    assert peak.kind == "peak"
    assert peak.step == pytest.approx(PAUSE, rel=0.1)


def test_that_a_curve_does_not_pause_is_never_sure(runs):
    """All of no boundaries have a large share of the draws."""
    run = runs[2]
    assert run.stages is not None
    assert run.stages.boundaries
    without = dataclasses.replace(run, stages=dataclasses.replace(run.stages, boundaries=()))
    (finding,) = stages.QUESTION.section([without], LOOK).findings
    assert "no stage boundary" in finding.sentence
    assert finding.grade == "open"
