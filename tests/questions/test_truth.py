"""The approach to a known truth, on planted records.

Axes: K steps, S seeds, G windows.
"""

from dataclasses import replace

import numpy as np
import pytest
from made_truth import NOISE, OWN, STEPS, TO_TRUTH, WINDOWS, planted

from dynamics.figures import style
from dynamics.questions import Committed, truth
from dynamics.questions.truth import record
from dynamics.results import Unit


def find(records: list[record.Record]) -> truth.KnownTruth:
    units = [
        (
            Unit(measure=record.MEASURE, model="toy-8", seeds=measured.seeds, step=step),
            record.to_dataset(measured),
        )
        for step, measured in zip(STEPS, records, strict=True)
    ]
    findings = truth.find(Committed({record.MEASURE: units}))
    assert findings is not None
    return findings[0]


def sentences(approach: truth.KnownTruth) -> str:
    section = truth.QUESTION.section([approach], style.Look(["toy-8"]))
    captions = [panel.caption for panel in section.panels]
    return " ".join([*captions, *(finding.sentence for finding in section.findings)])


@pytest.fixture(scope="module")
def approach() -> truth.KnownTruth:
    return find([planted(k) for k in range(len(STEPS))])


def test_a_record_is_read_as_it_was_written():
    written = planted(2)
    read = record.from_dataset(record.to_dataset(written))
    for name in ("kl", "truth_model", "common", "true_entropy", "tokens"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert (read.seeds, read.parameters) == (written.seeds, 1000)


def test_an_older_record_lacks_what_was_not_stored():
    older = record.to_dataset(planted(0)).drop_vars(["model_unigram", "parameters"])
    read = record.from_dataset(older)
    assert np.isnan(read.model_unigram).all()
    assert read.model_unigram.shape == (3, WINDOWS)


def test_curves_are_those_of_the_planted_numbers(approach):
    expected = 1.02 * NOISE.mean() * np.array(TO_TRUTH)
    np.testing.assert_allclose(approach.to_truth.value, expected)
    for curve in (approach.to_truth, approach.between):
        assert (curve.low < curve.value).all()
        assert (curve.value < curve.high).all()
    np.testing.assert_allclose(approach.common + approach.variance, expected)


def test_errors_over_windows_are_as_large_as_the_scatter_of_the_seeds_own_share():
    """Of 60 draws of windows, a step each: the planted share is as far off as its errors say."""
    steps = [[replace(planted(k), **drawn(5 * n + k)) for k in range(5)] for n in range(12)]
    shares = [find(records).own_share for records in steps]
    ratios = np.concatenate([(100 * OWN - share.value) / share.sem for share in shares])
    assert 0.75 < np.std(ratios) < 1.3
    assert abs(np.mean(ratios)) < 0.5


def drawn(k: int) -> dict:
    """Parts of the divergence from the truth in other windows."""
    rng = np.random.default_rng(100 + k)
    whole, own = rng.gamma(4.0, 0.3, WINDOWS), rng.normal(OWN, 0.08, WINDOWS)
    return {"common": (1 - own) * whole, "variance": own * whole}


def test_the_course_to_the_truth_is_said_with_its_stages(approach):
    text = sentences(approach)
    assert "toy-8 starts at 1.53 and ends at 0.102 at step 640" in text
    assert "nearest to the tokens' frequencies at step 16, and it comes nearer to the truth" in text
    assert "than they are at step 64" in text
    assert "toy-8: seeds drew apart, by two standard errors or more" in text
    first = f"{approach.own_share.value[0]:.1f} ± {approach.own_share.sem[0]:.3f} % of the"
    assert f"at step 256; {first}" in text


def test_the_identity_of_loss_and_divergence_holds_within_errors(approach):
    section = truth.QUESTION.section([approach], style.Look(["toy-8"]))
    (table,) = section.tables.values()
    gap = np.array(table.columns["excess loss less divergence (nats per token)"])
    sem = np.array(table.columns["standard error over windows"])
    assert (np.abs(gap) < 4 * sem).all()


def test_a_rise_within_its_error_is_not_said():
    records = []
    for k in range(len(STEPS)):
        rough = np.abs(np.random.default_rng(k).standard_cauchy(WINDOWS)) + 0.1
        records.append(planted(k, between_noise=rough))
    approached = find(records)
    assert np.diff(approached.between.value).max() > 0
    assert approached.rises == ()
    assert "at no step did seeds draw apart, by two standard errors" in sentences(approached)


def test_two_seeds_have_no_interval_over_seeds():
    approached = find([planted(k, seeds=2) for k in range(len(STEPS))])
    assert not approached.to_truth.has_errors
    assert not approached.between.has_errors
    assert "95 % interval" not in sentences(approached)


def test_every_panel_draws_and_has_its_numbers(approach):
    section = truth.QUESTION.section([approach], style.Look(["toy-8"]))
    assert section.tracks[1].changes[0].step == 256
    for panel in section.panels:
        assert panel.draw().axes
        assert len(panel.table.rows) == len(STEPS)
