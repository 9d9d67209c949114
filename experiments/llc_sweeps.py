"""What an LLC estimate depends on beside its settings: data, batches, noise, and which loss is
sampled.

    python -m experiments.llc_sweeps --suite=nano --models=nano-64

Appendix A of "Loss Landscape Degeneracy and Stagewise Development in Transformers" on any suite:
size of the data set (Fig. A.1), size of the batch with the loss taken on the step's batch and on a
fresh one (A.2), noise common to all checkpoints or each its own (A.3), loss- against
likelihood-based estimates (A.6). Every size is a program of its own: most of the minutes go into
compiling.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics import slt
from dynamics.errors import ChainError, InputError
from dynamics.measures import prefix, surprisal
from experiments import calibration, common, sampling

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "data_sizes",
    None,
    "sizes of the data set, in windows; default 1/64, 1/8 and 1 of --llc_windows",
)
flags.DEFINE_list(
    "batch_sizes", None, "sizes of a batch, in windows; default 1, 2 and 4 times --llc_batch"
)
flags.DEFINE_integer(
    "sweep_at", 3, "checkpoints of each model to try them at, log-spaced", lower_bound=1
)

BASELINES = ("same_batch", "fresh_batch")
_POSITIONS = 16  # predictions taken of each window by the likelihood: with one, chains would fit so small a data set
_WIDER = 8  # times as many predictions as windows in a batch: each says less


def experiments(context: common.Context) -> list[common.Experiment]:
    """Sweeps at a few checkpoints, and the curve with and without common noise at all of them."""
    config = {**sampling.config(context), "data_sizes": data_sizes(), "batch_sizes": batch_sizes()}
    steps = calibration.spaced([step for step in context.suite.steps if step > 0], FLAGS.sweep_at)
    seeds = context.suite.seeds[:1]
    few = [unit for unit in common.grid(context, "llc_sweeps", seeds) if unit.step in steps]
    return [
        common.Experiment("llc_sweeps", config, few, sweep),
        common.Experiment(
            "llc_noise", sampling.config(context), common.grid(context, "llc_noise", seeds), noise
        ),
    ]


def data_sizes() -> list[int]:
    whole, batch = FLAGS.llc_windows, sampling.sampler().batch_size or 1
    return _sizes("data_sizes") or sorted({max(whole // part, batch) for part in (64, 8, 1)})


def batch_sizes() -> list[int]:
    batch = sampling.sampler().batch_size
    if batch is None:
        raise InputError("a sampler of whole data", expected="minibatches, to be varied")
    return _sizes("batch_sizes") or sorted(
        {min(batch * factor, FLAGS.llc_windows) for factor in (1, 2, 4)}
    )


def _sizes(flag: str) -> list[int]:
    texts = FLAGS[flag].value or []
    if not all(text.isdecimal() and 0 < int(text) <= FLAGS.llc_windows for text in texts):
        raise InputError(
            f"--{flag}={','.join(texts)}",
            expected=f"whole numbers from 1 to --llc_windows={FLAGS.llc_windows}",
        )
    return sorted({int(text) for text in texts})


def sweep(context: common.Context, unit):
    """Estimates at one checkpoint, one thing varied at a time; NaN where chains went non-finite."""
    loaded = context.load(unit.model, unit.seeds[0], unit.step)
    params, plan, data = jax.device_put(loaded.params), sampling.sampler(), sampling.data(context)
    if max(data_sizes()) > len(data):
        raise InputError(
            f"data_sizes={data_sizes()}",
            expected=f"at most the {len(data)} windows that the corpus has",
        )
    loss = surprisal.loss_fn(loaded.config)
    estimate = _estimator(loaded.config, params)

    def at(plan=plan, data: Any = data, loss=loss):
        return estimate(loss, data, jax.random.key(0), plan)

    plain = at()  # a member of every sweep

    def with_batch(size, name):
        changed = dataclasses.replace(plan, batch_size=size, baseline=name)
        return plain if changed == plan else at(changed)

    sizes = [plain if size == len(data) else at(data=data[:size]) for size in data_sizes()]
    batches = [[with_batch(size, name) for size in batch_sizes()] for name in BASELINES]
    predictions = prefix.draw(jax.random.key(2), np.repeat(data, _POSITIONS, axis=0))
    wider = dataclasses.replace(plan, batch_size=_WIDER * (plan.batch_size or 1))
    kinds = [plain, at(wider, predictions, prefix.loss_fn(loaded.config))]
    found = {
        **_pair("by_data_size", ("data_size",), sizes),
        **_pair("by_batch", ("baseline", "batch_size"), batches),
        **_running(kinds, plan),
    }
    coordinates = {
        "data_size": data_sizes(),
        "batch_size": batch_sizes(),
        "baseline": list(BASELINES),
    }
    coordinates["kind"] = ["loss", "likelihood"]
    return xr.Dataset(found, coordinates, _attributes(plan)), [loaded.provenance]


def noise(context: common.Context, unit):
    """The estimate with the noise and batches of all checkpoints, and with its own."""
    loaded = context.load(unit.model, unit.seeds[0], unit.step)
    params, plan, data = jax.device_put(loaded.params), sampling.sampler(), sampling.data(context)
    estimate = _estimator(loaded.config, params)
    keys = jax.random.key(0), jax.random.fold_in(jax.random.key(0), unit.step)
    loss = surprisal.loss_fn(loaded.config)
    found = [estimate(loss, data, key, plan) for key in keys]
    data = _pair("by_noise", ("noise",), found)
    return xr.Dataset(data, {"noise": ["common", "own"]}, _attributes(plan)), [loaded.provenance]


def _estimator(config, params):
    """(loss, data, key, sampler) -> the estimate, or None where chains went non-finite.

    Without a stability bound: what varies here hardly moves it, and calibration is about it.
    """
    mask, trivial_loss = slt.part_mask(config, FLAGS.parts), slt.trivial_loss(config)

    def estimate(loss, data, key, sampler: slt.Sampler) -> slt.LLCEstimate | None:
        try:
            return slt.estimate_llc(
                loss,
                params,
                data,
                key,
                sampler,
                mask=mask,
                trivial_loss=trivial_loss,
                on_unstable="report",
            )
        except ChainError:
            return None

    return estimate


def _attributes(plan) -> dict:
    return {
        "units": "llc dimensionless",
        "rests_on": f"{plan.num_chains} chains",
        "nbeta": plan.nbeta or np.nan,
    }


def _pair(name: str, dims: tuple[str, ...], estimates) -> dict:
    """llc_NAME and sem_NAME of a nested list of estimates."""

    def numbers(field, nested):
        if isinstance(nested, list):
            return [numbers(field, one) for one in nested]
        return np.nan if nested is None else getattr(nested, field)

    return {
        f"{field}_{name}": (dims, np.array(numbers(field, estimates))) for field in ("llc", "sem")
    }


def _running(estimates, plan) -> dict:
    """Mean over chains of the running estimate (eq. 12) after the burn-in, and its standard
    error."""
    empty = np.full((plan.num_chains, plan.num_draws - plan.burn_in), np.nan)
    traces = np.stack([empty if one is None else one.llc_trace for one in estimates])  # [2,C,draws]
    sem = traces.std(1, ddof=1) / plan.num_chains**0.5
    return {"running": (("kind", "draw"), traces.mean(1)), "running_sem": (("kind", "draw"), sem)}


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
