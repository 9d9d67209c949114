"""The page tells where every run's curves pause, and in plain words where there are too few
checkpoints to say."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics import results
from dynamics.analysis import run_stages
from dynamics.report import page, stages

STEPS = [0, *np.unique(np.geomspace(1, 40_000, 60).astype(int)).tolist()]
PAUSE = np.exp(8.5)  # of every curve below: a peak of the LLC, a shoulder of the trace


def llc(x: float, seed: int) -> xr.Dataset:
    value = 20 * (np.clip(x, 6, 8) - np.clip(x, 9, 20) + 3 + seed)
    names = (
        "init_loss",
        "chain_loss",
        "trivial_loss",
        "nbeta",
        "localization",
        "step_size",
        "chain_loss_sem",
        "localization_share",
    )
    scalars = dict.fromkeys((*names, "init_loss_sem"), 1.0) | {"llc": value, "sem": 0.2}
    return xr.Dataset(
        {**scalars, "loss_trace": (("chain", "draw"), np.ones((4, 9)))},
        attrs={"verdict": "local" if x > 7 else "left the basin"},
    )


def curvature(x: float) -> xr.Dataset:
    value = 100 * (np.clip(x, 6, 8) + np.clip(x, 9, 20))
    ends = {
        "trace": value,
        "trace_sem": 1.0,
        "largest": value / 50,
        "largest_error": 1e-9,
        "smallest": -2.0,
    }
    return xr.Dataset({**ends, "smallest_error": 0.1, "loss": 3.0})


def store_of(root: Path, steps) -> results.Store:
    store = results.Store(root)
    for step in steps:
        made = [("llc", seed, llc(np.log1p(step), seed)) for seed in (0, 1)]
        for measure, seed, data in (*made, ("curvature", 0, curvature(np.log1p(step)))):
            unit = results.Unit(measure=measure, model="toy-8", seeds=(seed,), step=step)
            store.write(unit, data, {"suite": "toy"}, {"weights": [], "corpus": {"name": "text"}})
    return store


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    store = store_of(tmp_path_factory.mktemp("store"), STEPS)
    return page.write(store, "toy", store.root / "report.html").read_text(encoding="utf-8")


def test_every_run_and_curve_has_a_panel(text):
    names = re.findall(r'id="panel-(stages-[^"]*)"', text)
    assert names == [
        "stages-toy-8-0-llc",
        "stages-toy-8-1-llc",
        "stages-toy-8-0-trace",
        "stages-toy-8-0-eigenvalue",
    ]


def test_numbers_hold_the_boundaries_that_captions_tell(text):
    shown = json.loads(re.search(r'id="numbers">(.*?)</script>', text, re.S)[1])["stages"]
    assert len(shown) == 4
    for name, run in shown.items():
        (one,) = run["boundaries"]
        assert one["kind"] == ("peak" if "LLC" in name else "shoulder")
        assert one["step"] == pytest.approx(PAUSE, rel=0.1)
        assert one["low"] < PAUSE < one["high"]
        assert len(run["value"]) == len(STEPS)
    assert text.count(f"1 stage boundary on {len(STEPS)} checkpoints: a peak at step") == 2
    assert text.count(f"1 stage boundary on {len(STEPS)} checkpoints: a shoulder at step") == 2


def test_pauses_of_estimates_that_are_not_local_are_doubted(text):
    local = sum(np.log1p(step) > 7 for step in STEPS)
    assert (
        text.count(
            f"Only {local} of {len(STEPS)} estimates are local: elsewhere a pause is one of the loss."
        )
        == 2
    )


def test_too_few_checkpoints_are_told_and_the_page_is_whole(tmp_path):
    store = store_of(tmp_path, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 640])
    text = page.write(store, "toy", tmp_path / "report.html").read_text(encoding="utf-8")
    told = re.search(r'<section id="stages">.*?</section>', text, re.S)[0]
    assert "too few checkpoints: 12, of which 2 from step 300 on" in told
    assert "LLC of toy-8, seed 0, and 3 other curves" in told
    assert "<svg" not in told
    assert 'id="panel-llc"' in text


def test_checkpoints_without_a_number_are_left_out():
    units = [
        (results.Unit(measure="llc", model="toy", seeds=(0,), step=step), llc(np.log1p(step), 0))
        for step in STEPS
    ]
    units[20][1]["llc"] = np.nan
    (one,) = run_stages.all_runs({"llc": units})
    assert len(one.curve.steps) == len(STEPS) - 1
    assert one.found is not None
    assert stages.boundary(one.found.boundaries[0]).startswith("a peak at step 5k (")
