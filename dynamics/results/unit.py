"""A work unit, and where its file lies in a folder of results."""

import dataclasses
import functools
import hashlib
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynamics.errors import InputError
from dynamics.inputs import Whole
from dynamics.suite import Cell

# Where the files of a measure lie, under its folder: of the suite, of runs, of checkpoints.
PATTERNS = ("suite.nc", "*/seed*/run.nc", "*/seed*/step*.nc")
_LONGEST_NAME = 255  # bytes that file systems allow in the name of a folder
_LARGEST = 2**63 - 1  # of a seed or a step
_SHARD, _SHARDS = "i/n with 0 <= i < n, e.g. 0/4", Whole(0, 1_000_000)


@functools.total_ordering
@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work that is committed whole. It has one of three forms:

    - of checkpoints: one or more seeds of a model at a step, MEASURE/MODEL/SEEDS/stepN.nc;
    - of a run: one or more seeds of a model, MEASURE/MODEL/SEEDS/run.nc;
    - of the suite: what belongs to no model, such as its text, MEASURE/suite.nc.

    Units are ordered by measure, model, seeds and step; a wider unit comes before its parts. Any
    other combination of fields raises InputError.

    Example:
        >>> print(Unit(measure="llc", model="nano-32", seeds=(0,), step=8))
        llc nano-32 seed 0 step 8
        >>> Unit.of_run("audit", "nano-32", (0,)).path.as_posix()
        'audit/nano-32/seed0/run.nc'
        >>> Unit.of_suite("ngram").path.as_posix()
        'ngram/suite.nc'
    """

    measure: str
    model: str = ""  # "" for a unit of the suite
    seeds: tuple[int, ...] = ()  # () for a unit of the suite
    step: int | None = None  # None for a unit of a run or of the suite

    def __post_init__(self):
        if bool(self.model) != bool(self.seeds) or (self.step is not None and not self.model):
            raise InputError(
                f"a unit of model {self.model!r}, seeds {self.seeds} and step {self.step}",
                expected="a model with seeds and a step, a model with seeds, or none of them",
            )

    @classmethod
    def of_run(cls, measure: str, model: str, seeds: Sequence[int]) -> "Unit":
        """A unit of whole runs: `seeds` of a model at no step in particular."""
        return cls(measure=measure, model=model, seeds=tuple(seeds))

    @classmethod
    def of_suite(cls, measure: str) -> "Unit":
        """A unit of the whole suite or its text, which belongs to no model, seed or step."""
        return cls(measure=measure)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Unit":
        """The unit that a file names. Raises InputError for fields that name none."""
        seeds = fields.get("seeds", [])
        numbers = [*seeds, fields.get("step", 0)] if isinstance(seeds, list) else [None]
        names = [fields.get("measure"), fields.get("model", "")]
        sound = (
            set(fields) <= {"measure", "model", "seeds", "step"}
            and all(isinstance(name, str) for name in names)
            and all(type(number) is int and 0 <= number <= _LARGEST for number in numbers)
        )
        if not sound:
            raise InputError(
                "a unit of other fields",
                expected="its measure, and a model with seeds and a step where it has them",
            )
        return cls(**{**fields, "seeds": tuple(seeds)})

    def to_json(self) -> dict[str, Any]:
        """The fields that it has, as a file names them."""
        fields = dataclasses.asdict(self).items()
        return {name: value for name, value in fields if value not in ("", (), None)}

    @property
    def path(self) -> Path:
        """Where its file lies under the store's root."""
        if not self.model:
            return Path(self.measure) / "suite.nc"
        folder = Path(self.measure) / _folder_name(self.model) / f"seed{self._seed_list()}"
        return folder / ("run.nc" if self.step is None else f"step{self.step}.nc")

    def cells(self) -> list[Cell]:
        """The checkpoints that a unit of checkpoints measures; [] for the other two forms."""
        if self.step is None:
            return []
        return [Cell(self.model, seed, self.step) for seed in self.seeds]

    def __str__(self) -> str:
        run = f" {self.model} seed {self._seed_list()}" if self.model else ""
        return self.measure + run + ("" if self.step is None else f" step {self.step}")

    def __lt__(self, other: "Unit") -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple:
        return self.measure, self.model, self.seeds, self.step is not None, self.step or 0

    def _seed_list(self) -> str:
        return "-".join(map(str, self.seeds))


def shard(units: Sequence[Unit], part: str) -> list[Unit]:
    """Every n-th unit from the i-th, for a part "i/n" with 0 <= i < n.

    Raises InputError for a part of any other form.

    Example:
        >>> units = [Unit(measure="llc", model="m", seeds=(0,), step=step) for step in range(5)]
        >>> [unit.step for unit in shard(units, "1/2")]
        [1, 3]
    """
    try:
        index, count = (_SHARDS.parse(text, "") for text in part.split("/"))
    except ValueError as error:  # of the parser, or of another number of parts
        raise InputError(f"--shard={part:.80}", expected=_SHARD) from error
    if index >= count:
        raise InputError(f"--shard={part}", expected=_SHARD)
    return list(units)[index::count]


def _folder_name(model: str) -> str:
    """One folder's name for a model of any name: no path, not out of the store, no file's name.

    A name that is too long for a file system is cut, and ends in a digest of the whole instead.
    """
    quoted = urllib.parse.quote(model, safe="")
    plain = quoted.strip(".") and not quoted.endswith(".nc")
    name = quoted if plain else quoted.replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(model.encode()).hexdigest()[:32]
    return f"{name[: _LONGEST_NAME - 1 - len(digest)]}~{digest}"
