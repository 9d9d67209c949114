"""The section on expected convergence draws and tells what the store holds, and says what it does
not."""

import json
import re

import numpy as np
import pytest
import xarray as xr
from planted_phases import STEPS, planted

from dynamics.analysis import curves, expected, jackknife, uncertainty
from dynamics.figures import expected as figures
from dynamics.figures import style
from dynamics.report import convergence, page
from dynamics.report import expected as told
from dynamics.results import Unit

MODELS = ("toy-8m", "toy-16m")


def dataset(one, at: int, *, beside: bool) -> xr.Dataset:
    """Step number `at` of a planted divergence, with or without what newer stores hold."""
    seeds, documents = one.kl.shape[-2:]
    flat = (("seed", "document"), np.full((seeds, documents), 2.0) + np.arange(seeds)[:, None])
    data = dict.fromkeys(("surprisal", "entropy", "kl_uniform", "kl_unigram"), flat)
    data |= {
        "kl": (("seed", "other", "document"), one.kl[at]),
        "max_logit": ("seed", np.ones(seeds)),
    }
    data["kl_token"] = (("window", "position"), one.truth[at] * np.array([[0.5, 1.0], [1.0, 1.5]]))
    if beside:
        data |= {
            "js": (("seed", "other", "document"), one.kl[at] / 8),
            "learning_rate": 1e-3,
            "parameters": 8_000,
        }
    return xr.Dataset(data, {"tokens": ("document", one.weights)})


def committed(
    bends: int = 3, seeds: int = 5, steps: slice = slice(None), *, beside: bool = True
) -> dict:
    found = []
    for number, model in enumerate(MODELS):
        one = planted(number, bends, seeds)
        for at in range(len(STEPS))[steps]:
            unit = Unit(
                measure="convergence", model=model, seeds=tuple(range(seeds)), step=int(STEPS[at])
            )
            found.append((unit, dataset(one, at, beside=beside)))
    return {"convergence": found}


def icl(steps=(0, 8, 64)) -> list:
    found = []
    for model in MODELS:
        for step in steps:
            values = np.stack([np.full((5, 7), 3.0), 3.0 - 0.01 * step * np.ones((5, 7))], axis=-1)
            data = {"surprisal": (("seed", "window", "context"), values)}
            attributes = {"positions": "token 80 given 64 and 8 before it", "scaled": 1}
            data = xr.Dataset(
                data, {"context": [8, 64], "document": ("window", np.arange(7))}, attributes
            )
            found.append((Unit(measure="icl", model=model, seeds=tuple(range(5)), step=step), data))
    return found


@pytest.fixture(scope="module")
def found():
    return page.findings(committed() | {"icl": icl()})


@pytest.fixture(scope="module")
def look(found):
    return style.Look(found.models)


def panels(found, look) -> dict:
    return {panel.name: panel for panel in convergence.panels(found, look)}


def test_every_panel_is_there(found, look):
    names = {
        "overview",
        "seed-kl",
        "intervals",
        "late-slope",
        "contexts",
        "seed-js",
        "cross-entropy",
    }
    names |= {f"phases-{model}" for model in MODELS}
    assert names <= set(panels(found, look))


def test_overview_has_a_row_per_measure_and_a_line_per_boundary(found, look):
    figure = figures.overview(found.expected, found.in_context, look)
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert [
        any(word in label for label in labels)
        for word in ("seeds", "unigram", "ICL", "entropy", "rate")
    ] == [True] * 5
    assert figure.axes[-1].get_xlabel() == "training step"
    bounds = [phase.begin.value for phase in found.expected[-1].phases.phases if phase.begin]
    dotted = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(dotted, bounds)
    row = next(ax for ax in figure.axes if "ICL" in ax.get_ylabel())
    np.testing.assert_allclose(row.lines[0].get_ydata(), [0, -0.08, -0.64])
    caption = panels(found, look)["overview"].caption
    assert "token 80 given 64 and 8 before it, scaled down" in caption
    assert "Not here" not in caption


