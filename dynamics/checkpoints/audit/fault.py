"""A fault of a checkpoint, as an audit reports it."""

import dataclasses
from collections.abc import Iterable

from dynamics.errors import printable
from dynamics.suite import Cell

# kind -> what it means, in the order of a figure's legend
KINDS = {
    "missing": "the revision or folder does not exist",
    "partial": "weight files or the configuration are missing",
    "unreadable": "the weights cannot be read as a checkpoint",
    "non-finite": "weights that are not numbers",
    "duplicate": "serves the very weights of another checkpoint",
    "borrowed shard": "a part of the weights is another checkpoint's",
    "foreign start": "the run does not descend from this initialisation",
    "detour": "lies far off the path between its neighbours",
    "config": "its architecture differs from its model's others",
    "tokenizer": "its tokenizer differs from the suite's",
    "on record": "a fault on public record",
    "same start": "the first checkpoints hold the same weights, as a warm-up from rate 0 gives",
    "two saves": "holds two sets of weights, of which one is read",
    "jump back": "lies much nearer to the initialisation than the checkpoint before",
    "remark": "a remark on public record",
    "other data": "what it was trained on is not certain",
}
REMARKS = ("same start", "two saves", "jump back", "remark", "other data")


@dataclasses.dataclass(frozen=True, order=True)
class Fault:
    """One fault of one checkpoint, or a remark about it."""

    cell: Cell
    kind: str  # a key of KINDS
    detail: str  # on one printable line, whatever the files and the hub call their parts

    def __post_init__(self):
        object.__setattr__(self, "detail", printable(self.detail))

    @property
    def convicts(self) -> bool:
        """Must the checkpoint be left out? A remark does not require that."""
        return self.kind not in REMARKS


def convicted(faults: Iterable[Fault]) -> list[Cell]:
    """The cells that must not be measured, each once, in order.

    Example:
        >>> duplicate = Fault(Cell("small", 0, 8), "duplicate", "the weights of step 16")
        >>> convicted([duplicate, Fault(Cell("small", 0, 1), "same start", "of step 0")])
        [Cell(model='small', seed=0, step=8)]
    """
    return sorted({fault.cell for fault in faults if fault.convicts})
