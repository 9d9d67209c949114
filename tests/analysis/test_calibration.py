"""The recommended setting is the one that the rule names, and failures are named by the gravest."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from dynamics import slt
from dynamics.analysis import calibration
from dynamics.figures import calibration as figures
from dynamics.report import calibration as report
from dynamics.results import Unit

AXES = {"step_size": [1e-5, 1e-4, 1e-3], "nbeta": [10.0, 100.0], "localization": [1.0, 10.0]}
TOP = 30.0


def unit(step: int, spoil=lambda **setting: "", ess: float = 400.0):
    """One checkpoint whose chains do what the stability bound says, and what `spoil` adds to
    that."""
    shape = tuple(map(len, AXES.values()))
    state, warnings = np.full(shape, "local", object), np.full(shape, "", object)
    eps_a = np.zeros(shape)
    for place in np.ndindex(shape):
        setting = {name: AXES[name][index] for name, index in zip(AXES, place, strict=True)}
        judged = slt.assess_stability(slt.Constants(**setting), TOP)
        eps_a[place] = judged.step_curvature
        words = [judged.state] * (judged.state == "biased") + [spoil(**setting)]
        state[place] = "unstable" if judged.state == "unstable" else "local"
        warnings[place] = ", ".join(word for word in words if word)
    numbers = np.where(state == "unstable", np.nan, 5.0)
    data = {name: (list(AXES), numbers) for name in ("llc", "sem", "chain_loss", "rhat")}
    pulled = np.broadcast_to(np.array([0.25, 0.75]), shape)  # by localization
    data |= {"localization_share": (list(AXES), pulled)}
    data |= {"ess": (list(AXES), np.where(state == "unstable", np.nan, ess))}
    data |= {
        "eps_a": (list(AXES), eps_a),
        "state": (list(AXES), state),
        "warnings": (list(AXES), warnings),
    }
    attributes = {"chains": 4, "draws": 200, "burn_in": 100, "top_eigenvalue": TOP}
    found = xr.Dataset(data, AXES, attributes)
    return Unit(measure="calibration", model="toy", seeds=(0,), step=step), found


def only(*units) -> calibration.Calibration:
    (found,) = calibration.calibrations(units)
    return found


def test_smallest_pull_then_largest_temperature_then_largest_step():
    """Healthy is epsilon (n beta h + gamma) < 0.4, here with h = 30: all but the largest step at n
    beta 100."""
    chosen = calibration.recommend(only(unit(8), unit(64)))
    assert chosen.healthy
    assert chosen.setting == {"step_size": 1e-4, "nbeta": 100.0, "localization": 1.0}
    assert chosen.num_draws == 100 + 50 * 2  # 200 draws x 4 chains / 400
    assert "10 of 12 settings are healthy at all 2 checkpoints" in chosen.reason
    assert "up to 25 %" in chosen.reason
    assert "--nbeta=100" in calibration.flags(chosen)


def test_every_checkpoint_has_a_say():
    """A setting that fails at one checkpoint is not taken, however well it does at the others."""

    def escaping(**setting):
        return "still spreading" if setting["localization"] == 1 else ""

    chosen = calibration.recommend(only(unit(8, escaping), unit(64)))
    assert chosen.setting["localization"] == 10
    assert chosen.healthy


def test_the_slowest_checkpoint_sets_the_draws():
    assert calibration.recommend(only(unit(8, ess=100.0), unit(64))).num_draws == 100 + 50 * 8


def test_none_is_healthy():
    def never(**setting):
        return "not converged"

    chosen = calibration.recommend(only(unit(8, never), unit(64, never)))
    assert not chosen.healthy
    assert "none of 12" in chosen.reason
    assert "not converged" in chosen.reason
    assert "more draws" in chosen.reason


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
    healthy = only(unit(8), unit(64))
    failure = np.broadcast_to(np.array(by_step, object)[None, :, None, None], healthy.failure.shape)
    chosen = calibration.recommend(dataclasses.replace(healthy, failure=failure))
    assert not chosen.healthy
    assert (chosen.setting["step_size"], chosen.setting["localization"]) == (
        step_size,
        localization,
    )


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
    assert calibration.failure(state, warnings) == named


def test_picture_marks_the_unstable_region_and_the_choice():
    found = only(unit(8), unit(64))
    chosen = calibration.recommend(found)
    figure = figures.grid(found, chosen)
    figure.canvas.draw()
    panels = [ax for ax in figure.axes if ax.get_title() or ax.get_images()]
    words = [text.get_text() for ax in panels for text in ax.texts]
    assert sum("unstable" in word for word in words) == (found.failure == "unstable").sum()
    framed = [ax for ax in panels if any(patch.get_linewidth() > 2 for patch in ax.patches)]
    assert len(framed) == 2  # at both checkpoints
    # The dashed line crosses n beta = 100 (place 1) where epsilon (n beta h + gamma) = 4.
    line = panels[0].lines[0]
    place = np.interp(1.0, line.get_ydata(), line.get_xdata())
    assert 10 ** (place - 5) == pytest.approx(4 / (100 * TOP + 1), rel=0.02)


def test_caption_tells_the_choice():
    section = report.section([only(unit(8), unit(64))])
    assert "ε = 0.0001, n β = 100, γ = 1" in section.panels[0].caption
    assert "Chains of 200 draws" in section.panels[0].caption