def test_a_phase_is_shaded_from_bound_to_bound(found, look):
    one = found.expected[0]
    ax = figures.phases(one, one.phases, look).axes[0]
    shades = {patch.get_label(): patch.get_extents() for patch in ax.patches}
    assert set(shades) == {phase.name for phase in one.phases.phases}
    caption = panels(found, look)[f"phases-{one.model}"].caption
    assert "5 seeds and 20 documents" in caption
    for phase in one.phases.phases:
        assert phase.name in caption.lower()


def test_intervals_are_those_of_their_targets(found, look):
    one = found.expected[0]
    kl, tokens = one.found.kl[-1], one.found.tokens
    assert expected.intervals(one.found) == {
        "other seeds, these documents": uncertainty.seed_interval(kl, tokens),
        "these seeds, other documents": uncertainty.document_interval(kl, tokens),
        "other seeds, other documents": uncertainty.population_interval(kl, tokens),
    }
    for target, interval in expected.TARGETS.items():
        at, curve = 4, one.curves[target]
        limits = interval(one.found.kl[at], tokens)
        np.testing.assert_allclose(
            [curve.value[at], curve.low[at], curve.high[at]], [limits.mean, limits.low, limits.high]
        )
    caption = panels(found, look)["intervals"].caption
    assert all(target in caption for target in expected.TARGETS)
    figure = figures.intervals(found.expected, look)
    assert len(figure.axes[0].collections) == 3 * len(MODELS)


def test_contexts_show_mean_and_standard_deviation(found, look):
    one = found.divergence[0]
    mean, sd = one.token_moments.T
    np.testing.assert_allclose(sd, mean * np.sqrt(0.125))
    (line, *_) = figures.contexts([one], look).axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), mean)


def test_sizes_come_from_the_store_or_the_name(found):
    assert [one.size for one in found.expected] == [8000, 8000]
    named = page.findings(committed(beside=False)).expected
    assert [one.size for one in named] == [8e6, 16e6]
    change, caution = expected.against_size(named)
    assert change is not None
    assert "Two sizes only" in caution
    none, why = expected.against_size(found.expected)
    assert none is None
    assert "No regression on size" in why


def test_a_row_per_seed_leaves_it_out(found):
    rows = convergence.rows(found)
    assert [(row["model"], row["seed"]) for row in rows] == [
        (model, str(s)) for model in MODELS for s in range(5)
    ]
    one = found.divergence[0]
    without = jackknife.without_each_seed(one.kl[-1], one.tokens)
    assert [row["KL without it"] for row in rows[:5]] == [
        told.words.number(value) for value in without
    ]
    assert all("steps" in row["lies apart (no coverage promised)"] for row in rows)


def test_an_older_store_is_drawn_without_what_it_lacks(look):
    old = page.findings(committed(beside=False))
    names = panels(old, look)
    assert "seed-js" not in names
    assert "in-context scores" in names["overview"].caption
    assert "learning rates (not known" in names["overview"].caption
    assert len(figures.overview(old.expected, [], look).axes) == 3


def test_few_steps_and_two_seeds_are_told(look):
    few = page.findings(committed(seeds=2, steps=slice(0, 4)))
    shown = panels(few, look)
    assert not any(name.startswith("phases-") for name in shown)
    assert "late-slope" not in shown
    assert "no phases (" in shown["intervals"].caption
    assert "none for other seeds, these documents" in shown["intervals"].caption
    assert {row["lies apart (no coverage promised)"] for row in convergence.rows(few)} == {
        "needs 4 seeds"
    }
    for panel in shown.values():
        panel.draw()


def test_the_page_holds_phases_as_numbers():
    text = page.render(committed() | {"icl": icl()}, "toy")
    numbers = json.loads(re.search(r'id="numbers">(.*?)</script>', text, re.S)[1])
    assert all(f"seed_kl, {target}" in numbers for target in expected.TARGETS)
    first = numbers["phases"][MODELS[0]]
    assert first[0]["begin"] is None
    assert len(first[0]["end"]) == 3
    np.testing.assert_allclose(numbers["in_context"][MODELS[0]]["value"], [0, -0.08, -0.64])


def test_jensen_shannon_is_that_of_the_store(found):
    one = found.divergence[0]
    np.testing.assert_allclose(expected.jensen_shannon(one).value, curves.seed_kl(one).value / 8)
