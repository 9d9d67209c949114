"""A suite from a small toml file: any tree of folders, or any hub ids.

    name = "mine"
    models = ["small", "large"]
    seeds = [0, 1, 2]
    steps = [0, 1, 2, 4, 8]
    folder = "runs/{model}/seed{seed}/step{step}"     # relative to the file; or, on the hub:
    repo = "me/{model}-seed{seed}"
    revision = "step{step}"                           # default "main"
    tokens_per_step = 2097152                         # if known: batch x window, of every model

and, for models of numbers, reads = "contexts" (in-context regression); num_tasks = 64 where their
tasks are a finite set, that of `data.contexts.task_set`. Or, for places without a
pattern, a table for every checkpoint. Together they fill a grid:

    [[checkpoint]]
    model = "small"
    seed = 0
    step = 0
    folder = "runs/first"                             # or repo and revision
"""

import re
import string
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynamics import inputs
from dynamics.errors import InputError
from dynamics.suite.grid import Cell, Source, Suite

_PLACE = ("folder", "repo", "revision")
_GRID = ("models", "seeds", "steps")
_FIELDS = (
    "name",
    *_GRID,
    *_PLACE,
    "shared_start",
    "tokens_per_step",
    "reads",
    "num_tasks",
    "checkpoint",
)
_READS = inputs.Choice(("text", "contexts"))
_CELL = ("model", "seed", "step")
_NUMBER = inputs.Whole(0, (1 << 53) - 1)  # a seed or a step: what a float64 array holds exactly
_TOKENS = inputs.Whole(1, 1 << 40)  # read at a step
_TASKS = inputs.Whole(1, 1 << 24)
_MOST_BYTES = 1 << 24  # of the file: tables of 100,000 checkpoints
_LONGEST_NAME = 200  # bytes: file systems allow 255, and a suffix may follow


def read(path: Path) -> Suite:
    """The suite that a toml file describes.

    Raises:
        InputError: the file is missing or no toml; a field is unknown, missing or of another type;
            a pattern has an unknown placeholder, or the same place for several checkpoints; two
            tables describe one cell; the grid has holes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mine.toml"
        >>> grid = 'models = ["small"]\\nseeds = [0, 1]\\nsteps = [0, 8]\\n'
        >>> place = 'repo = "me/{model}-seed{seed}"\\nrevision = "step{step}"\\n'
        >>> _ = path.write_text(grid + place)
        >>> read(path).source("small", 1, 8)
        Source(location='me/small-seed1', revision='step8')
    """
    path = Path(path)
    fields = _parse(path)
    _check_names(fields, _FIELDS, path)
    name = fields.get("name", path.stem)
    if "checkpoint" in fields:
        return _from_tables(path, name, fields)
    models, seeds, steps = (_listed(fields, key, path) for key in _GRID)
    place = _place(fields, path)
    place(models[0], seeds[0], steps[0])  # raises for an unknown placeholder
    _check_apart(fields, dict(zip(_CELL, (models, seeds, steps), strict=True)), path)
    return _suite(path, name, fields, models, seeds, steps, place)


def _suite(path: Path, name, fields: Mapping, models, seeds, steps, place) -> Suite:
    for field, value, kind in (
        ("name", name, str),
        ("shared_start", fields.get("shared_start", False), bool),
    ):
        if not isinstance(value, kind):
            raise InputError(
                f"{field} = {inputs.shown(value)} in {path}", expected=f"a {kind.__name__}"
            )
    fits = name.isprintable() and len(name.encode()) <= _LONGEST_NAME
    if not name.strip(".") or "/" in name or not fits:
        raise InputError(
            f"name = {inputs.shown(name)} in {path}", expected="a name that a folder can have"
        )
    reads = _READS.check(fields.get("reads", "text"), f"reads, in {path}: ")
    tokens = fields.get("tokens_per_step")
    if tokens is not None and not _TOKENS.holds(tokens):
        raise InputError(
            f"tokens_per_step = {inputs.shown(tokens)} in {path}", expected=_TOKENS.words
        )
    num_tasks = fields.get("num_tasks")
    if num_tasks is not None:
        _TASKS.check(num_tasks, f"num_tasks, in {path}: ")
        if reads != "contexts":
            raise InputError(
                f"num_tasks = {num_tasks} in {path}", expected='reads = "contexts" beside it'
            )
    return Suite(
        name=name,
        models=tuple(models),
        seeds=tuple(seeds),
        steps=tuple(sorted(steps)),
        source=place,
        shared_start=fields.get("shared_start", False),
        reads="contexts" if reads == "contexts" else "text",
        num_tasks=num_tasks,
        tokens_per_step=tokens,
    )


def _parse(path: Path) -> dict[str, Any]:
    text = inputs.read_text(path, _MOST_BYTES, "a suite file")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib's own error is one of the ValueErrors
        raise InputError(f"{path}, which is not toml ({error})", expected="a suite file") from error


