"""The recommended setting is the one that the rule names, and failures are named by the gravest.

Axes: K checkpoints, E step sizes, B values of n beta, G values of gamma.
"""

import dataclasses

import numpy as np
import pytest

from dynamics import slt
from dynamics.figures import style
from dynamics.questions import Committed, calibration
from dynamics.questions.calibration import figures, record
from dynamics.questions.calibration.findings import Calibration
from dynamics.questions.calibration.grid import Grid, failure
from dynamics.questions.calibration.recommendation import recommend
from dynamics.results import Unit
from dynamics.slt.samplers import Constants

STEP_SIZES, NBETAS, LOCALIZATIONS = [1e-5, 1e-4, 1e-3], [10.0, 100.0], [1.0, 10.0]
SHAPE = (3, 2, 2)
TOP = 30.0
LOOK = style.Look(["toy"])


def made(spoil=lambda localization: "", ess: float = 400.0, llc=None) -> record.Record:
    """A record whose chains do what the stability bound says, and what `spoil` adds to that."""
    state, warnings = np.full(SHAPE, "local", object), np.full(SHAPE, "", object)
    step_curvature = np.zeros(SHAPE)
    for e, b, g in np.ndindex(SHAPE):
        constants = Constants(STEP_SIZES[e], NBETAS[b], LOCALIZATIONS[g])
        stability = slt.assess_stability(constants, TOP)
        step_curvature[e, b, g] = stability.step_curvature
        words = [stability.state] * (stability.state == "biased") + [spoil(LOCALIZATIONS[g])]
        state[e, b, g] = "unstable" if stability.state == "unstable" else "local"
        warnings[e, b, g] = ", ".join(word for word in words if word)
    sampled = state != "unstable"
    values = np.where(sampled, 5.0 if llc is None else llc, np.nan)
    return record.Record(
        step_sizes=np.array(STEP_SIZES),
        nbetas=np.array(NBETAS),
        localizations=np.array(LOCALIZATIONS),
        llc=values,
        sem=np.where(sampled, 0.1, np.nan),
        chain_loss=values,
        rhat=values,
        ess=np.where(sampled, ess, np.nan),
        localization_share=np.broadcast_to(np.array([0.25, 0.75]), SHAPE),
        step_curvature=step_curvature,
        state=state.astype(str),
        warnings=warnings.astype(str),
        excess=None if llc is None else np.broadcast_to(values[..., None, None], (*SHAPE, 4, 300)),
        top_eigenvalue=TOP,
        num_chains=4,
        num_draws=200,
        burn_in=100,
    )


def find(*records: record.Record) -> Calibration:
    """Of records at steps 8, 64, 512."""
    units = [
        (Unit(measure=record.MEASURE, model="toy", seeds=(0,), step=step), record.to_dataset(r))
        for step, r in zip((8, 64, 512), records, strict=False)
    ]
    calibrations = calibration.find(Committed({record.MEASURE: units}))
    assert calibrations is not None
    return calibrations[0]


def sentences(calibrated: Calibration) -> list[str]:
    return [f.sentence for f in calibration.QUESTION.section([calibrated], LOOK).findings]


def test_a_record_is_read_as_it_was_written():
    written = made()
    read = record.from_dataset(record.to_dataset(written))
    for field in dataclasses.fields(record.Record):
        value, expected = getattr(read, field.name), getattr(written, field.name)
        np.testing.assert_array_equal(value, expected)


def test_a_trace_is_kept_of_a_healthy_setting_and_of_each_failure():
    """Of several the nearest to the setting to take; what was not sampled has none."""

    def escaping(localization):
        return "far from its basin" if localization == 1 else ""

    calibrated = find(made(escaping, llc=5.0), made(escaping, llc=5.0))
    healthy, escaped, biased = calibrated.traces
    setting = calibrated.recommendation.setting
    assert [trace.failure for trace in calibrated.traces] == ["", "escaped", "biased"]
    assert (healthy.step_size, healthy.nbeta, healthy.localization) == (
        setting.step_size, setting.nbeta, setting.localization,
    )  # fmt: skip
    assert (escaped.step_size, escaped.localization) == (setting.step_size, 1.0)
    assert biased.step == 64  # the last checkpoint
    np.testing.assert_allclose(healthy.running, 5.0)
    assert find(made(), made()).traces == []  # older results


def test_a_running_estimate_is_the_mean_so_far_and_ends_with_the_numbers():
    record_ = made(llc=5.0)
    excess = np.array(record_.excess)
    excess[..., :] = np.arange(300)
    excess[..., 200:] = np.nan
    calibrated = find(dataclasses.replace(record_, excess=excess))
    running = calibrated.traces[0].running
    np.testing.assert_allclose(running[:, :200], np.broadcast_to(np.arange(200) / 2, (4, 200)))
    assert np.isnan(running[:, 200:]).all()
    panel = calibration.QUESTION.section([calibrated], LOOK).panels[-1]
    assert panel.name == "calibration-traces-toy-0"
    assert len(panel.draw().axes) >= len(calibrated.traces)


