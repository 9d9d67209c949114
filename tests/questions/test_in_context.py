"""What a longer context is worth, on made-up records. Axes: S seeds, W windows, C contexts."""

import numpy as np
import pytest
from made_seeds import units

from dynamics.figures import style
from dynamics.questions import Committed, in_context
from dynamics.questions.in_context import record

STEPS, MODELS = (0, 8, 64), ("toy-8m", "toy-16m")


def made_record(gain: float, seeds: int = 5, noise: float = 0.0) -> record.Record:
    """A record in which 64 tokens of context save `gain` nats over 8."""
    rng = np.random.default_rng(0)
    short = np.full((seeds, 7), 3.0)
    long = short - gain + noise * rng.standard_normal(short.shape)
    return record.Record(
        seeds=tuple(range(seeds)),
        surprisal=np.stack([short, long], axis=-1),
        lengths=(8, 64),
        document=np.arange(7),
        positions="token 80 given 64 and 8 before it",
        scaled=True,
    )


def find(measure: str = record.MEASURE, **kwargs) -> list[in_context.ContextBenefit]:
    """Findings on models that gain .01 nats a step."""
    stored = {step: record.to_dataset(made_record(0.01 * step, **kwargs)) for step in STEPS}
    pairs = [pair for model in MODELS for pair in units(measure, model, stored)]
    benefits = in_context.find(Committed({measure: pairs}))
    assert benefits is not None
    return benefits


def test_a_record_is_read_as_it_was_written():
    written = made_record(0.1, noise=1.0)
    read = record.from_dataset(record.to_dataset(written))
    for name, value in vars(written).items():
        np.testing.assert_array_equal(getattr(read, name), value, err_msg=name)


@pytest.mark.parametrize("measure", [record.MEASURE, record.FORMER])
def test_the_score_is_what_the_longer_context_saves(measure):
    benefits = find(measure)
    assert [benefit.model for benefit in benefits] == list(MODELS)  # by size
    for benefit in benefits:
        np.testing.assert_allclose(benefit.score.value, [0, -0.08, -0.64])
        np.testing.assert_allclose(
            benefit.given_long.value - benefit.given_short.value, benefit.score.value
        )
        assert (benefit.long, benefit.short) == (64, 8)
        assert benefit.positions == "token 80 given 64 and 8 before it, scaled down"


def test_the_order_of_the_contexts_changes_nothing():
    written = made_record(0.1)
    turned = {
        0: record.to_dataset(
            record.Record(
                **{
                    **vars(written),
                    "lengths": written.lengths[::-1],
                    "surprisal": written.surprisal[..., ::-1],
                }
            )
        )
    }
    benefits = in_context.find(Committed({record.MEASURE: units(record.MEASURE, "toy", turned)}))
    assert benefits is not None
    np.testing.assert_allclose(benefits[0].score.value, [-0.1])


@pytest.mark.parametrize(("noise", "grade"), [(0.1, "sure"), (20.0, "unsure")])
def test_context_is_said_to_help_only_where_the_error_allows(noise, grade):
    benefits = find(noise=noise)
    section = in_context.QUESTION.section(benefits, style.Look(MODELS))
    assert {finding.grade for finding in section.findings} == {grade}
    of_both, *own = section.findings
    assert all(f"({model})" in of_both.sentence for model in MODELS)
    assert all("step 64" in finding.sentence for finding in own)


def test_one_seed_rests_on_documents_alone():
    (benefit, _) = find(seeds=1, noise=1.0)
    assert not benefit.score.has_errors
    assert benefit.last_sem > 0
    section = in_context.QUESTION.section([benefit], style.Look(MODELS))
    assert section.findings[0].rests_on == "one seed, 7 documents"


def test_the_page_draws_every_panel():
    section = in_context.QUESTION.section(find(), style.Look(MODELS))
    assert "token 80 given 64 and 8 before it, scaled down" in section.panels[0].caption
    for panel in section.panels:
        assert panel.table.rows
        (ax,) = panel.draw().axes
        assert "nats" in ax.get_ylabel()
        assert ax.get_xlabel() == "training step"
    assert [curve.model for curve in section.numbers["in_context"]] == list(MODELS)


def test_no_results_are_no_findings():
    assert in_context.find(Committed({})) is None
