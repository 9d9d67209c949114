"""Which checkpoints: grids of (model, seed, step), each cell with the place its files come from."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from dynamics.errors import InputError

PYTHIA_SIZES = ("14m", "31m", "70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")
POLYPYTHIA_SIZES = PYTHIA_SIZES[:5]
# The hub's revisions, and the log-spaced subset that seed-divergence studies use.
PYTHIA_STEPS = (0, *(2**k for k in range(10)), *range(1000, 144_000, 1000))
PYTHIA_LOG_STEPS = (0, *(2**k for k in range(10)), *(1000 * 2**k for k in range(8)))


class Source(NamedTuple):
    """What `checkpoints.load` takes."""

    location: str  # a folder or a hub id
    revision: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """A grid of checkpoints."""

    name: str
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    source: Callable[[str, int, int], Source]

    def select(
        self,
        models: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
    ) -> "Suite":
        """The sub-grid. Raises InputError for a model, seed or step the suite lacks, listing those it has."""
        return dataclasses.replace(
            self,
            models=_known("model", models, self.models, self.name),
            seeds=_known("seed", seeds, self.seeds, self.name),
            steps=_known("step", steps, self.steps, self.name),
        )


def _known(kind: str, wanted: Sequence | None, known: tuple, suite: str) -> tuple:
    if not wanted:
        return known
    for name in wanted:
        if name not in known:
            raise InputError.unknown(f"{kind} of the suite {suite}", name, known)
    return tuple(k for k in known if k in set(wanted))


def folder_tree(name: str, root: Path, models: Sequence[str], seeds: Sequence[int], steps: Sequence[int]) -> Suite:
    """A suite of folders ROOT/MODEL/seed{k}/step{n}."""

    def source(model: str, seed: int, step: int) -> Source:
        return Source(str(root / model / f"seed{seed}" / f"step{step}"), None)

    return Suite(name=name, models=tuple(models), seeds=tuple(seeds), steps=tuple(steps), source=source)


def pythia() -> Suite:
    """Pythia (Biderman et al. 2023): ten sizes, one seed."""
    return Suite(
        name="pythia",
        models=PYTHIA_SIZES,
        seeds=(0,),
        steps=PYTHIA_STEPS,
        source=lambda model, _, step: Source(f"EleutherAI/pythia-{model}", f"step{step}"),
    )


def polypythia() -> Suite:
    """PolyPythias (van der Wal et al. 2025): five sizes, ten seeds; seed 0 is the base model."""

    def source(model: str, seed: int, step: int) -> Source:
        suffix = f"-seed{seed}" if seed else ""
        return Source(f"EleutherAI/pythia-{model}{suffix}", f"step{step}")

    return Suite(name="polypythia", models=POLYPYTHIA_SIZES, seeds=tuple(range(10)), steps=PYTHIA_STEPS, source=source)
