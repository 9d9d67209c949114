"""Heads, units and precision over training, on made-up records.

Axes: L layers, H heads, N sequences, F units, R rules, X texts.
"""

import json

import numpy as np
import pytest
import xarray as xr

from dynamics.errors import InputError
from dynamics.figures import style
from dynamics.measures import attention
from dynamics.questions import Committed, mechanism
from dynamics.questions.mechanism import record
from dynamics.results import Unit

STEPS, L, H, F = (0, 8, 64), 2, 3, 10
RULES = ("ternary", "ternary", "bits:8", "bits:2", "pruned:0.5")
PARTS = ("all matrices", "the unembedding", *["all matrices"] * 3)


def made(step: int, seed: int = 0) -> record.Record:
    """Layer 1, head 2 comes to match prefixes; units of layer 1 die; rules cost more and more."""
    rng = np.random.default_rng([step, seed])
    repeated = 0.05 + 0.01 * rng.uniform(size=(3, L, H, 5))
    repeated[1, 1, 2] += step / 100
    active = rng.integers(20, 500, (L, F))
    active[1, : step // 16] = 0
    active[0, 0] = 3
    full = 6 - np.log(step + 1) + rng.uniform(size=4)
    increase = 0.1 * np.arange(1, 6)[:, None] * step + 0.01 * rng.normal(size=(5, 4))
    return record.Record(
        heads=record.Heads(
            repeated=repeated,
            uniform=np.array([0.03, 0.04, 0.05]),
            text=0.1 + 0.01 * rng.uniform(size=(L, H, 6)),
            text_uniform=0.06,
            document=np.array([0, 0, 1, 1, 2, 2]),
            block=25,
            repeats=4,
        ),
        active=active,
        num_tokens=1000,
        compression=record.Compression(
            full=full,
            rules=RULES,
            parts=PARTS,
            compressed=full + increase,
            document=np.array([0, 1, 2, 2]),
        ),
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


@pytest.fixture(scope="module")
def model() -> mechanism.Mechanism:
    findings = mechanism.find(Committed({record.MEASURE: units()}))
    assert findings is not None
    return findings[0]


def test_a_record_is_read_as_it_was_written():
    written = made(8)
    data = record.to_dataset(written)
    for turned in (data, data.isel(score=[2, 0, 1])):  # scores are known by their names
        read = record.from_dataset(turned)
        for part in ("heads", "compression"):
            for name, value in vars(getattr(written, part)).items():
                np.testing.assert_array_equal(
                    getattr(getattr(read, part), name), value, err_msg=name
                )
        np.testing.assert_array_equal(read.active, written.active)
        assert read.num_tokens == written.num_tokens


def test_scores_have_the_names_of_the_measure():
    assert record.SCORES == (attention.PREVIOUS, attention.PREFIX, attention.DUPLICATE)
    assert set(attention.repeat_masks(2, 2)) == set(record.SCORES)


def test_the_head_that_rises_is_the_highest(model):
    score = model.scores[record.PREFIX]
    written = made(64).heads.repeated[1].mean(-1)
    assert score.highest.value[-1] == pytest.approx(written[1, 2])
    assert score.names[int(score.by_head[-1].argmax())] == "1.2"
    assert score.uniform == 0.04
    assert score.highest.rests_on == "± standard error over 5 sequences, one seed"


def test_dead_units_are_those_of_no_active_token(model):
    np.testing.assert_allclose(model.units.dead.value, [0, 0, 4 / (L * F)])
    np.testing.assert_allclose(model.units.by_layer[-1], [0, 4 / F])
    np.testing.assert_allclose(model.units.rare.value, [1 / 20, 1 / 20, 5 / 20])


def test_the_cost_of_a_rule_is_taken_text_by_text(model):
    """The texts' own spread, a hundred times that of the cost, is not in its error."""
    for place, key in enumerate(zip(RULES, PARTS, strict=True)):
        curve = model.precision.increase[key]
        np.testing.assert_allclose(curve.value, 0.1 * (place + 1) * np.array(STEPS), atol=0.03)
        assert (curve.sem < 0.02).all()


def test_few_tokens_leave_dead_units_unsure(model):
    section = mechanism.QUESTION.section([model], style.Look([model.model]))
    (finding,) = [f for f in section.findings if "MLP units" in f.sentence]
    assert "fewer than the 100,000 that would tell" in finding.sentence
    assert finding.grade == "unsure"
    ternary = [f for f in section.findings if f.sentence.startswith("Three values")]
    assert len(ternary) == 2
    assert {f.grade for f in ternary} == {"sure"}


def test_layers_are_drawn_where_a_unit_is_dead(model):
    section = mechanism.QUESTION.section([model], style.Look([model.model]))
    assert "dead-units-toy-8" in {panel.name for panel in section.panels}
    alive = mechanism.find(Committed({record.MEASURE: units()[:1]}))
    assert alive is not None
    section = mechanism.QUESTION.section(alive, style.Look(["toy-8"]))
    assert "dead-units-toy-8" not in {panel.name for panel in section.panels}


def test_seeds_with_other_settings_are_not_averaged():
    """The second of "8, 4 bits" and of "3, 2 bits" have a place in common, and nothing else."""
    apart = [
        (
            unit,
            data.assign_attrs(config=json.dumps({"bits": [8, 4] if unit.seeds == (0,) else [3]})),
        )
        for unit, data in units(seeds=(0, 1))
    ]
    with pytest.raises(InputError, match=r"bits: \[3\] and \[8, 4\]"):
        mechanism.find(Committed({record.MEASURE: apart}))


def test_seeds_are_averaged():
    findings = mechanism.find(Committed({record.MEASURE: units(seeds=(0, 1))}))
    assert findings is not None
    assert findings[0].seeds == (0, 1)
    assert "2 seeds" in findings[0].units.dead.rests_on
