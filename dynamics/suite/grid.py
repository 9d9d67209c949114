"""A suite: a grid of checkpoints with a place for every cell."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dynamics.errors import InputError


class Cell(NamedTuple):
    """One checkpoint's place in the grid."""

    model: str
    seed: int
    step: int

    def __str__(self) -> str:
        return f"{self.model} seed {self.seed} step {self.step}"


class Source(NamedTuple):
    """What `checkpoints.load` takes."""

    location: str  # a folder, or a hub id
    revision: str | None  # of a hub id; None for a folder

    @property
    def on_hub(self) -> bool:
        return self.revision is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """A grid of checkpoints.

    `default_steps` are those taken where a user names none; `left_out` are cells that must not be
    measured; in a suite with `shared_start` all seeds of a model have one initialisation;
    `learning_rate(model, step)`, where it is known, is the rate that the optimiser took at that
    step; `trained_context`, where it is less than the models' positions, is how many tokens the
    windows that they were trained on had.
    """

    name: str
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    source: Callable[[str, int, int], Source]
    default_steps: tuple[int, ...] | None = None
    left_out: frozenset[Cell] = frozenset()
    shared_start: bool = False
    learning_rate: Callable[[str, int], float] | None = None
    trained_context: int | None = None

    def select(
        self,
        models: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
    ) -> "Suite":
        """The sub-grid. Raises InputError for a model, seed or step the suite lacks, listing those
        it has."""
        return dataclasses.replace(
            self,
            models=_known("model", models, self.models, self.name),
            seeds=_known("seed", seeds, self.seeds, self.name),
            steps=_known("step", steps, self.steps, self.name),
        )

    def without(self, cells: Sequence[Cell]) -> "Suite":
        """The suite with these cells left out."""
        return dataclasses.replace(self, left_out=self.left_out | frozenset(cells))

    def cells(self) -> Iterator[Cell]:
        """Every cell that may be measured, run by run."""
        grid = (Cell(m, s, t) for m in self.models for s in self.seeds for t in self.steps)
        return (cell for cell in grid if cell not in self.left_out)

    def whole(self, model: str, step: int, seeds: Sequence[int]) -> bool:
        """May all of `seeds` be compared at this step?"""
        return not any(Cell(model, seed, step) in self.left_out for seed in seeds)

    @property
    def on_hub(self) -> bool:
        """Does any checkpoint of the grid lie on the hub?"""
        return any(
            self.source(m, s, t).on_hub for m in self.models for s in self.seeds for t in self.steps
        )


def _known(kind: str, wanted: Sequence | None, known: tuple, suite: str) -> tuple:
    if not wanted:
        return known
    for name in wanted:
        if name not in known:
            raise InputError.unknown(f"{kind} of the suite {suite}", name, known)
    return tuple(k for k in known if k in set(wanted))


def folder_tree(
    name: str, root: Path, models: Sequence[str], seeds: Sequence[int], steps: Sequence[int]
) -> Suite:
    """A suite of folders ROOT/MODEL/seed{k}/step{n}."""

    def source(model: str, seed: int, step: int) -> Source:
        return Source(str(root / model / f"seed{seed}" / f"step{step}"), None)

    return Suite(
        name=name, models=tuple(models), seeds=tuple(seeds), steps=tuple(steps), source=source
    )