def test_smallest_pull_then_largest_temperature_then_largest_step():
    """Healthy is epsilon (n beta h + gamma) < 0.4, here with h = 30: all but the largest step at n
    beta 100."""
    calibrated = find(made(), made())
    recommendation = calibrated.recommendation
    assert recommendation.healthy
    setting = recommendation.setting
    assert (setting.step_size, setting.nbeta, setting.localization) == (1e-4, 100.0, 1.0)
    assert recommendation.num_draws == 100 + 50 * 2  # 200 draws x 4 chains / 400
    choice, _ = sentences(calibrated)
    assert "10 of 12 settings are healthy at all 2 checkpoints" in choice
    assert "ε = 0.0001, n β = 100 and γ = 1" in choice
    assert "Chains of 200 draws" in choice
    (row,) = calibration.QUESTION.section([calibrated], LOOK).tables["Settings to take"].rows
    assert "--nbeta=100 --localization=1 --draws=200" in row[-1]


def test_every_checkpoint_has_a_say():
    """A setting that fails at one checkpoint is not taken, however well it does at the others."""

    def escaping(localization):
        return "still spreading" if localization == 1 else ""

    recommendation = find(made(escaping), made()).recommendation
    assert recommendation.setting.localization == 10
    assert recommendation.healthy


def test_the_slowest_checkpoint_sets_the_draws():
    assert find(made(ess=100.0), made()).recommendation.num_draws == 100 + 50 * 8


def test_none_is_healthy():
    def never(_):
        return "not converged"

    calibrated = find(made(never), made(never))
    assert not calibrated.recommendation.healthy
    assert calibrated.pull_effect is None
    (choice,) = sentences(calibrated)
    for text in ("none of 12", "not converged", "more draws"):
        assert text in choice


@pytest.mark.parametrize(
    ("by_step", "step_size", "localization"),
    [
        (
            ("unstable", "unstable", "unstable"),
            1e-5,
            1.0,
        ),  # all alike: the smallest step is nearest to the mend
        (("biased", "unstable", "unstable"), 1e-5, 1.0),
        (("escaped", "left the basin", "unstable"), 1e-5, 10.0),  # the strongest pull
        (("not converged", "not converged", "unstable"), 1e-4, 1.0),  # the largest step
    ],
)
def test_the_least_bad_is_the_least_grave_and_nearest_to_its_mend(by_step, step_size, localization):
    healthy: Grid = find(made(), made()).grid
    failures = np.array(by_step, object)[None, :, None, None]
    spoilt = dataclasses.replace(healthy, failure=np.broadcast_to(failures, healthy.llc.shape))
    recommendation = recommend(spoilt)
    assert not recommendation.healthy
    assert recommendation.setting.step_size == step_size
    assert recommendation.setting.localization == localization


@pytest.mark.parametrize(
    ("state", "warnings", "named"),
    [
        ("local", "", ""),
        ("off a minimum", "negative", ""),
        ("local", "too few draws", ""),
        ("no basin to leave", "biased", "biased"),
        ("escaped", "negative, not converged", "escaped"),
        ("left the basin", "biased", "left the basin"),
        ("local", "biased, still spreading", "not converged"),
        ("diverged", "", "diverged"),
    ],
)
def test_named_by_the_gravest(state, warnings, named):
    assert failure(state, warnings) == named


def test_an_estimate_whose_value_gamma_decides_is_named_so():
    """Of chains that the pull holds alone an estimate goes as 1 / gamma."""
    by_gamma = 50.0 / np.array(LOCALIZATIONS)
    effect = find(made(llc=by_gamma), made(llc=by_gamma)).pull_effect
    assert effect is not None
    assert effect.step == 64
    assert (effect.llc, effect.neighbour_llc) == (50.0, 5.0)
    assert effect.decides
    _, pulled = sentences(find(made(llc=by_gamma)))
    assert "50.0 ± 0.100 at γ = 1 and 5.00 ± 0.100 at γ = 10: γ decides its value" in pulled
    _, free = sentences(find(made()))
    assert "which its errors do not tell apart" in free


def test_picture_marks_the_unstable_region_and_the_choice():
    calibrated = find(made(), made())
    figure = figures.grid(calibrated)
    figure.canvas.draw()
    panels = [ax for ax in figure.axes if ax.get_title() or ax.get_images()]
    words = [text.get_text() for ax in panels for text in ax.texts]
    unstable = (calibrated.grid.failure == "unstable").sum()
    assert sum("unstable" in word for word in words) == unstable
    framed = [ax for ax in panels if any(patch.get_linewidth() > 2 for patch in ax.patches)]
    assert len(framed) == 2  # at both checkpoints
    # The dashed line crosses n beta = 100 (place 1) where epsilon (n beta h + gamma) = 4.
    line = panels[0].lines[0]
    place = np.interp(1.0, line.get_ydata(), line.get_xdata())
    assert 10 ** (place - 5) == pytest.approx(4 / (100 * TOP + 1), rel=0.02)


def test_the_table_has_every_setting_at_every_checkpoint():
    (panel,) = calibration.QUESTION.section([find(made(), made())], LOOK).panels
    columns = panel.table.columns
    assert len(panel.table.rows) == 2 * 12
    biased = np.array(columns["failure"]) == "biased"
    assert biased.sum() == 4  # the largest step at n beta 100, twice gamma at each checkpoint
    np.testing.assert_array_equal(np.array(columns["ε (n β h + γ)"]) > 0.4, biased)


def test_no_results_are_no_findings():
    assert calibration.find(Committed({})) is None
