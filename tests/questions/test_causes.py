"""Causes of divergence, on planted records: the parts, when the initialisation is forgotten, and
runs that do not tell the causes apart."""

import dataclasses

import numpy as np
import pytest
from made_causes import PLANTED, STEPS, planted

from dynamics.figures import style
from dynamics.questions import Committed, causes
from dynamics.questions.causes import record
from dynamics.results import Unit


def find(records: list[record.Record]) -> causes.CausesOfDivergence:
    units = [
        (
            Unit(measure=record.MEASURE, model="toy-8", seeds=measured.seeds, step=step),
            record.to_dataset(measured),
        )
        for step, measured in zip(STEPS, records, strict=True)
    ]
    findings = causes.find(Committed({record.MEASURE: units}))
    assert findings is not None
    return findings[0]


def only(measured: record.Record, runs: list[int]) -> record.Record:
    """The record of these runs alone."""
    return dataclasses.replace(
        measured,
        seeds=tuple(runs),
        init=measured.init[runs],
        order=measured.order[runs],
        kl=measured.kl[np.ix_(runs, runs)],
        surprisal=measured.surprisal[runs],
    )


RECORDS = [planted(k) for k in range(len(STEPS))]


def test_a_record_is_read_as_it_was_written():
    read = record.from_dataset(record.to_dataset(RECORDS[1]))
    for name in ("init", "order", "tokens", "kl", "surprisal"):
        np.testing.assert_array_equal(getattr(read, name), getattr(RECORDS[1], name))
    assert (read.seeds, read.parameters) == (RECORDS[1].seeds, 1000)


def test_the_planted_parts_come_back_within_their_intervals():
    split = find(RECORDS)
    for curve, expected in zip(split.parts.values(), np.array(PLANTED).T, strict=True):
        assert (curve.low - 1e-9 <= expected).all()
        assert (expected <= curve.high + 1e-9).all()
    whole = sum(part.value for part in split.parts.values())
    np.testing.assert_allclose(whole, split.kinds["nothing"].value)
    np.testing.assert_allclose(sum(split.shares.values()), 100)
    assert split.forgotten == 64
    findings = causes.QUESTION.section([split], style.Look(["toy-8"])).findings
    assert "the initialisation makes less than half from step 64 on" in findings[0].sentence
    assert findings[0].grade == "sure"


def test_a_cause_that_comes_back_was_not_forgotten():
    assert find(RECORDS[::-1]).forgotten is None


@pytest.mark.parametrize(
    ("runs", "kinds"),
    [
        pytest.param([0, 1, 4, 5], 3, id="two levels: means without limits"),
        pytest.param([0, 1, 4], 3, id="no grid"),
        pytest.param([0, 5, 10], 1, id="pairs that share nothing alone"),
    ],
)
def test_runs_that_allow_no_interval_have_none(runs, kinds):
    split = find([only(measured, runs) for measured in RECORDS])
    assert not any(curve.has_errors for curve in (*split.parts.values(), *split.kinds.values()))
    assert sum(np.isfinite(curve.value).all() for curve in split.kinds.values()) == kinds
    section = causes.QUESTION.section([split], style.Look(["toy-8"]))
    assert section.findings[0].grade == "open"
    assert all(panel.draw().axes for panel in section.panels)
    expected = "cannot be told apart" if kinds == 1 else "toy-8 at step 64"
    assert expected in section.findings[0].sentence
