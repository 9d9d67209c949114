"""Figures have colours that are seen and told apart, axes that show step 0, and texts drawn as they
are."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamics.analysis.curve import Curve
from dynamics.figures import literal, readout, style
from dynamics.report import svg, words

STEPS = np.array([0, 1, 2, 512, 1000, 143_000])
GROUNDS = {"light": "#ffffff", "dark": "#1c2127"}  # of the cards of a page


def panel(values=(3.0, 2.0, 1.0), model: str = "toy-1b"):
    """A figure of one curve with an error bar."""
    steps = STEPS[: len(values)]
    curve = Curve.with_sem(model, steps, values, np.full(len(values), 0.1), "± error over 3 seeds")
    figure, ax = style.axes("trace")
    style.lines(ax, [curve], style.Look([model]))
    return style.over_steps(figure, ax, steps)


def luminance(color: str) -> float:
    """Relative luminance of a hex colour: WCAG 2.1."""
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(color: str, ground: str) -> float:
    low, high = sorted((luminance(color), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


@given(st.integers(1, 10))
def test_models_have_distinct_colours_and_markers(count):
    looks = style.Look([f"m{k}" for k in range(count)]).values()
    for anchors in (style.LIGHT_RAMP, style.DARK_RAMP):
        assert len(set(style.ramp(count, anchors))) == count
    assert len({look["color"] for look in looks}) == count
    assert len({look["marker"] for look in looks}) == count


@pytest.mark.parametrize("models", [1, 2, 3, 7])
def test_colours_of_a_page_stand_out_from_their_ground(models):
    """WCAG 2.1, 1.4.11: three to one for graphical objects."""
    for variable in svg.theme(models):
        if variable.name != "grid":
            assert contrast(variable.light, GROUNDS["light"]) >= 3
            assert contrast(variable.dark, GROUNDS["dark"]) >= 3


def test_categories_are_seen_on_light_and_on_dark_ground():
    """Two to one on white, where markers and dashes tell the pale ones apart too."""
    for color in style.CATEGORIES:
        assert contrast(color, GROUNDS["dark"]) >= 3
        assert contrast(color, GROUNDS["light"]) >= 2


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_a_page_has_every_colour_of_a_ramp(count):
    """A ramp of steps or of bins is drawn in its light colours, whatever the number of models."""
    for models in (1, 2, 4):
        assert set(style.ramp(count)) <= svg.css_colours(svg.theme(models)).keys()


def test_colours_of_a_page_have_one_name_each():
    variables = svg.theme(3)
    assert len({variable.name for variable in variables}) == len(variables)
    assert len({variable.light for variable in variables}) == len(variables)


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=154, unique=True), st.booleans())
def test_step_ticks_are_steps_with_zero_and_both_ends(steps, zero):
    steps = [0, *steps] if zero else steps
    ticks = style.step_ticks(steps)
    assert set(ticks) <= set(steps)
    assert len(ticks) <= 7
    assert {min(steps), max(steps)} <= set(ticks)


def test_a_line_has_the_numbers_and_the_errors_that_it_was_given():
    (line,) = panel([5.0, 4.0, 3.0]).axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), [5, 4, 3])
    series = readout.series(line)
    assert series is not None
    assert series.name == "toy-1b"
    np.testing.assert_allclose(series.high - series.low, 0.2)


def test_a_long_label_has_its_unit_on_a_line_of_its_own():
    _, ax = style.axes("convergence beyond content word (nats)")
    assert ax.get_ylabel() == "convergence beyond content word\n(nats)"
    _, ax = style.axes("KL between seeds (nats)")
    assert ax.get_ylabel() == "KL between seeds (nats)"


def test_a_legend_has_as_many_columns_as_fit():
    figure, _ = style.axes("")
    assert style.legend_columns(figure, ["nano-32", "nano-64", "nano-128"], 3) == 3
    assert style.legend_columns(figure, ["a"], 3) == 1
    assert style.legend_columns(figure, [30 * "long", 30 * "name"], 3) == 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_ticks_are_numbers_in_full(scale):
    """No factor stands apart at the end of an axis, where it is overlooked."""
    figure = panel([3 * scale, 2 * scale, scale])
    svg.tree(figure)
    axis = figure.axes[0].yaxis
    shown = [float(label.get_text().replace("−", "-")) for label in axis.get_ticklabels()]
    np.testing.assert_allclose(shown, axis.get_ticklocs(), atol=1e-6 * scale)


@pytest.mark.parametrize("name", ["$x^2$", "costs $5 and $\\frac{1", "a_b^c", "half \ud800"])
def test_no_name_is_read_as_a_formula(name):
    figure = panel()
    ax = figure.axes[0]
    ax.set_title(name)
    ax.set_yticks([1, 2], [name, "b"])
    texts = [element.text for element in svg.tree(figure).iter("text")]
    assert texts.count(literal.drawable(name)) == 2
    assert not ax.title.get_parse_math()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.40213, "0.402"), (-12.34, "−12.3"), (1234.0, "1234"), (0, "0"), (1e-9, "1.00e−09")],
)
def test_numbers_are_written_with_three_digits(value, text):
    assert words.number(value) == text


def test_pictures_have_ids_of_their_own():
    colours = svg.css_colours(svg.theme(2))
    first, second = (svg.inline(svg.tree(panel()), name, "a & b", colours) for name in ("x", "y"))
    assert first.count('id="x-') == second.count('id="y-') > 0
    assert first.replace('"x-', '"y-').replace("#x-", "#y-") == second
    assert 'aria-label="a &amp; b"' in first
    assert "http" not in first


@pytest.mark.parametrize("values", [[2.0, 2.0], [np.nan, 2.0], [2.0, np.nextafter(2.0, 3.0)]])
def test_a_logarithmic_axis_of_one_value_has_a_height(values):
    figure, ax = style.axes("weight")
    ax.plot([0, 1], values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.log_y(ax)
        figure.draw_without_rendering()
    low, high = ax.get_ylim()
    assert low < 1.5 < 2.5 < high
