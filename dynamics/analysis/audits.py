"""Committed audits to one grid of checkpoints with a state each. Axes: R runs (model and seed), K
steps."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.analysis.curves import natural
from dynamics.results import Unit

UNSEEN, SOUND, REMARK, CONVICTED = range(4)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found of every checkpoint of a suite."""

    runs: tuple[str, ...]  # models by size, seeds in order
    steps: tuple[int, ...]
    state: np.ndarray  # [R, K] of UNSEEN, SOUND, REMARK, CONVICTED
    findings: tuple[
        tuple[str, int, str, str], ...
    ]  # (run, step, kind, detail), faults before remarks
    fate: str  # what became of the convicted
    weights_read: bool

    def count(self, state: int) -> int:
        return int((self.state == state).sum())


def audit(committed: Iterable[tuple[Unit, xr.Dataset]]) -> Audit | None:
    """The grid of all audited runs; None where there is none."""
    units = sorted(
        committed, key=lambda pair: (natural(pair[0].model), pair[0].model, pair[0].seeds)
    )
    if not units:
        return None
    steps = tuple(sorted({int(step) for _, data in units for step in data["step"].values}))
    state = np.full((len(units), len(steps)), UNSEEN)
    findings = []
    for row, (unit, data) in enumerate(units):
        at = [steps.index(int(step)) for step in data["step"].values]
        state[row, at] = data["state"].values
        told = json.loads(data.attrs["findings"])
        findings += [
            (_run(unit), step, kind, detail, convicts) for step, kind, detail, convicts in told
        ]
    findings.sort(key=lambda f: not f[4])
    return Audit(
        runs=tuple(_run(unit) for unit, _ in units),
        steps=steps,
        state=state,
        findings=tuple(f[:4] for f in findings),
        fate=units[0][1].attrs["fate"],
        weights_read=all(json.loads(data.attrs["weights_read"]) for _, data in units),
    )


def _run(unit: Unit) -> str:
    return f"{unit.model} seed {unit.seeds[0]}"
