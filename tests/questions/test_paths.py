"""What the page on paths says of made-up walks."""

import dataclasses

import made_paths
import numpy as np
import pytest
import test_mechanism
import test_perplexity
import xarray as xr

from dynamics.analysis.curve import Curve
from dynamics.errors import InputError
from dynamics.figures import style
from dynamics.questions import Committed, paths
from dynamics.questions.paths import figures, record
from dynamics.questions.paths import findings as paths_findings
from dynamics.results import Unit


def find(*records: record.Record, models=("toy-8",)) -> paths.Paths:
    """Of runs with seeds 0, 1, ... of each model in turn."""
    per_model = len(records) // len(models)
    units = [
        (Unit.of_run(record.MEASURE, models[k // per_model], (k % per_model,)), data)
        for k, data in enumerate(map(record.to_dataset, records))
    ]
    findings = paths.find(Committed({record.MEASURE: units}))
    assert findings is not None
    return findings


@pytest.fixture(scope="module")
def walk() -> record.Record:
    return made_paths.made(0)


def test_a_record_is_read_as_it_was_written(walk):
    read = record.from_dataset(record.to_dataset(walk))
    assert read.tensors == walk.tensors
    assert read.repeats == walk.repeats
    for part in ("spread", "movement", "fork", "rank", "loss"):
        for field in dataclasses.fields(getattr(walk, part)):
            values = (getattr(getattr(of, part), field.name) for of in (read, walk))
            np.testing.assert_array_equal(*values, err_msg=f"{part} {field.name}")


def test_what_is_planted_is_said(walk):
    (movement,) = find(walk).models
    assert movement.tensor == "embed_out.weight, centred"
    (run,) = movement.runs
    assert run.record.fork.step[0] == 1024  # the raw weights alone have two modes
    assert np.isnan(run.record.fork.step[1])
    for name, before, after in (("entropy rank", 32, made_paths.CHANGE), ("loss", 256, 512)):
        change = run.changes[name]
        assert before - 1e-6 <= change.low < change.high <= after + 1e-6
    pairs = {frozenset((pair.first, pair.second)): pair.coincidence for pair in run.together}
    assert not pairs[frozenset(("entropy rank", "loss"))].compatible
    # A walk from its start has moved by one initial width in the end, and by diffusion.
    assert movement.moved.value[-1] == pytest.approx(1, rel=0.05)
    late = movement.exponent.value[-1]
    assert late == pytest.approx(1, abs=0.15)


def test_series_of_other_questions_stand_on_the_same_axis(walk):
    """Only of the same model and seed, at the steps that they share."""
    nats = np.where(walk.steps >= made_paths.CHANGE, 1.0, 2.0)
    curve = Curve.with_sem("toy-8", walk.steps[2:], nats[2:], np.zeros(len(nats) - 2), "")
    series = paths_findings._at(walk.steps, curve)
    np.testing.assert_array_equal(series, [np.nan, np.nan, *nats[2:]])
    results = {
        record.MEASURE: [(Unit.of_run(record.MEASURE, "toy-8", (0,)), record.to_dataset(walk))]
    }
    results["mechanism"] = test_mechanism.units("toy-8")
    results["perplexity"] = test_perplexity.units("toy-8")
    findings = paths.find(Committed(results))
    assert findings is not None
    (movement,) = findings.models
    assert {"ln perplexity", "prefix matching"} <= movement.runs[0].changes.keys()
    (alone,) = find(walk).models
    assert not {"ln perplexity", "prefix matching"} & alone.runs[0].changes.keys()


def test_faulty_results_of_another_question_leave_this_one_its_own(walk):
    results = {
        record.MEASURE: [(Unit.of_run(record.MEASURE, "toy-8", (0,)), record.to_dataset(walk))]
    }
    results["perplexity"] = [(unit, xr.Dataset()) for unit, _ in test_perplexity.units("toy-8")]
    findings = paths.find(Committed(results))
    assert findings is not None
    (movement,) = findings.models
    assert movement.runs[0].changes.keys() == find(walk).models[0].runs[0].changes.keys()


def test_a_stop_is_priced_at_the_loss_it_was_raised_at(walk):
    gap = np.diff(np.asarray(walk.steps, float), prepend=np.nan)
    quiet = np.where(np.arange(len(gap)) > 8, 1e-4, 1.0) * gap
    movement = dataclasses.replace(
        walk.movement, gap=np.tile(quiet, (2, 1)), gap_sem=np.tile(0.01 * quiet, (2, 1))
    )
    (run,) = find(dataclasses.replace(walk, movement=movement)).models[0].runs
    stop, cost = run.stops[1], run.costs[1]
    assert stop.since == walk.steps[8]
    assert stop.step == walk.steps[10]
    assert cost is not None
    assert cost.loss == walk.loss.excess[10]
    section = _section(find(dataclasses.replace(walk, movement=movement)))
    assert any(
        f"would have stopped at step {walk.steps[10]}" in f.sentence for f in section.findings
    )


def _section(findings: paths.Paths):
    return paths.QUESTION.section(findings, style.Look([m.model for m in findings.models]))


def test_the_first_run_s_repeats_are_named(walk):
    table = _section(find(walk)).tables["Checkpoints that repeat another, left out"]
    assert table.rows == [("toy-8", 0, 3, 2)]


def test_one_seed_has_its_own_error_and_two_that_of_seeds(walk):
    single = find(walk).models[0]
    assert "one seed" in single.exponent.rests_on
    two = find(walk, made_paths.made(1)).models[0]
    assert "2 seeds" in two.exponent.rests_on


def test_changes_go_with_parameters_and_deduplicated_data(walk):
    sizes = [dataclasses.replace(walk, num_parameters=10**k) for k in (6, 8, 8)]
    findings = find(*sizes, models=("toy-1m", "toy-9m", "toy-9m-deduped"))
    trend = findings.trends["entropy rank"]
    assert trend is not None
    assert trend.low <= 0 <= trend.high  # one walk at every size
    assert {(series, model) for series, model, _ in findings.deduplicated} >= {("loss", "toy-9m")}
    assert all(both.compatible for _, _, both in findings.deduplicated)
    assert "paths-change-size" in [panel.name for panel in _section(findings).panels]


def test_runs_of_other_tensors_do_not_go_together(walk):
    with pytest.raises(InputError, match="seed 1 of the tensors"):
        find(walk, dataclasses.replace(walk, tensors=("a", "b")))


def test_a_vector_has_no_rank_and_no_panel_of_it(walk):
    nothing = {
        field.name: np.full_like(getattr(walk.rank, field.name), np.nan, dtype=float)
        for field in dataclasses.fields(walk.rank)
        if field.name not in ("batch", "tolerance", "place")
    }
    bare = dataclasses.replace(walk, rank=dataclasses.replace(walk.rank, **nothing))
    names = [panel.name for panel in _section(find(bare)).panels]
    assert not any("rank" in name or "spectrum" in name for name in names)


@pytest.mark.parametrize("level", [0.0, np.nan])
def test_weights_that_never_move_make_a_page_without_a_traceback(walk, level):
    """All equal, all zero: no logarithm of nothing, no exponent, no alarm."""
    movement = {
        field.name: np.full_like(
            getattr(walk.movement, field.name), np.nan if "exponent" in field.name else level
        )
        for field in dataclasses.fields(walk.movement)
        if field.name != "steps"
    }
    still = dataclasses.replace(walk, movement=dataclasses.replace(walk.movement, **movement))
    section = _section(find(still))
    assert any("cannot be said" in finding.sentence for finding in section.findings)
    for panel in (section.panels[0], section.panels[3]):
        assert panel.draw().axes
        assert panel.table.rows


def test_the_paper_s_derivative_is_of_its_rank(walk):
    change = figures.rank_change(walk, 0, 1)
    x = np.log1p(walk.steps)
    first = (walk.rank.absolute[0, 1, :, 1] - walk.rank.absolute[0, 1, :, 0]) / (x[1] - x[0])
    np.testing.assert_allclose(change[:, 0], first)
