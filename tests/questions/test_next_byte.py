"""Divergence per byte over training, on planted records. Axes: S seeds, G documents."""

import numpy as np
from made_next_byte import DOCUMENTS, SIZES, STEPS, planted

from dynamics.figures import style
from dynamics.questions import Committed, next_byte
from dynamics.questions.next_byte import record
from dynamics.results import Unit


def find(seeds: int = 3, steps=STEPS, measure: str = record.MEASURE) -> next_byte.ByteDivergence:
    units = [
        (
            Unit(measure=measure, model="toy-8", seeds=tuple(range(seeds)), step=step),
            record.to_dataset(planted(STEPS.index(step), seeds)),
        )
        for step in steps
    ]
    findings = next_byte.find(Committed({measure: units}))
    assert findings is not None
    return findings[0]


def test_a_record_is_read_as_it_was_written():
    written = planted(1)
    read = record.from_dataset(record.to_dataset(written))
    assert (read.seeds, read.vocabularies) == (written.seeds, written.vocabularies)
    for name in ("kl", "js", "surprisal_gap", "surprisal", "surprisal_every", "sizes"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_results_under_the_former_name_are_read():
    former, now = find(measure=record.FORMER), find()
    np.testing.assert_array_equal(former.over_documents.value, now.over_documents.value)


def test_gaps_and_surprisals_are_in_bits():
    model = find()
    np.testing.assert_allclose(model.gap_bits.value, 4 / 3)  # 1, 1 and 2 between 1, 2 and 3
    np.testing.assert_allclose(model.surprisal_bits.value, 2)
    np.testing.assert_allclose(model.surprisal_bits.value - model.every_bits.value, 0.1)


def test_the_page_names_every_pair_and_what_bands_rest_on():
    section = next_byte.QUESTION.section([find()], style.Look(["toy-8"]))
    answer = section.panels[0].caption
    assert f"{int(SIZES.sum())} bytes of {DOCUMENTS} documents" in answer
    assert "95 % interval over 3 seeds and 40 documents" in answer
    (pairs,) = section.tables.values()
    assert len(pairs.rows) == 6
    assert {300, 512, 724} == set(pairs.columns["vocabulary"])
    assert "saves 0.100 bits a byte" in section.findings[0].sentence
    for panel in section.panels:
        assert panel.draw().axes
        assert panel.table.rows


def test_two_models_at_one_step_are_compared():
    model = find(seeds=2, steps=(0,))
    assert model.over_documents.has_errors
    assert not model.over_both.has_errors
    section = next_byte.QUESTION.section([model], style.Look(["toy-8"]))
    assert "Over other models no interval is given: it needs three." in section.panels[0].caption
    assert section.findings[0].grade == "open"
    for panel in section.panels:
        assert panel.draw().axes
