"""A grid of sampler settings at a few checkpoints: the work behind `python -m experiments.llc
--calibrate`."""

import dataclasses
import itertools
from collections.abc import Sequence

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics import slt
from dynamics.errors import ChainError, InputError
from dynamics.measures import surprisal
from dynamics.results import Unit
from dynamics.slt import language_model, stability
from experiments import common, sampling

FLAGS = flags.FLAGS
AXES = ("step_size", "nbeta", "localization")
flags.DEFINE_list(
    "step_sizes", None, "step sizes to try; default 1/4, 1, 4 and 16 times --step_size"
)
flags.DEFINE_list("nbetas", None, "values of n beta to try; default 1/10, 1 and 10 times --nbeta")
flags.DEFINE_list(
    "localizations", None, "values of gamma to try; default 1/10, 1 and 10 times --localization"
)
flags.DEFINE_integer(
    "calibrate_at", 3, "checkpoints of each model to try them at, log-spaced", lower_bound=1
)

_FACTORS = {"step_size": (0.25, 1, 4, 16), "nbeta": (0.1, 1, 10), "localization": (0.1, 1, 10)}


def experiment(context: common.Context) -> common.Experiment:
    """The grid at a few checkpoints of every model, step 0 left out: there the estimate has no
    basin to speak of."""
    config = {**sampling.config(context), **{name: list(values) for name, values in grid().items()}}
    steps = spaced([step for step in context.suite.steps if step > 0], FLAGS.calibrate_at)
    units = [
        dataclasses.replace(unit, measure="calibration")
        for unit in common.grid(context, "calibration", context.suite.seeds[:1])
        if unit.step in steps
    ]
    if not units:
        raise InputError(
            f"steps {list(context.suite.steps)}",
            expected="a checkpoint after step 0 to calibrate at",
        )
    return common.Experiment("calibration", config, units, calibrate)


def spaced(steps: Sequence[int], count: int) -> list[int]:
    """The last of the steps and `count` - 1 before it, evenly apart in the order of checkpoints."""
    places = np.linspace(0, len(steps) - 1, count + 1)[1:].round().astype(int) if steps else []
    return sorted({steps[place] for place in places})


def grid() -> dict[str, tuple[float, ...]]:
    """Name -> ascending values. Raises InputError for what is no list of positive numbers."""
    plan = sampling.sampler()
    if plan.nbeta is None:
        raise InputError("a sampler without n beta", expected="--nbeta, to be varied")
    defaults = {
        name: [getattr(plan, name) * factor for factor in factors]
        for name, factors in _FACTORS.items()
    }
    return {
        name: _numbers(name, FLAGS[f"{name}s"].value) or tuple(sorted(set(defaults[name])))
        for name in AXES
    }


def _numbers(name: str, texts: Sequence[str] | None) -> tuple[float, ...]:
    try:
        values = tuple(sorted({float(text) for text in texts or ()}))
    except ValueError:
        values = (np.nan,)
    if not all(
        np.isfinite(value) and (value > 0 or (name == "localization" and value == 0))
        for value in values
    ):
        raise InputError(
            f"--{name}s={','.join(texts or ())}", expected="positive numbers separated by commas"
        )
    return values


def calibrate(context: common.Context, unit: Unit):
    """Every setting at one checkpoint. What the stability bound condemns is not sampled."""
    loaded = context.load(*unit.cells()[0])
    params, plan, data = jax.device_put(loaded.params), sampling.sampler(), sampling.data(context)
    loss, known = (
        surprisal.loss_fn(loaded.config),
        language_model.known_options(loaded.config, FLAGS.parts),
    )
    ends = stability.measure(loss, params, data, jax.random.key(0), plan, known["mask"])
    known["top_eigenvalue"] = ends
    axes = grid()
    rows = [
        _row(
            loss,
            params,
            data,
            dataclasses.replace(plan, **dict(zip(AXES, values, strict=True))),
            known,
        )
        for values in itertools.product(*axes.values())
    ]
    shape = tuple(len(values) for values in axes.values())
    found = {name: (AXES, np.array([row[name] for row in rows]).reshape(shape)) for name in rows[0]}
    attributes = {
        "units": "losses in nats; llc dimensionless",
        "rests_on": f"{plan.num_chains} chains",
        "top_eigenvalue": ends.largest,
        "chains": plan.num_chains,
        "draws": plan.num_draws - plan.burn_in,
        "burn_in": plan.burn_in,
    }
    return xr.Dataset(
        found, coords={name: list(values) for name, values in axes.items()}, attrs=attributes
    ), [loaded.provenance]


def _row(loss, params, data, plan, known: dict) -> dict:
    """One setting: the estimate and what was found of it; of chains that cannot be or were not
    finite, only that."""
    judged = stability.assess(plan.scales(len(data)), known["top_eigenvalue"], plan.bias)
    row = dict.fromkeys(("llc", "sem", "chain_loss", "rhat", "ess", "localization_share"), np.nan)
    row |= {"eps_a": judged.step_curvature, "warnings": "", "state": "unstable"}
    try:
        found = slt.estimate_llc(loss, params, data, jax.random.key(0), plan, **known)
    except ChainError:
        return row if judged.state == "unstable" else {**row, "state": "diverged"}
    numbers = {name: getattr(found, name) for name in ("llc", "sem", "rhat", "ess")}
    verdict = found.verdict
    numbers |= {name: getattr(verdict, name) for name in ("chain_loss", "localization_share")}
    return {**row, **numbers, "state": verdict.state, "warnings": ", ".join(verdict.warnings)}
