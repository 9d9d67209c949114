"""Trains the in-context regression transformers of "Loss Landscape Degeneracy Drives Stagewise
Development in Transformers".

    python -m experiments.icl_regression --scale=small
    python -m experiments.icl_regression --scale=paper --until=50000    # and again, with more

Says what the run costs before it starts, resumes where it was killed, and prints the file of its
suite, which `development`, `llc`, `calibration`, `llc_sweeps`, `curvature` and `weights` take as
--suite. Without changed numbers that is --suite=icl-small, which they train on first use, and
--suite=icl-paper, as far as it is trained. Checkpoints go to $DYNAMICS_CACHE (~/.cache/dynamics),
or to --folder.
"""

import dataclasses
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from absl import flags

from dynamics.models import icl_regression as model
from dynamics.training import icl_recipe, icl_regression, icl_steps, icl_suites
from experiments import common, number_flags, progress

FLAGS = flags.FLAGS
flags.DEFINE_enum("scale", "small", ["small", "paper"], "a few minutes on 2 cores, or the paper's")
number_flags.whole("until", None, "stop at this step, to be gone on with; default the end")
number_flags.whole("num_seeds", None, "seeds to train at once; default the scale's", least=1)
number_flags.whole(
    "residual_scale", 1, "how often a block adds its input: 1 as in the paper's text, 2 as in its "
    "code", least=1, most=2,
)  # fmt: skip
number_flags.whole(
    "num_tasks",
    None,
    "tasks of a finite set, as in appendix D.1.1; default a new one each",
    least=1,
)
number_flags.wholes("checkpoints", None, "steps to save; default the scale's schedule")
flags.DEFINE_string("folder", None, "where to train; default under $DYNAMICS_CACHE")

# Steps of one seed a second where latency decides and not arithmetic. Assumed, not measured: a step
# is some 150 small kernels of 3 to 10 microseconds each.
_ASSUMED_STEPS_PER_SECOND = {"one GPU or TPU core, all seeds together": (700.0, 2000.0)}
_TIMED_STEPS = 8


def recipe() -> icl_recipe.Recipe:
    """The scale's recipe with what the flags change."""
    changed = {
        "num_seeds": FLAGS.num_seeds,
        "num_tasks": FLAGS.num_tasks,
        "checkpoints": None if FLAGS.checkpoints is None else tuple(FLAGS.checkpoints),
    }
    if FLAGS.residual_scale != 1:
        changed["config"] = model.Config(residual_scale=FLAGS.residual_scale)
    named = {field: value for field, value in changed.items() if value is not None}
    return dataclasses.replace(icl_suites.RECIPES[f"icl-{FLAGS.scale}"], **named)


def folder_of(run: icl_recipe.Recipe) -> Path:
    """--folder, or a place of the recipe's own under the cache."""
    return Path(FLAGS.folder) if FLAGS.folder else icl_suites.folder_of(run)


def cost(run: icl_recipe.Recipe) -> str:
    """What the whole run takes: arithmetic, this device's time by trial, others' by assumption."""
    flops, steps = run.num_flops(), run.num_steps
    seconds = _seconds_per_step(run)
    lines = [
        f"{run.name}: {run.num_seeds} seeds x {steps:,} steps, {flops:.2g} FLOP",
        f"  this {jax.devices()[0].device_kind}: {seconds * 1e3:.3g} ms a step, as timed now: "
        f"{_hours(steps * seconds)}, {flops / steps / seconds / 1e9:.3g} GFLOP/s",
    ]
    for kind, (slow, fast) in _ASSUMED_STEPS_PER_SECOND.items():
        lines.append(
            f"  {kind}: {_hours(steps / fast)} to {_hours(steps / slow)}, "
            f"assuming {slow:.0f} to {fast:.0f} steps a second"
        )
    return "\n".join(lines)


def _seconds_per_step(run: icl_recipe.Recipe) -> float:
    """Of a few steps from the start, compiled beforehand, with nothing saved."""
    start, advance = icl_steps.functions(run)
    seeds = jnp.arange(run.num_seeds)
    state = jax.block_until_ready(advance(start(seeds), seeds, 1))
    begun = time.perf_counter()
    jax.block_until_ready(advance(state, seeds, 1 + _TIMED_STEPS))
    return (time.perf_counter() - begun) / _TIMED_STEPS


def _hours(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def body():
    run = recipe()
    print(cost(run), flush=True)
    folder = folder_of(run)
    label = f"training {run.name}"
    end = run.num_steps if FLAGS.until is None else FLAGS.until
    icl_regression.train(run, folder, progress.counter(end, label), FLAGS.until)
    print(folder / "suite.toml")


if __name__ == "__main__":
    common.main(body)
