"""What chains around checkpoints say of the LLC, on made-up records. Axes: K steps, C chains, T
draws."""

import dataclasses

import numpy as np
import pytest
from made_llc import one_record, reference

from dynamics.figures import style
from dynamics.questions import Committed, llc
from dynamics.questions.llc import figures, record
from dynamics.results import Unit

STEPS = (0, 8, 64)
LOSSES = np.array([6.9, 5.0, 2.0])
LOOK = style.Look(["toy-8"])


def find(records: dict[int, record.Record | list[record.Record]]) -> llc.Estimates:
    """Of one model; a list has a record for each seed."""
    units = [
        (
            Unit(measure=record.MEASURE, model="toy-8", seeds=(seed,), step=step),
            record.to_dataset(of_seed),
        )
        for step, of_step in records.items()
        for seed, of_seed in enumerate(of_step if isinstance(of_step, list) else [of_step])
    ]
    estimates = llc.find(Committed({record.MEASURE: units}))
    assert estimates is not None
    return estimates[0]


def sentences(estimates: llc.Estimates) -> str:
    return " ".join(f.sentence for f in llc.QUESTION.section([estimates], LOOK).findings)


def drawn(figure, label: str) -> list[float]:
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == label]
    return list(line.get_ydata())


@pytest.fixture
def mixed() -> llc.Estimates:
    """A curve whose verdicts differ."""
    verdicts = ("no basin to leave", "left the basin", "local")
    rows = zip(STEPS, (10.0, -500.0, 30.0), LOSSES, verdicts, strict=True)
    return find({k: one_record(value, loss, verdict=v) for k, value, loss, v in rows})


def test_a_record_is_read_as_it_was_written():
    effects = record.Sensitivity(
        step_effect=-0.1, step_effect_sem=0.02, pull_effect=-0.4, pull_effect_sem=0.01
    )
    written = one_record(warnings=("biased", "negative"), sensitivity=effects)
    read = record.from_dataset(record.to_dataset(written))
    for field in dataclasses.fields(record.Record):
        expected, value = getattr(written, field.name), getattr(read, field.name)
        if isinstance(expected, np.ndarray | float):
            np.testing.assert_array_equal(value, expected)
        else:
            assert value == expected


def test_older_files_lack_what_came_later():
    """The first had their burn-in in the configuration and one loss for a baseline."""
    later = ["shared_sem", "acceptance", "burn_in", "num_free", "baseline_trace", "per_chain"]
    later += ["distance", "grad_norm", "drift_norm", "pull_norm", "noise_norm", "rhat", "ess"]
    data = record.to_dataset(one_record()).drop_vars(later)
    read = record.from_dataset(data.assign_attrs(config='{"burn_in": 10}'))
    assert read.error == read.sem
    assert read.running.shape == (4, 10)
    excess = read.loss_trace[:, 10:].mean(1) - read.init_loss
    np.testing.assert_allclose(read.running[:, -1], read.nbeta * excess)
    assert read.distance is None


def test_running_estimate_ends_at_the_chains_own_estimates():
    written = one_record()
    excess = (written.loss_trace - written.baseline_trace)[:, 5:].mean(1)
    np.testing.assert_allclose(written.running[:, -1], 60.0 * excess)
    assert written.running.shape == (4, 15)


def test_the_error_is_of_the_chains_and_of_what_they_share():
    estimates = find({0: one_record(shared_sem=1.5)})
    assert estimates.llc.sem[0] == pytest.approx(2.5)  # hypot(2, 1.5)
    assert estimates.runs[0].llc.sem[0] == pytest.approx(2.5)


@pytest.mark.parametrize("num_seeds", [1, 2, 5])
def test_errors_are_over_seeds_where_there_are_some(num_seeds):
    values = np.random.default_rng(1).normal(size=num_seeds)
    estimates = find({4: [one_record(value) for value in values]})
    sem = values.std(ddof=1) / np.sqrt(num_seeds) if num_seeds > 1 else 2.0
    curve = estimates.llc
    np.testing.assert_allclose([curve.value[0], curve.sem[0]], [values.mean(), sem])
    assert (f"over {num_seeds} seeds" in curve.rests_on) == (num_seeds > 1)
    shown = llc.QUESTION.section([estimates], LOOK)
    for words in (shown.introduction, shown.panels[0].caption):
        assert ("error bars say nothing of other seeds" in words) == (num_seeds == 1)
    assert [run.seed for run in estimates.runs] == list(range(num_seeds))