def _check_names(fields: Mapping, allowed: Sequence[str], path: Path):
    for field in fields:
        if field not in allowed:
            raise InputError.unknown(f"field in {path}", field, allowed)


def _listed(fields: Mapping, key: str, path: Path) -> list:
    values = fields.get(key)
    kind = str if key == "models" else int
    if (
        not isinstance(values, list)
        or not values
        or not all(_is_a(kind, value) for value in values)
    ):
        words = "names" if kind is str else "whole numbers, 0 or more"
        raise InputError(
            f"{key} = {inputs.shown(values)} in {path}", expected=f"a list of {words}, not empty"
        )
    if len(set(values)) != len(values):
        raise InputError(f"{key} = {inputs.shown(values)} in {path}", expected="each once")
    return values


def _is_a(kind: type, value: Any) -> bool:
    """A name, or a number that an array can hold."""
    if kind is int:
        return _NUMBER.holds(value)
    return isinstance(value, str) and bool(value) and value.isprintable()


def _check_apart(fields: Mapping, axes: Mapping[str, list], path: Path):
    """Raises InputError for a pattern that has the same place for all values of an axis."""
    named = {
        name for key in _PLACE for _, name, _, _ in string.Formatter().parse(fields.get(key, ""))
    }
    for axis, values in axes.items():
        if len(values) > 1 and axis not in named:
            raise InputError(
                f"{path} with one place for {len(values)} {axis}s",
                expected=f"a pattern with {{{axis}}}",
            )


def _place(fields: Mapping, where: Path) -> Callable[[str, int, int], Source]:
    """(model, seed, step) -> Source, by the pattern in the fields."""
    for key in _PLACE:
        inputs.check_text(fields.get(key, ""), f"{key} in {where}")
    if ("folder" in fields) == ("repo" in fields):
        got = "folder and repo" if "folder" in fields else "neither folder nor repo"
        raise InputError(
            f"{where} with {got}", expected="one of the two: a pattern of folders, or of hub ids"
        )
    root = where.parent

    def source(model: str, seed: int, step: int) -> Source:
        cell = {"model": model, "seed": seed, "step": step}
        if "folder" in fields:
            return Source(str(root / _fill(fields["folder"], cell, where)), None)
        return Source(
            _fill(fields["repo"], cell, where), _fill(fields.get("revision", "main"), cell, where)
        )

    return source


def _fill(pattern: str, cell: Mapping, where: Path) -> str:
    try:
        for _, name, width, _ in string.Formatter().parse(pattern):
            if name is not None and name not in cell:
                raise InputError.unknown(f"placeholder in {where}", name, cell)
            if width and not re.fullmatch("0[0-9]{1,2}", width):
                raise ValueError(f"the format {width!r:.40} of {name}")
        return pattern.format(**cell)
    except InputError:
        raise
    except (ValueError, IndexError) as error:
        raise InputError(
            f"the pattern {inputs.shown(pattern)} in {where} ({error})",
            expected="such as step{step}",
        ) from error


def _from_tables(path: Path, name: str, fields: Mapping) -> Suite:
    places: dict[Cell, Source] = {}
    tables = fields["checkpoint"]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(
            f"checkpoint = {inputs.shown(tables)} in {path}",
            expected="tables, each headed [[checkpoint]]",
        )
    for table in tables:
        _check_names(table, (*_CELL, *_PLACE), path)
        cell = _cell(table, path)
        if cell in places:
            raise InputError(f"{path} with {cell} twice", expected="one place for each checkpoint")
        places[cell] = _place(table, path)(*cell)
    if not places:
        raise InputError(
            f"{path} without a checkpoint", expected="at least one table [[checkpoint]]"
        )
    models, seeds, steps = (list(dict.fromkeys(axis)) for axis in zip(*places, strict=True))
    holes = [
        cell for m in models for s in seeds for t in steps if (cell := Cell(m, s, t)) not in places
    ]
    if holes:
        listing = "; ".join(map(str, holes[:5])) + ("; ..." if len(holes) > 5 else "")
        raise InputError(
            f"{path} without {listing}", expected="every seed of every model at every step"
        )
    return _suite(
        path,
        name,
        fields,
        models,
        seeds,
        steps,
        lambda model, seed, step: places[Cell(model, seed, step)],
    )


def _cell(table: Mapping, path: Path) -> Cell:
    for key, kind, words in zip(
        _CELL, (str, int, int), ("a name", *["a whole number, 0 or more"] * 2), strict=True
    ):
        if not _is_a(kind, table.get(key)):
            raise InputError(
                f"a checkpoint with {key} = {inputs.shown(table.get(key))} in {path}",
                expected=words,
            )
    return Cell(table["model"], table["seed"], table["step"])
