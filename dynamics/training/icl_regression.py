"""Trains the in-context regression transformer: fresh contexts at every step, many seeds at once.

Source: Hoogland et al. 2024, appendix F.2.3: Adam, 256 fresh contexts a step, 500,000 steps, a rate
that rises in a line to .003 at half way and falls back. `icl_recipe` has the numbers, and where
paper and published code disagree; `icl_steps` the steps. All steps between two saves are one
program, and batches hang on (seed, step) alone, so a run that was killed goes on to the same bits.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import checkpoints
from dynamics.errors import InputError
from dynamics.files import write_atomically
from dynamics.measures import finite
from dynamics.training import icl_steps
from dynamics.training.icl_recipe import Recipe
from dynamics.training.icl_steps import TrainState
from dynamics.training.state_files import written

STEPS_PER_DISPATCH = 200  # at most; between two of them a signal is heard
_SAVE_EVERY = 1000  # steps; a kill loses at most these


def train(
    recipe: Recipe,
    folder: Path,
    progress: Callable[[int], None] = lambda step: None,
    until: int | None = None,
) -> tuple[int, ...]:
    """Trains every seed; checkpoints go to folder/NAME/seed{k}/step{n}. Returns the saved steps.

    It goes on from folder/state, where its own state is saved. Beside the checkpoints lies
    suite.toml, which experiments take as --suite.

    Args:
        recipe: what is trained, and how.
        folder: of this run.
        progress: called as progress(step), a few times a second at most.
        until: stop there, to be gone on with later; None is the end of the run.

    Raises:
        InputError: a folder whose run has another recipe; a step at which a seed's loss is not
            finite, before which everything that was saved stays; `until` beyond the run; a
            checkpoint or the state that cannot be written.
    """
    import orbax.checkpoint as ocp

    end = recipe.num_steps if until is None else until
    if not 0 <= end <= recipe.num_steps:
        raise InputError(
            f"training until step {end}", expected=f"a step from 0 to {recipe.num_steps}"
        )
    _check_recipe(recipe, folder)
    start, advance = icl_steps.functions(recipe)
    seeds, due = jnp.arange(recipe.num_seeds), set(recipe.checkpoint_steps())
    state = start(seeds)
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    with ocp.CheckpointManager((folder / "state").absolute(), options=options) as manager:
        if (latest := manager.latest_step()) is not None:
            state = manager.restore(latest, args=ocp.args.StandardRestore(state))
        for step in _stops(recipe, int(state.step), end):
            state = advance(state, seeds, step)
            _check_finite(recipe, state, folder)
            if step in due:
                _save_seeds(recipe, state, folder)
                _write_suite(recipe, folder, step)
            # After the weights of the same step, so that what is restored has none to write.
            late = step in due and step >= _SAVE_EVERY
            if (late or step % _SAVE_EVERY == 0 or step == end) and step != latest:
                with written(folder / "state", state):
                    manager.save(step, args=ocp.args.StandardSave(state))
            progress(step)
    return tuple(step for step in recipe.checkpoint_steps() if step <= int(state.step))


def _stops(recipe: Recipe, start: int, end: int) -> Iterator[int]:
    """Where a dispatch ends: at checkpoints, where the state is saved, and often enough."""
    due = {*recipe.checkpoint_steps(), *range(0, end, _SAVE_EVERY), end}
    step = start
    yield step
    for target in sorted(stop for stop in due if start < stop <= end):
        while step < target:
            step = min(step + STEPS_PER_DISPATCH, target)
            yield step


def _check_recipe(recipe: Recipe, folder: Path):
    """Writes the recipe into a new folder. Raises InputError where another lies there."""
    path = folder / "recipe.json"
    if not path.exists():
        write_atomically(path, recipe.to_json() + "\n")
    saved, now = json.loads(path.read_text()), json.loads(recipe.to_json())
    differing = [
        f"{name} {saved.get(name)!r} there and {now.get(name)!r} here"
        for name in sorted(saved.keys() | now.keys())
        if saved.get(name) != now.get(name)
    ]
    if differing:
        raise InputError(
            f"{path} with {', '.join(differing)}",
            expected="the configuration that the run was begun with",
            mend="Go on with that one, or train into another folder.",
        )


def _check_finite(recipe: Recipe, state: TrainState, folder: Path):
    """Raises InputError, which says the step, where a loss is not finite."""
    if not bool(state.finite):
        bad = [str(seed) for seed in np.flatnonzero(~np.isfinite(np.asarray(state.loss)))]
        raise InputError(
            f"a loss of {recipe.name} that is not finite at step {int(state.step)}, "
            f"seed {', '.join(bad)}",
            expected="finite losses",
            mend=f"Lower peak_rate; the checkpoints before that step are in {folder}.",
        )


def _save_seeds(recipe: Recipe, state: TrainState, folder: Path):
    params = jax.device_get(state.params)
    finite.check(
        f"params of {recipe.name} at step {int(state.step)}",
        params,
        expected="finite weights",
        mend=f"Lower peak_rate; the checkpoints before that step are in {folder}.",
    )
    for seed in range(recipe.num_seeds):
        target = folder / recipe.name / f"seed{seed}" / f"step{int(state.step)}"
        if not target.exists():
            own = jax.tree.map(lambda leaf, k=seed: leaf[k], params)
            checkpoints.save(target, recipe.config, own)


def _write_suite(recipe: Recipe, folder: Path, done: int):
    """Writes suite.toml for the checkpoints that are there, those to step `done`."""
    lines = [
        f'name = "{recipe.name}"',
        f'models = ["{recipe.name}"]',
        f"seeds = {list(range(recipe.num_seeds))}",
        f"steps = {[step for step in recipe.checkpoint_steps() if step <= done]}",
        'folder = "{model}/seed{seed}/step{step}"',
        f"shared_start = {str(recipe.shared_start).lower()}",
        'reads = "contexts"',
    ]
    if recipe.num_tasks is not None:
        lines.append(f"num_tasks = {recipe.num_tasks}")
    write_atomically(folder / "suite.toml", "\n".join(lines) + "\n")