def test_a_step_is_local_where_every_seed_is():
    pairs = [[one_record(), one_record()], [one_record(), one_record(verdict="escaped")]]
    estimates = find(dict(zip((0, 8), pairs, strict=True)))
    assert estimates.local.tolist() == [True, False]
    assert [run.local.tolist() for run in estimates.runs] == [[True, True], [True, False]]


def test_hollow_where_the_chains_were_not_local(mixed):
    figure = figures.estimates([mixed], LOOK)
    assert drawn(figure, "toy-8") == [30]
    hollow = [line for line in figure.axes[0].lines if line.get_fillstyle() == "none"]
    assert [10, -500] in [list(line.get_ydata()) for line in hollow]
    assert "1 of 3 LLC estimates is local" in sentences(mixed)
    assert "“left the basin”" in sentences(mixed)


def test_chains_are_drawn_beside_the_checkpoint(mixed):
    figure = figures.chain_loss(mixed, LOOK)
    np.testing.assert_allclose(drawn(figure, "mean of the chains"), LOSSES + 0.05)
    np.testing.assert_allclose(drawn(figure, "the checkpoint"), LOSSES)
    assert len(figures.running(mixed, LOOK).axes[0].lines) == 5  # four chains and their mean


def test_a_curve_that_the_loss_explains_is_drawn_as_such(mixed):
    """Chains that forgot the model give n beta (K - loss)."""
    rows = zip(STEPS, 60 * (7.5 - LOSSES), LOSSES, strict=True)
    again = find({k: one_record(v, loss, verdict="left the basin") for k, v, loss in rows})
    assert again.is_loss_again
    assert drawn(figures.estimates([again], LOOK), "toy-8: the loss again") == []
    assert "is the loss curve again" in sentences(again)
    assert not mixed.is_loss_again
    assert "is not the loss curve again" in sentences(mixed)


def test_two_checkpoints_show_no_share_of_the_loss():
    assert find({0: one_record(), 8: one_record()}).loss_share is None


def test_a_checkpoint_without_a_number_does_not_end_the_page(mixed):
    values = (10.0, np.nan, 30.0, 40.0)
    estimates = find({k: one_record(v, 5.0 - k) for k, v in enumerate(values)})
    assert estimates.loss_share is not None
    assert llc.QUESTION.section([estimates], LOOK).panels[0].draw().axes


@pytest.mark.parametrize(("share", "decided"), [(0.5, False), (0.98, True)])
def test_estimates_that_a_setting_decides_are_named_so(share, decided):
    estimates = find({k: one_record(50.0 + k, localization_share=share) for k in STEPS})
    assert estimates.set_by_pull.all() == decided
    assert ("the setting γ decides most" in sentences(estimates)) == decided
    assert ("its value rests on γ" in sentences(estimates)) == decided


def test_an_exponent_that_was_measured_decides_over_the_share():
    """Flat directions are always held by the pull, whether or not they add to the LLC."""
    free = {"localization_share": 0.98, "pull_bound": 0.1, "pull_exponent": -0.2}
    estimates = find({k: one_record(50.0 + k, pull_exponent_sem=0.02, **free) for k in STEPS})
    assert not estimates.set_by_pull.any()
    held = {"pull_bound": 0.8, "pull_exponent": -0.95, "warnings": ("held by the pull",)}
    estimates = find({k: one_record(50.0 + k, pull_exponent_sem=0.02, **held) for k in STEPS})
    assert estimates.set_by_pull.all()
    assert "(d ln LLC / d ln γ = −0.95): another γ gives another LLC" in sentences(estimates)
    panels = {panel.name: panel for panel in llc.QUESTION.section([estimates], LOOK).panels}
    assert drawn(panels["llc-pull-exponent"].draw(), "toy-8") == [-0.95] * 3


