"""Panels draw the numbers they are given, on axes that show step 0, in colours that mean one model
everywhere."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from dynamics.analysis import curves
from dynamics.analysis.curves import Curve, Llc
from dynamics.figures import curvature, llc, style
from dynamics.figures import weights as weight_figures
from dynamics.report import svg, words
from dynamics.results import Unit

STEPS = np.array([0, 1, 2, 512, 1000, 143_000])


def curve(model: str, value, error: float | None = 0.1) -> Curve:
    value = np.asarray(value, np.float64)
    half = np.nan if error is None else error
    steps = STEPS[: len(value)]
    return Curve(
        model=model,
        steps=steps,
        value=value,
        low=value - half,
        high=value + half,
        rests_on="± error",
    )


@pytest.fixture
def look() -> style.Look:
    return style.Look(["toy-70m", "toy-1b"])


def drawn(figure, label: str) -> np.ndarray:
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == label]
    return np.asarray(line.get_ydata())


def test_models_are_ordered_by_size():
    names = ["pythia-1.4b", "pythia-70m", "pythia-12b", "pythia-410m", "pythia-1b"]
    assert [n[7:] for n in sorted(names, key=curves.natural)] == [
        "70m",
        "410m",
        "1b",
        "1.4b",
        "12b",
    ]
    assert sorted(["nano-128", "nano-32", "nano-64"], key=curves.natural)[0] == "nano-32"


@given(st.integers(1, 10))
def test_models_have_distinct_colours_and_markers(count):
    look = style.Look([f"m{k}" for k in range(count)])
    for anchors in (style.LIGHT_RAMP, style.DARK_RAMP):
        assert len(set(style.ramp(count, anchors))) == count
    assert (
        len({one["color"] for one in look.values()})
        == len({one["marker"] for one in look.values()})
        == count
    )


@pytest.mark.parametrize(
    ("anchors", "ground"), [(style.LIGHT_RAMP, "#ffffff"), (style.DARK_RAMP, "#1c2127")]
)
def test_colours_stand_out_from_their_ground(anchors, ground):
    """WCAG 2.1, 1.4.11: three to one for graphical objects."""

    def luminance(color):
        channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return linear @ [0.2126, 0.7152, 0.0722]

    for color in style.ramp(10, anchors):
        low, high = sorted((luminance(color), luminance(ground)))
        assert (high + 0.05) / (low + 0.05) >= 3


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=154, unique=True), st.booleans())
def test_step_ticks_are_steps_with_zero_and_both_ends(steps, zero):
    steps = [0, *steps] if zero else steps
    ticks = style.step_ticks(steps)
    assert set(ticks) <= set(steps)
    assert len(ticks) <= 7
    assert {min(steps), max(steps)} <= set(ticks)


def test_panels_draw_what_they_are_given(look):
    ends = [curve("toy-70m", [3, 2, 1]), curve("toy-1b", [5, 4, 3])]
    np.testing.assert_array_equal(drawn(curvature.trace(ends, look), "toy-1b"), [5, 4, 3])
    figure = curvature.extremes(
        ends, [curve("toy-70m", [-1, -2, -3]), curve("toy-1b", [-5, 1, 0])], look
    )
    assert figure.axes[0].get_ylim()[0] < -5


def test_hollow_where_the_chains_were_not_local(look):
    one = Llc(
        estimate=curve("toy-70m", [10, -500, 30]),
        chain_loss=curve("toy-70m", [7, 6, 3]),
        init_loss=curve("toy-70m", [6.9, 5, 2]),
        trivial_loss=6.9,
        pull_share=curve("toy-70m", [0.5, 0.6, 0.7]),
        verdicts=(("no basin to leave",), ("left the basin",), ("local",)),
        warnings=(),
        sentences=("", "", ""),
        settings={"nbeta": 1.0, "localization": 1.0, "step_size": 1e-4},
        running=np.ones((4, 50)),
    )
    figure = llc.estimate([one], look)
    lines = {
        line.get_fillstyle(): list(line.get_ydata())
        for line in figure.axes[0].lines
        if line.get_marker() != "None"
    }
    assert list(drawn(figure, "toy-70m")) == [30]
    assert [10, -500] in [
        list(line.get_ydata()) for line in figure.axes[0].lines if line.get_fillstyle() == "none"
    ]
    assert "full" in lines
    assert not one.loss_share.explained
    assert "0.500 to 0.700" in words.pull_sentence([one])
    assert words.verdict_sentence([one]).startswith("1 of 3 estimates are local")
    np.testing.assert_array_equal(drawn(llc.locality(one, look), "mean of the chains"), [7, 6, 3])
    assert len(llc.running(one, look).axes[0].lines) == 5


def test_a_curve_that_the_loss_explains_is_drawn_as_such(look):
    """Chains that forgot the model give n beta (K - loss)."""
    loss = np.array([6.9, 5.0, 2.0])
    given = {name: curve("toy-70m", loss) for name in ("chain_loss", "init_loss", "pull_share")}
    one = Llc(
        estimate=curve("toy-70m", 60 * (7.5 - loss)),
        trivial_loss=6.9,
        verdicts=(("left the basin",),) * 3,
        warnings=(),
        sentences=("", "", ""),
        settings={"nbeta": 60.0, "localization": 1.0, "step_size": 1e-4},
        running=np.ones((4, 50)),
        **given,
    )
    assert one.loss_share.explained
    drawn(llc.estimate([one], look), "toy-70m: the loss again")
    assert "the loss curve again" in words.loss_share_sentence([one])


def test_running_estimate_ends_at_the_chains_own_estimates():
    trace = np.random.default_rng(0).normal(5, 0.1, (3, 40))
    scalars = dict.fromkeys(
        (
            "llc",
            "sem",
            "chain_loss",
            "chain_loss_sem",
            "init_loss_sem",
            "trivial_loss",
            "localization_share",
        ),
        1.0,
    )
    scalars |= {"init_loss": 4.9, "nbeta": 100.0, "localization": 1.0, "step_size": 1e-4}
    attributes = {"verdict": "local", "config": '{"burn_in": 10}'}
    data = xr.Dataset({**scalars, "loss_trace": (("chain", "draw"), trace)}, attrs=attributes)
    (found,) = curves.llcs([(Unit(measure="llc", model="toy", seeds=(0,), step=0), data)])
    assert found.running.shape == (3, 30)
    np.testing.assert_allclose(found.running[:, -1], 100 * (trace[:, 10:].mean(1) - 4.9))


@pytest.mark.parametrize("num_seeds", [1, 2, 5])
def test_errors_of_a_scalar_are_over_seeds_where_there_are_some(num_seeds):
    values = np.random.default_rng(1).normal(size=num_seeds)
    made = [
        (
            Unit(measure="x", model="toy", seeds=(seed,), step=4),
            xr.Dataset({"trace": value, "trace_sem": 0.5}),
        )
        for seed, value in enumerate(values)
    ]
    (found,) = curves.scalars(made, "trace", "trace_sem")
    sem = values.std(ddof=1) / np.sqrt(num_seeds) if num_seeds > 1 else 0.5
    np.testing.assert_allclose(
        [found.value[0], found.high[0] - found.value[0]], [values.mean(), sem]
    )
    assert (f"over {num_seeds} seeds" in found.rests_on) == (num_seeds > 1)


def test_density_integrates_to_one_less_what_lies_outside():
    counts = np.array([[1, 5, 3, 1]])
    data = {
        "counts": (("matrix", "bin"), counts),
        "below": ("matrix", [2]),
        "above": ("matrix", [0]),
    }
    data |= {"sd": ("matrix", [0.1]), "excess_kurtosis": ("matrix", [0.0])}
    dataset = xr.Dataset(data, {"matrix": ["embed"], "center": ("bin", [-0.3, -0.1, 0.1, 0.3])})
    units = [
        Unit(measure="weights", model="toy", seeds=(seed,), step=step)
        for seed in (0, 1)
        for step in (0, 1)
    ]
    (found,) = curves.weights([(unit, dataset) for unit in units])
    np.testing.assert_allclose(found.density["embed"].sum(1) * 0.2, 10 / 12)
    assert found.outside == pytest.approx(2 / 12)
    np.testing.assert_array_equal(found.width["embed"].value, 1)
    mesh = weight_figures.density(found, "embed").axes[0].collections[0]
    assert mesh.get_rasterized()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.40213, "0.402"), (-12.34, "−12.3"), (1234.0, "1234"), (0, "0"), (1e-9, "1.00e−09")],
)
def test_numbers_are_written_with_three_digits(value, text):
    assert words.number(value) == text


def test_pictures_have_ids_of_their_own(look):
    themed, _ = svg.theme(2)
    first, second = (
        svg.inline(curvature.trace([curve("toy-1b", [3, 2, 1], None)], look), name, "a & b", themed)
        for name in "xy"
    )
    assert first.replace('"x-', '"y-').replace("#x-", "#y-").count('id="y-') == second.count(
        'id="y-'
    )
    assert 'aria-label="a &amp; b"' in first
    assert "http" not in first
