"""Phase boundaries under several warm-ups, on curves with planted bends.

Axes: K steps, S seeds, G documents.
"""

import dataclasses
from collections.abc import Mapping

import made_seeds
import numpy as np
import pytest

from dynamics.figures import style
from dynamics.questions import Committed, seed_record, warmup

STEPS = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512])


def valley(bend: int) -> np.ndarray:
    """A level [K] that falls until a step, and rises from there on."""
    return 0.1 + np.abs(np.log1p(STEPS) - np.log1p(bend))


def hill(bend: int) -> np.ndarray:
    """A level [K] that falls until a step, rises for 1.4 e-folds, and falls again."""
    x = np.log1p(STEPS)
    start = np.log1p(bend)
    corners = [0, start - 1.4, start, start + 1.4, x[-1]]
    if bend <= 8:
        corners[1] = 0.5 * start
    return np.interp(x, corners, [0.4, 0.4, 0.2, 0.6, 0.3])


def results(
    warmups: Mapping[str, int], bends: Mapping[str, int], level_of=valley
) -> dict[str, list]:
    """Models whose rate is highest at their warm-up, and whose seeds draw apart from a bend on."""
    pairs = []
    for model, length in warmups.items():
        level = level_of(bends[model])
        kl, weights = made_seeds.kl_of_level(level, seeds=4), np.ones(8)
        stored = {}
        for k, step in enumerate(STEPS.tolist()):
            made = made_seeds.made_record(kl[k], weights, float(level[k]))
            rate = step / length if step < length else 1 - 1e-4 * (step - length)
            made = dataclasses.replace(made, learning_rate=1e-2 * rate)
            stored[step] = seed_record.to_dataset(made)
        pairs += made_seeds.units("convergence", model, stored)
    return {"convergence": pairs}


def find(warmups: Mapping[str, int], bends: Mapping[str, int]) -> warmup.WarmUps | None:
    return warmup.find(Committed(results(warmups, bends)))


THREE = {"w-0": 0, "w-32": 32, "w-128": 128}


@pytest.mark.parametrize(
    ("bends", "verdict"),
    [
        ({"w-0": 16, "w-32": 16, "w-128": 16}, "stays"),
        ({"w-0": 16, "w-32": 16, "w-128": 66}, "goes along"),
        ({"w-0": 16, "w-32": 16, "w-128": 33}, "neither"),
    ],
)
def test_planted_bends_are_said_to_stay_or_to_go_along(bends, verdict):
    warmups = find(THREE, bends)
    assert warmups is not None
    assert [model.warmup for model in warmups.models] == [0, 32, 128]
    begins = "beginning of the sharp divergence"
    first, last = (each for each in warmups.moves if each.event == begins)
    assert first.move.verdict == "stays"
    assert last.move.verdict == verdict
    assert last.move.full == pytest.approx(np.log(129 / 33))
    expected = np.log1p(bends["w-128"]) - np.log1p(bends["w-32"])
    assert last.move.shift.low <= expected <= last.move.shift.high


def test_models_that_differ_in_more_than_their_warm_up_are_not_compared():
    assert find({"a": 32, "b": 32}, {"a": 16, "b": 16}) is None
    larger = results({"a": 32, "b": 128}, {"a": 16, "b": 16})
    for unit, data in larger["convergence"]:
        data["parameters"] = 8_000 if unit.model == "a" else 9_000
    assert warmup.find(Committed(larger)) is None


def test_curves_without_a_bend_have_no_boundary_and_the_page_says_so():
    warmups = find({"a": 0, "b": 32}, {"a": 0, "b": 0})
    assert warmups is not None
    assert warmups.moves == ()
    section = warmup.QUESTION.section(warmups, style.Look(["a", "b"]))
    assert [panel.name for panel in section.panels] == ["warmup-kl"]
    assert section.findings[0].grade == "open"
    assert "no event can be compared: no event is seen" in section.findings[0].sentence


def test_turning_points_are_compared_whatever_the_phases():
    """Of curves that fall, rise and fall again: both turns go along with the warm-up."""
    pairs = results({"a": 32, "b": 128}, {"a": 16, "b": 64}, level_of=hill)
    warmups = warmup.find(Committed(pairs))
    assert warmups is not None
    moves = {each.event: each.move for each in warmups.moves}
    full = np.log1p(64) - np.log1p(16)
    for event in ("lowest divergence before the peak", "peak of the divergence"):
        assert moves[event].shift.value == pytest.approx(full, abs=0.25)
        assert moves[event].verdict == "goes along"


def test_boundaries_of_unlike_phases_are_not_compared_and_the_page_says_so():
    one, other = (results({m: w}, {m: 16}, f) for m, w, f in (("a", 0, valley), ("b", 32, hill)))
    warmups = warmup.find(Committed({"convergence": one["convergence"] + other["convergence"]}))
    assert warmups is not None
    assert not warmups.alike
    assert not any(each.event.startswith("beginning") for each in warmups.moves)
    section = warmup.QUESTION.section(warmups, style.Look(["a", "b"]))
    assert "beginnings of phases are not compared" in section.panels[0].caption
    assert section.panels[0].draw().axes
