"""What the page says of curvature: of which parts, of which block, and of checkpoints where
something is not finite."""

import numpy as np
import xarray as xr

from dynamics import results
from dynamics.figures import style
from dynamics.report import curvature, page

STEPS = [1, 2, 4, 8, 16]


def hessian(step: int, parts: list[float], rank: float) -> xr.Dataset:
    names = ("trace", "largest", "smallest", "gauss_newton_trace", "effective_rank")
    data = (
        dict.fromkeys(names, 5.0 * step)
        | {f"{name}_sem": 0.1 for name in names}
        | {"effective_rank": rank}
    )
    data |= {"largest_error": 0.1, "smallest_error": 0.1}
    data |= {"part_trace": ("part", step * np.array(parts)), "part_trace_sem": ("part", [0.2, 0.1])}
    return xr.Dataset(data, {"part": ["layers.0", "layers.1"]})


def captions(
    parts=(6.0, -1.0),
    block: str = "",
    llcs=(1.0, 2.0, 3.0, 4.0, 5.0),
    ranks=(1.0, 2.0, 3.0, 4.0, 5.0),
):
    """name -> caption of every panel, each of which can be drawn."""
    made = {"curvature": [], "llc": []}
    for step, llc, rank in zip(STEPS, llcs, ranks, strict=True):
        found = hessian(step, list(parts), rank).assign_attrs({"block": block} if block else {})
        values = {
            "llc": llc,
            "sem": 0.01,
            "init_loss": 1.0,
            "chain_loss": 1.0,
            "trivial_loss": 1.0,
            "nbeta": 1.0,
        }
        values |= dict.fromkeys(
            ("init_loss_sem", "chain_loss_sem", "localization_share", "step_size"), 1.0
        )
        traces = {"loss_trace": (("chain", "draw"), np.ones((4, 9)))}
        estimate = xr.Dataset(values | {"localization": 1.0} | traces, attrs={"verdict": "local"})
        for measure, data in (("curvature", found), ("llc", estimate)):
            made[measure].append(
                (results.Unit(measure=measure, model="toy", seeds=(0,), step=step), data)
            )
    shown = page.findings(made)
    panels = curvature.panels(shown, style.Look(shown.models))
    for panel in panels:
        assert panel.draw().axes
    return {panel.name: panel.caption for panel in panels}


def test_parts_are_said_to_sum_to_the_whole_only_where_they_do():
    assert "sum to the whole" in captions()["hessian-parts-toy"]
    heads = captions(parts=(0.3, 0.2))["hessian-parts-toy"]
    assert "sum to the whole" not in heads
    assert "not all of the weights" in heads


def test_a_block_is_named_in_every_caption_of_its_numbers():
    told = captions(block="layers.0.mlp")
    for name in ("hessian-trace", "hessian-ends", "hessian-llc-toy"):
        assert told[name].startswith("Of the block of layers.0.mlp alone.")
    assert not any("alone." in caption.split("limits")[0] for caption in captions().values())


def test_a_checkpoint_that_is_not_finite_does_not_end_the_page():
    assert (
        "the 4 at which both are finite"
        in captions(llcs=(1.0, 2.0, np.nan, 4.0, 5.0))["hessian-llc-toy"]
    )
    told = captions(ranks=[np.nan] * 5)["hessian-llc-toy"]
    assert "effective rank none, being finite at fewer than three" in told
    assert "Hessian trace 1.00 (" in told
