"""What is said of an audit, on made-up records. Axes: R runs, K steps."""

import numpy as np
from made_audit import STEPS, audited

from dynamics.figures import style
from dynamics.questions import Committed, audit
from dynamics.questions.audit import record
from dynamics.results import Unit


def find(**fields) -> audit.Audit:
    units = [
        (Unit.of_run(record.MEASURE, model, (0,)), record.to_dataset(audited(**fields)))
        for model in ("toy-16", "toy-8")
    ]
    findings = audit.find(Committed({record.MEASURE: units}))
    assert findings is not None
    return findings


def test_a_record_is_read_as_it_was_written():
    written = audited(weights_read=True)
    read = record.from_dataset(record.to_dataset(written))
    np.testing.assert_array_equal(read.state, written.state)
    assert read.faults == tuple(written.faults)
    assert (read.fate, read.weights_read) == (written.fate, True)


def test_runs_stand_by_size_and_faults_before_remarks():
    findings = find()
    assert findings.runs == ("toy-8 seed 0", "toy-16 seed 0")
    assert [fault.kind for _, fault in findings.faults] == ["duplicate"] * 2 + ["remark"] * 2
    assert findings.count(record.CONVICTED) == 2


def test_the_page_counts_convicts_and_says_what_was_not_read():
    section = audit.QUESTION.section(find(), style.Look(["toy-8", "toy-16"]))
    (finding,) = section.findings
    assert finding.sentence.startswith("2 of 8 checkpoints are convicted: left out of every figure")
    assert finding.rests_on == "file digests alone"
    assert "A fault inside the weights would not be seen." in section.panels[0].caption
    assert section.panels[0].table.columns["verdict"].count("convicted") == 2
    assert section.panels[0].draw().axes


def test_a_clean_suite_is_open_where_no_weight_was_read():
    clean = record.Record(
        steps=STEPS, state=np.full(4, record.SOUND), faults=[], fate="", weights_read=False
    )
    unit = Unit.of_run(record.MEASURE, "toy-8", (0,))
    findings = audit.find(Committed({record.MEASURE: [(unit, record.to_dataset(clean))]}))
    section = audit.QUESTION.section(findings, style.Look(["toy-8"]))
    assert section.findings[0].grade == "open"
    assert not section.tables
