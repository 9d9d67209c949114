"""The audit before measuring: what it finds is stored for the page, and the convicted left out."""

from collections.abc import Sequence

import numpy as np
from absl import flags

from dynamics import results
from dynamics.checkpoints import audit
from dynamics.questions.audit import record
from dynamics.results import Unit
from dynamics.suite import Cell, Suite
from experiments import endings, progress

FLAGS = flags.FLAGS
_MOST_STEPS = 8  # named in a line on stderr


def examine(whole: Suite, grid: Suite, store: results.Store, read: str) -> list[audit.Fault]:
    """Faults of the grid's checkpoints, also written into the store for the page.

    The first and the last step of a run are looked at too, in the grid or not: faulty uploads serve
    the weights of the last one.
    """
    runs = [(model, seed) for model in grid.models for seed in grid.seeds]
    steps = sorted({*grid.steps, min(whole.steps), max(whole.steps)})
    cells = [Cell(model, seed, step) for model, seed in runs for step in steps]
    report = progress.counter(len(cells), "audit")
    faults, examined = audit.examine(
        whole, cells, read=read, weights=FLAGS.weights, progress=report
    )
    for model, seed in runs:
        run = [Cell(model, seed, step) for step in steps]
        of_run = [fault for fault in faults if fault.cell in set(run)]
        audited = record.Record(
            steps=np.array(steps),
            state=np.array([_state(cell, of_run, examined) for cell in run]),
            faults=[record.Fault(f.cell.step, f.kind, f.detail, f.convicts) for f in of_run],
            fate=_fate(grid),
            weights_read=read != "no",
        )
        unit = Unit.of_run(record.MEASURE, model, (seed,))
        provenance = {"weights": [], "corpus": {}}
        store.write(
            unit, record.to_dataset(audited), {"suite": grid.name, "read": read}, provenance
        )
    return faults


def leave_out(grid: Suite, faults: Sequence[audit.Fault]) -> Suite:
    """The suite without its convicted checkpoints, which stderr names; whole by --keep_suspect.

    Checkpoints whose training data are not certain are kept, and named too.
    """
    cells = set(grid.cells())
    for line in summary([f for f in faults if f.kind == "other data" and f.cell in cells]):
        endings.say(f"audit: {line}")
    guilty = [cell for cell in audit.convicted(faults) if cell in cells]
    if not guilty:
        return grid
    fate = "kept, as asked" if FLAGS.keep_suspect else "left out; --keep_suspect keeps them"
    count = f"{len(guilty)} of {len(cells)} checkpoints are convicted"
    endings.say(f"audit: {count} and {fate}:")
    for line in summary([fault for fault in faults if fault.convicts and fault.cell in cells]):
        endings.say(f"  {line}")
    if FLAGS.keep_suspect:
        return grid
    remaining = grid.without(guilty)
    for line in _lost_comparisons(remaining):
        endings.say(f"  {line}")
    return remaining


def _lost_comparisons(grid: Suite) -> list[str]:
    """A line for each model of which a seed lacks steps, so that no seeds are compared there."""
    lines = []
    for model in grid.models if len(grid.seeds) > 1 else ():
        lost = [step for step in grid.steps if not grid.whole(model, step, grid.seeds)]
        lacking = [
            str(seed) for seed in grid.seeds if not all(grid.whole(model, t, [seed]) for t in lost)
        ]
        if lost:
            lines.append(
                f"{model}: seeds are compared at {len(grid.steps) - len(lost)} of "
                f"{len(grid.steps)} steps, since seed {', '.join(lacking)} lacks the others; "
                "--seeds without it compares the rest at all steps"
            )
    return lines


def summary(faults: Sequence[audit.Fault]) -> list[str]:
    """A line for each run and kind of fault."""
    groups: dict[tuple, list[audit.Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.cell.model, fault.cell.seed, fault.kind), []).append(fault)
    return [
        f"{model} seed {seed}: {kind} at step {_steps(group)} ({group[0].detail})"
        for (model, seed, kind), group in groups.items()
    ]


def _steps(faults: Sequence[audit.Fault]) -> str:
    named = ", ".join(str(fault.cell.step) for fault in faults[:_MOST_STEPS])
    more = len(faults) - _MOST_STEPS
    return named + (f" and {more} more" if more > 0 else "")


def _fate(grid: Suite) -> str:
    if not grid.on_hub:
        return "not left out by itself: folders are audited on request alone"
    if FLAGS.keep_suspect:
        return "measured all the same, as asked"
    return "left out of every figure"


def _state(cell: Cell, faults: Sequence[audit.Fault], examined: set[Cell]) -> int:
    of_cell = [fault for fault in faults if fault.cell == cell]
    if any(fault.convicts for fault in of_cell):
        return record.CONVICTED
    if of_cell:
        return record.REMARK
    return record.SOUND if cell in examined else record.UNSEEN
