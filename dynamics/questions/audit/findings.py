"""Audited runs as one grid of checkpoints with a state each.

Axes: R runs (model and seed), K steps.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.questions.audit import record
from dynamics.questions.audit.record import UNSEEN, Fault
from dynamics.questions.committed import Committed, by_model


@dataclass(frozen=True, kw_only=True, eq=False)
class Audit:
    """What is known of every checkpoint of a suite.

    Attributes:
        models: names, by size.
        runs: [R] "model seed 0", models by size, seeds in order.
        steps: [K] every step of any run.
        state: [R,K] of UNSEEN, SOUND, REMARK, CONVICTED.
        faults: (run, fault), those that convict before the others.
        fate: what became of the convicted, in words.
        weights_read: whether weights were read, beyond file digests.
    """

    models: tuple[str, ...]
    runs: tuple[str, ...]
    steps: tuple[int, ...]
    state: np.ndarray
    faults: tuple[tuple[str, Fault], ...]
    fate: str
    weights_read: bool

    def count(self, state: int) -> int:
        """How many checkpoints are in a state."""
        return int((self.state == state).sum())


def find(committed: Committed) -> Audit | None:
    """The grid of all audited runs; None where there is none."""
    groups = by_model(committed.of(record.MEASURE))
    units = [pair for pairs in groups.values() for pair in pairs]
    if not units:
        return None
    runs = [f"{unit.model} seed {unit.seeds[0]}" for unit, _ in units]
    records = [record.from_dataset(data) for _, data in units]
    steps = np.unique(np.concatenate([audited.steps for audited in records]))
    state = np.full((len(runs), len(steps)), UNSEEN)
    for row, audited in zip(state, records, strict=True):
        row[np.searchsorted(steps, audited.steps)] = audited.state
    faults = [
        (run, fault) for run, audited in zip(runs, records, strict=True) for fault in audited.faults
    ]
    return Audit(
        models=tuple(groups),
        runs=tuple(runs),
        steps=tuple(steps.tolist()),
        state=state,
        faults=tuple(sorted(faults, key=lambda pair: not pair[1].convicts)),
        fate=records[0].fate,
        weights_read=all(audited.weights_read for audited in records),
    )
