"""On which tokens seeds agree: the record, the findings and the page, on made-up results."""

import made_contexts
import numpy as np
import pytest

from dynamics.errors import InputError
from dynamics.figures import style
from dynamics.questions import Committed, token_properties
from dynamics.questions.token_properties import record, record_final
from dynamics.results import Unit

TEXT = made_contexts.text()


@pytest.fixture(scope="module")
def section():
    properties = token_properties.find(made_contexts.committed(TEXT))
    return token_properties.QUESTION.section(properties, style.Look(["toy-8", "toy-32"]))


def test_a_record_is_read_as_it_was_written():
    written = made_contexts.text_record(TEXT)
    read = record.from_dataset(record.to_dataset(written))
    for name in ("document", "count", "index", "tag", "word_class"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    for name in ("pieces", "tag_names", "frequency_corpus", "frequency_total", "tagger", "domain"):
        assert getattr(read, name) == getattr(written, name)


def test_final_surprisal_is_that_of_the_runs_last_step():
    """Whichever steps are compared: bins are those of a step measured apart, where there is one."""
    whole = made_contexts.committed(TEXT)
    unit = Unit(measure=record_final.MEASURE, model="toy-32", seeds=(0, 1, 2), step=512)
    last = made_contexts.predictions(TEXT, np.random.default_rng(9))
    results = {m: whole.of(m) for m in ("convergence", record.MEASURE)}
    results[record_final.MEASURE] = [(unit, record_final.to_dataset(last))]
    properties, without = token_properties.find(Committed(results)), token_properties.find(whole)
    assert properties.step == 64
    assert properties.final_steps == {"toy-8": 64, "toy-32": 512}
    assert without.final_steps == {"toy-8": 64, "toy-32": 64}
    (by_surprisal,) = [c for c in properties.predicted if c.name == "final surprisal"]
    bits = last.token_surprisal.mean(0) / np.log(2)
    assert by_surprisal.bins[0].tokens == (bits < 1).sum()
    shown = token_properties.QUESTION.section(properties, style.Look(["toy-8", "toy-32"]))
    captions = {p.name: p.caption for p in shown.panels if "final-surprisal" in p.name}
    assert "Surprisal at step 512," in captions["by-final-surprisal-predicted-token"]
    assert "Surprisal at step 512," in captions["by-final-surprisal-last-context-token"]
    assert "Surprisal at step 64," in captions["by-final-surprisal-predicted-token-toy-8"]
    assert "at step 64 (toy-8) and 512 (toy-32)" in captions["small-less-large-by-final-surprisal"]


def test_results_under_the_former_name_are_read():
    committed = made_contexts.committed(TEXT)
    former = Unit(measure=record.FORMER, model="held-out", seeds=(0,), step=0)
    older = Committed(
        {
            "convergence": committed.of("convergence"),
            record.FORMER: [(former, committed.of(record.MEASURE)[0][1])],
        }
    )
    assert token_properties.find(older).model == "toy-32"


def test_a_panel_for_every_property_and_coefficient(section):
    names = [panel.name for panel in section.panels]
    assert names[0] == "by-frequency-predicted-token"
    assert "by-final-surprisal-predicted-token" in names
    assert "by-final-surprisal-last-context-token" in names
    # Figures 3 and 9 of every model, and the difference of the smallest and the largest.
    assert "by-frequency-predicted-token-toy-8" in names
    assert {"small-less-large-by-frequency", "small-less-large-by-final-surprisal"} <= set(names)
    assert names[-4:] == [
        "regression-frequency",
        "regression-size",
        "regression-predicted-token",
        "regression-last-context-token",
    ]
    for panel in section.panels:
        assert "nan" not in panel.caption
        assert panel.table.rows
        for ax in panel.draw().axes:
            assert ax.get_ylabel()
            assert all(np.isfinite(line.get_ydata()).all() for line in ax.lines)


def test_the_table_shows_tokens_of_the_largest_model(section):
    table = section.tables["Tokens in their contexts"].columns
    groups = ["most divergent"] * 8 + ["middle"] * 8 + ["least divergent"] * 8
    assert table["group"] == groups
    pairs = zip(table["token"], table["in context"], strict=True)
    assert all(f"‹{token}›" in context for token, context in pairs)


def test_every_coefficient_of_the_last_step_is_listed(section):
    table = section.tables["Coefficients at the last step"].columns
    assert "predicted token: function word" in table["coefficient of"]
    low, high = (np.array(table[name]) for name in ("low", "high"))
    assert (low < high).all()


@pytest.mark.parametrize(
    "results",
    [
        {"measures": ("convergence",)},
        {"measures": ("token_properties",)},
        {"tokens_known": False},  # results from before single tokens were stored
    ],
)
def test_there_are_no_findings_without_either_measure(results):
    assert token_properties.find(made_contexts.committed(TEXT, **results)) is None


def test_other_windows_than_the_texts_are_refused():
    committed = made_contexts.committed(TEXT)
    text = made_contexts.text_record(made_contexts.text(documents=8))
    other = Committed(
        {
            "convergence": committed.of("convergence"),
            record.MEASURE: [(Unit.of_suite(record.MEASURE), record.to_dataset(text))],
        }
    )
    with pytest.raises(InputError, match="the very windows that divergence was measured on"):
        token_properties.find(other)