@pytest.mark.parametrize(
    ("expected", "sem", "answer"),
    [
        (40.0, 1.0, "more"),  # 10 away, with an error of 2.2
        (47.0, 1.0, "nothing more"),  # 3 away, and the error is below 5
        (40.0, 9.0, "cannot tell"),  # 10 away, with an error of 9.2
        (np.nan, 1.0, "no quadratic"),
        (40.0, np.nan, "cannot tell"),
    ],
)
def test_the_excess_says_more_only_where_its_error_allows(expected, sem, answer):
    estimates = find({k: one_record(50.0, reference=reference(expected, sem=sem)) for k in STEPS})
    assert estimates.runs[0].excess.answers == [answer] * 3
    section = llc.QUESTION.section([estimates], LOOK)
    panels = [panel for panel in section.panels if panel.name.startswith("llc-excess")]
    assert len(panels) == (answer != "no quadratic")
    for panel in panels:
        assert panel.table.columns["did the chains find more?"] == [answer] * 3
        assert len(panel.draw().axes) == 2
    (finding,) = [f for f in section.findings if "local LLC" in f.sentence]
    assert (finding.grade == "unsure") == (answer in ("cannot tell", "no quadratic"))


def test_a_quadratic_that_holds_no_chain_is_no_reference():
    """Its finite chains have a value, of -10^9 and the like, that no real loss has."""
    wild = reference(-1e9, unconfined=6.5)
    estimates = find({8: one_record(reference=wild), 64: one_record(reference=reference(40.0))})
    excess = estimates.runs[0].excess
    assert np.isnan(excess.reference.value).tolist() == [True, False]
    assert excess.answers == ["no quadratic", "more"]
    assert excess.unconfined.tolist() == [6.5, 0.0]
    assert "at 1 the loss curves down so far" in sentences(estimates)


def test_without_any_reference_that_holds_there_is_no_picture_of_one():
    estimates = find({8: one_record(reference=reference(-1e9, unconfined=6.5))})
    panels = llc.QUESTION.section([estimates], LOOK).panels
    assert not [panel for panel in panels if panel.name.startswith("llc-excess")]


def test_the_excess_has_the_errors_of_both_and_the_shared_one():
    estimates = find(
        {8: one_record(50.0, sem=3.0, shared_sem=4.0, reference=reference(40.0, sem=12.0))}
    )
    excess = estimates.runs[0].excess
    assert excess.value.value.tolist() == [10.0]
    assert excess.value.sem.tolist() == pytest.approx([13.0])


def test_an_excess_is_spoken_of_where_the_chains_were_local():
    steps = {0: one_record(verdict="left the basin", reference=reference()), 8: one_record()}
    assert "local LLC estimate" not in sentences(find(steps | {64: one_record()}))
    assert find({8: one_record()}).runs[0].excess is None


def test_warnings_are_counted_by_estimate():
    warned = one_record(warnings=("biased", "negative"))
    text = sentences(find({0: warned, 8: warned, 64: one_record()}))
    assert "2 of 3 LLC estimates have a warning: 2 “biased” and 2 “negative”." in text
    assert "warning" not in sentences(find({0: one_record()}))


def test_the_course_is_sure_where_its_errors_allow():
    def grade(values) -> str:
        estimates = find({k: one_record(v) for k, v in zip(STEPS, values, strict=True)})
        findings = llc.QUESTION.section([estimates], LOOK).findings
        (course,) = [f for f in findings if "From step" in f.sentence]
        return course.grade

    assert grade((50.0, 52.0, 51.0)) == "unsure"  # errors of 2 each
    assert grade((50.0, 80.0, 60.0)) == "sure"


def test_sensitivity_is_told_where_it_was_measured():
    effects = record.Sensitivity(
        step_effect=-0.1, step_effect_sem=0.02, pull_effect=-0.4, pull_effect_sem=0.01
    )
    estimates = find({k: one_record(sensitivity=effects) for k in STEPS})
    assert "by up to 10.0 %, and twice γ by up to 40.0 %" in sentences(estimates)
    tables = llc.QUESTION.section([estimates], LOOK).tables
    assert len(tables["Twice the pull γ"].rows) == 3
    assert find({0: one_record()}).pull_effect is None


def test_no_results_are_no_findings():
    assert llc.find(Committed({})) is None


def test_one_seed_is_said_to_be_one(mixed):
    page = llc.QUESTION.section([mixed], LOOK)
    assert all(finding.rests_on.startswith("one seed") for finding in page.findings)
    for panel in page.panels:
        assert panel.draw().axes
        assert panel.table.rows
    assert page.numbers["llc"] == [mixed.llc]
