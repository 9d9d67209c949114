"""The suites of in-context regression that bear names: `icl-small` and `icl-paper`.

The first is trained on first use, in minutes. The second has the paper's numbers and takes days of
a CPU: `experiments.icl_regression --scale=paper` trains it part by part, and it is measured as far
as it goes.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from dynamics.cache import cache_root, locked
from dynamics.errors import InputError
from dynamics.suite import Suite, folder_tree, read
from dynamics.training import icl_regression
from dynamics.training.icl_recipe import Recipe

__all__ = ["RECIPES", "ensure", "folder_of", "suite"]

RECIPES = {
    # A rate that rises in four hundred steps: the stages come early, in the paper's order.
    "icl-small": Recipe(
        name="icl-small",
        num_steps=800,
        num_seeds=2,
        log_checkpoints=18,
        linear_checkpoints=5,
        last_checkpoint=True,
    ),
    "icl-paper": Recipe(name="icl-paper"),
}
_ON_FIRST_USE = ("icl-small",)


def folder_of(recipe: Recipe) -> Path:
    """Where a recipe's run lies, under the cache."""
    return cache_root() / f"{recipe.name}-{recipe.fingerprint()}"


def suite(name: str) -> Suite:
    """The grid of a named suite: of `icl-small` the whole, though its files may not exist yet.

    Raises InputError for one that takes long and is not begun.

    Example:
        >>> small = suite("icl-small")
        >>> small.seeds, small.steps[-1], len(small.steps)
        ((0, 1), 800, 21)
    """
    recipe = RECIPES[name]
    folder = folder_of(recipe)
    if name in _ON_FIRST_USE:
        steps, seeds = recipe.checkpoint_steps(), range(recipe.num_seeds)
        grid = folder_tree(name, folder, [recipe.name], seeds, steps)
        return dataclasses.replace(
            grid,
            reads="contexts",
            num_tasks=recipe.num_tasks,
            shared_start=recipe.shared_start,
        )
    if not (folder / "suite.toml").exists():
        raise InputError(
            f"--suite={name}, of which nothing is trained in {folder}",
            expected="a run that is begun",
            mend="Train a part of it: python -m experiments.icl_regression --scale=paper "
            "--until=50000",
        )
    return read(folder / "suite.toml")


def ensure(name: str, progress: Callable[[Recipe], Callable[[int], None]]):
    """Trains `icl-small` where a checkpoint is missing; of the others nothing.

    Several processes may call it together: one trains, the others wait. `progress(recipe)` returns
    a function that is called now and then with the step. Raises InputError as
    `icl_regression.train` does.
    """
    recipe = RECIPES[name]
    if name not in _ON_FIRST_USE or _is_whole(recipe):
        return
    folder = folder_of(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        if not _is_whole(recipe):  # another process may have been first
            icl_regression.train(recipe, folder, progress(recipe))


def _is_whole(recipe: Recipe) -> bool:
    """Is the last seed's last checkpoint there? Checkpoints are written in order, each at once."""
    last = f"seed{recipe.num_seeds - 1}/step{recipe.checkpoint_steps()[-1]}"
    return (folder_of(recipe) / recipe.name / last).exists()
