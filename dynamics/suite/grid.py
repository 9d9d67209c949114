"""A suite: a grid of checkpoints, and where the files of every cell lie."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from dynamics.errors import InputError

_MOST_CELLS = 1_000_000  # every one is looked at more than once


class Cell(NamedTuple):
    """A checkpoint by its place in the grid."""

    model: str
    seed: int
    step: int

    def __str__(self) -> str:
        return f"{self.model} seed {self.seed} step {self.step}"


class Source(NamedTuple):
    """Where a checkpoint's files lie: the first arguments of `checkpoints.load`."""

    location: str  # a folder, or a hub id
    revision: str | None  # of a hub id; None for a folder

    @property
    def on_hub(self) -> bool:
        """Is it a hub id at a revision, not a folder?"""
        return self.revision is not None


class Causes(NamedTuple):
    """What a run's randomness came from: runs that share a number share that cause."""

    init: int
    order: int  # of the data


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """A grid of checkpoints. Raises InputError for one of more than a million.

    Example:
        >>> from dynamics import suite
        >>> pythia = suite.pythia().select(models=["14m"], steps=[0, 512])
        >>> [str(cell) for cell in pythia.cells()]
        ['14m seed 0 step 0', '14m seed 0 step 512']
        >>> pythia.source("14m", 0, 512)
        Source(location='EleutherAI/pythia-14m', revision='step512')
    """

    name: str
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    source: Callable[[str, int, int], Source]  # of (model, seed, step)
    default_steps: tuple[int, ...] | None = None  # where a user names none
    left_out: frozenset[Cell] = frozenset()  # must not be measured
    # seed -> its initialisation and data order; None where each seed has its own of both
    causes: Callable[[int], Causes] | None = None
    shared_start: bool = False  # do all seeds of a model have the same initialisation?
    # (model, step) -> the optimiser's learning rate at that step, where it is published
    learning_rate: Callable[[str, int], float] | None = None
    # What the models read: tokens of text, or contexts of in-context regression. It decides their
    # loss (`measures.problem`) and the data that `study` measures them on.
    reads: Literal["text", "contexts"] = "text"
    num_tasks: int | None = None  # of contexts, where they come from a finite set of tasks
    run_end: int | None = None  # the runs' last step, where `steps` are a part of them
    tokens_per_step: int | None = None  # that every model reads at a step of its training
    # Tokens of the training windows, where that is less than the models' positions.
    trained_context: int | None = None

    def __post_init__(self):
        size = len(self.models) * len(self.seeds) * len(self.steps)
        if size > _MOST_CELLS:
            raise InputError(
                f"the suite {self.name} of {size:,} checkpoints",
                expected=f"at most {_MOST_CELLS:,}",
                mend="Name fewer models, seeds or steps.",
            )

    def select(
        self,
        models: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
    ) -> "Suite":
        """The sub-grid of these models, seeds and steps; None, or none, selects all of an axis.

        Raises InputError for a value that the suite lacks, and lists those that it has.
        """
        return dataclasses.replace(
            self,
            models=_selected("model", models, self.models, self.name),
            seeds=_selected("seed", seeds, self.seeds, self.name),
            steps=_selected("step", steps, self.steps, self.name),
            run_end=self.last_step,
        )

    @property
    def last_step(self) -> int:
        """The last step of the runs, whether or not it is among those selected."""
        return max(self.steps) if self.run_end is None else self.run_end

    def without(self, cells: Sequence[Cell]) -> "Suite":
        """The suite with these cells left out."""
        return dataclasses.replace(self, left_out=self.left_out | frozenset(cells))

    def cells(self) -> Iterator[Cell]:
        """Every cell that may be measured, run by run, in the order of the axes."""
        grid = (Cell(m, s, t) for m in self.models for s in self.seeds for t in self.steps)
        return (cell for cell in grid if cell not in self.left_out)

    def whole(self, model: str, step: int, seeds: Sequence[int]) -> bool:
        """May all of `seeds` be compared at this step?"""
        return not any(Cell(model, seed, step) in self.left_out for seed in seeds)

    def of_one_kind(self) -> bool:
        """Does every pair of seeds share the same: nothing, the initialisation, or the order?

        Only then do pairs measure one thing, whose mean has an interval over seeds.

        Example:
            >>> from dynamics import suite
            >>> suite.polypythia().of_one_kind(), suite.polypythia_data().of_one_kind()
            (True, True)
        """
        if self.causes is None:
            return True
        pairs = itertools.combinations([self.causes(seed) for seed in self.seeds], 2)
        return len({(a.init == b.init, a.order == b.order) for a, b in pairs}) <= 1

    @property
    def on_hub(self) -> bool:
        """Does any checkpoint of the grid lie on the hub?"""
        return any(
            self.source(m, s, t).on_hub for m in self.models for s in self.seeds for t in self.steps
        )


def _selected(kind: str, wanted: Sequence | None, axis: tuple, suite: str) -> tuple:
    if not wanted:
        return axis
    for value in wanted:
        if value not in axis:
            raise InputError.unknown(f"{kind} of the suite {suite}", value, axis)
    return tuple(value for value in axis if value in set(wanted))


def folder_tree(
    name: str, root: Path, models: Sequence[str], seeds: Sequence[int], steps: Sequence[int]
) -> Suite:
    """A suite of folders ROOT/MODEL/seed{k}/step{n}.

    Example:
        >>> mine = folder_tree("mine", Path("runs"), ["small"], seeds=[0, 1], steps=[0, 8])
        >>> mine.source("small", 1, 8).location
        'runs/small/seed1/step8'
    """

    def source(model: str, seed: int, step: int) -> Source:
        return Source(str(root / model / f"seed{seed}" / f"step{step}"), None)

    return Suite(
        name=name, models=tuple(models), seeds=tuple(seeds), steps=tuple(steps), source=source
    )
