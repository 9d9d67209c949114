"""The audit as experiments use it: before they measure a hub suite, and as a script of its own."""

import json
import sys
from collections.abc import Sequence

import xarray as xr
from absl import flags

from dynamics import results
from dynamics.analysis.audits import CONVICTED, REMARK, SOUND, UNSEEN
from dynamics.checkpoints import audit
from dynamics.results import Unit
from dynamics.suite import Cell, Suite
from experiments import progress

FLAGS = flags.FLAGS


def examine(whole: Suite, chosen: Suite, store: results.Store, read: str) -> list[audit.Finding]:
    """Findings about the chosen cells, also written into the store for the page.

    The first and the last step of a run are looked at too, chosen or not: faulty uploads serve the
    last one's weights.
    """
    runs = [(model, seed) for model in chosen.models for seed in chosen.seeds]
    steps = sorted({*chosen.steps, min(whole.steps), max(whole.steps)})
    cells = [Cell(model, seed, step) for model, seed in runs for step in steps]
    report = progress.counter(len(cells), "audit")
    findings, seen = audit.examine(whole, cells, read=read, weights=FLAGS.weights, progress=report)
    for model, seed in runs:
        mine = [Cell(model, seed, step) for step in steps]
        _write(store, chosen, mine, [f for f in findings if f.cell in set(mine)], seen, read)
    return findings


def leave_out(chosen: Suite, findings: Sequence[audit.Finding]) -> Suite:
    """The suite without its convicted checkpoints, said on stderr; all of it with
    --keep_suspect."""
    grid = set(chosen.cells())
    guilty = [cell for cell in audit.convicted(findings) if cell in grid]
    if not guilty:
        return chosen
    fate = "kept, as asked" if FLAGS.keep_suspect else "left out; --keep_suspect keeps them"
    print(
        f"audit: {len(guilty)} of {len(grid)} checkpoints are convicted and {fate}:",
        file=sys.stderr,
    )
    for line in summary([f for f in findings if f.convicts and f.cell in grid]):
        print(f"  {line}", file=sys.stderr)
    return chosen if FLAGS.keep_suspect else chosen.without(guilty)


def summary(findings: Sequence[audit.Finding]) -> list[str]:
    """A line for each run and kind of finding."""
    groups: dict[tuple, list[audit.Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.cell.model, finding.cell.seed, finding.kind), []).append(finding)
    return [
        f"{model} seed {seed}: {kind} at step {', '.join(str(f.cell.step) for f in group[:8])}"
        + (f" and {len(group) - 8} more" if len(group) > 8 else "")
        + f" ({group[0].detail})"
        for (model, seed, kind), group in groups.items()
    ]


def _write(
    store: results.Store, chosen: Suite, cells: Sequence[Cell], findings, seen: set[Cell], read: str
):
    states = [_state(cell, findings, seen) for cell in cells]
    told = [[f.cell.step, f.kind, f.detail, f.convicts] for f in findings]
    attributes = {
        "findings": json.dumps(told),
        "fate": _fate(chosen),
        "weights_read": json.dumps(read != "no"),
        "rests_on": "file digests" if read == "no" else "file digests and weights",
    }
    data = xr.Dataset(
        {"state": ("step", states)}, {"step": [cell.step for cell in cells]}, attributes
    )
    unit = Unit(measure="audit", model=cells[0].model, seeds=(cells[0].seed,), step=0)
    store.write(unit, data, {"suite": chosen.name, "read": read}, {"weights": [], "corpus": {}})


def _fate(chosen: Suite) -> str:
    if not chosen.on_hub:
        return "not left out by itself: folders are audited on request alone"
    return (
        "measured all the same, as asked"
        if FLAGS.keep_suspect
        else "left out of every figure below"
    )


def _state(cell: Cell, findings: Sequence[audit.Finding], seen: set[Cell]) -> int:
    mine = [finding for finding in findings if finding.cell == cell]
    if any(finding.convicts for finding in mine):
        return CONVICTED
    return REMARK if mine else SOUND if cell in seen else UNSEEN
