"""What an LLC costs for a stated knowledge of it: variance between repeats times time, here and in
devinterp 2.0.1, on a trained checkpoint.

    python -m benchmarks.llc_error_vs_devinterp
    python -m benchmarks.llc_error_vs_devinterp --repeats=3 --draws=20 --burn_in=10   # to try it

A quarter of an hour on 2 cores. Both sides sample nano-64's last checkpoint at one n beta, gamma
and epsilon, with as many chains and draws after the burn-in. devinterp runs at its defaults, and at
the best of the settings that decide its error (batch, batches for l(w*), matched batches or not),
found by a search of 8 that is printed. Its estimates are taken from its own losses after the
burn-in: its `compute_llc` averages over the burn-in too.

An estimator that takes half the time for twice the variance is as good, so the product is what two
of them compare by. Beside it stands the error that each side states: the standard error between
chains, which is to be the spread between repeats. Seconds leave out compilation and loading.
"""

import contextlib
import io
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import app, flags

from benchmarks import setting
from benchmarks.device.parts.llc_variance import interval
from benchmarks.llc_error import Estimate, line, product, search
from dynamics import checkpoints, slt
from dynamics.data import tokenizer, windows
from dynamics.measures import surprisal
from dynamics.models import gpt_neox
from dynamics.training import nano

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "nano-64", "of the nano suite")
flags.DEFINE_integer("repeats", 12, "estimates of each side", lower_bound=2)
flags.DEFINE_integer("search_repeats", 3, "estimates of each setting in the search", lower_bound=2)
flags.DEFINE_integer("chains", 4, "chains of an estimate", lower_bound=2)
flags.DEFINE_integer("draws", 100, "draws of a chain after its burn-in", lower_bound=1)
flags.DEFINE_integer("burn_in", 50, "draws before them", lower_bound=0)
flags.DEFINE_float("nbeta", 1000.0, "n beta")
flags.DEFINE_float("localization", 3000.0, "gamma")
flags.DEFINE_float("step_size", 2.5e-5, "epsilon")
flags.DEFINE_integer(
    "cpu_devices",
    0,
    "that the cores are split into for ours (0: one for each chain while they last)",
)
flags.DEFINE_integer("windows", 512, "windows of the data", lower_bound=16)
flags.DEFINE_integer("length", 128, "tokens of a window", lower_bound=2)

OUR_BATCH = 2
DEFAULTS = {"batch": 2, "init_batches": 32, "matched": True}  # devinterp's own, at our batch


class Subject(NamedTuple):
    """What is sampled around."""

    config: gpt_neox.Config
    params: Any
    tokens: np.ndarray  # [N,T]


def subject() -> Subject:
    """The last checkpoint of a model that is trained here if it is not yet."""
    suite = nano.suite("nano")
    nano.ensure("nano", (FLAGS.model,), lambda recipe: lambda done: None)
    source = suite.source(FLAGS.model, suite.seeds[0], suite.steps[-1])
    checkpoint = checkpoints.load(*source)
    text = tokenizer.encode(tokenizer.load(checkpoints.find(*source)), nano.text("nano").train())
    tokens = windows.cut(text, FLAGS.length).take(FLAGS.windows).tokens
    assert isinstance(checkpoint.config, gpt_neox.Config)
    return Subject(checkpoint.config, jax.device_put(checkpoint.params), tokens)


def ours(on: Subject) -> Callable[[int], Estimate]:
    """seed -> an estimate at our defaults."""
    sampler = slt.SGLD(
        step_size=FLAGS.step_size,
        nbeta=FLAGS.nbeta,
        localization=FLAGS.localization,
        num_chains=FLAGS.chains,
        num_draws=FLAGS.burn_in + FLAGS.draws,
        burn_in=FLAGS.burn_in,
        batch_size=OUR_BATCH,
    )
    loss = surprisal.loss_fn(on.config)

    def estimate(seed: int) -> Estimate:
        start = time.perf_counter()
        run = slt.estimate_llc(
            loss, on.params, on.tokens, jax.random.key(seed), sampler, top_eigenvalue=None
        )
        return Estimate(run.llc, run.sem, time.perf_counter() - start)

    return estimate


def devinterp(on: Subject) -> Callable[..., Estimate]:
    """(seed, batch, init_batches, matched) -> an estimate of devinterp."""
    import datasets
    from devinterp.slt import sampling

    model = setting.in_torch(on.config, on.params)
    data = datasets.Dataset.from_dict({"input_ids": on.tokens.tolist()})
    data.set_format(type="torch", columns=["input_ids"])

    def estimate(seed: int, batch: int, init_batches: int, matched: bool) -> Estimate:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            samples = sampling.sample(
                model,
                data,
                observables={},
                lr=FLAGS.step_size,
                n_beta=FLAGS.nbeta,
                localization=FLAGS.localization,
                num_chains=FLAGS.chains,
                num_draws=FLAGS.burn_in + FLAGS.draws,
                batch_size=batch,
                num_init_loss_batches=init_batches,
                init_seed=1000 * (seed + 1),
                match_sampling_input_ids_across_chains=matched,
                device="cpu",
                output_path=Path(folder) / "samples.zarr",
            ).dataset.load()
            seconds = time.perf_counter() - start
        losses = samples.sampling_loss_micro.mean(dim=["batch_sampling", "token_pos"]).values
        excess = losses[:, FLAGS.burn_in :].mean(1) - float(samples.init_loss.values.mean())
        per_chain = FLAGS.nbeta * excess
        stated = float(per_chain.std(ddof=1) / len(per_chain) ** 0.5)
        return Estimate(float(per_chain.mean()), stated, seconds)

    return estimate


def main(_):
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    jax.config.update(
        "jax_num_cpu_devices", FLAGS.cpu_devices or min(FLAGS.chains, os.cpu_count() or 1)
    )
    on = subject()
    mine, peer = ours(on), devinterp(on)
    print(setting.machine(("jax", "torch", "devinterp", "transformers")))
    for warm_up in (mine, lambda seed: peer(seed, **DEFAULTS)):
        warm_up(0)
    best = search(peer, FLAGS.windows, FLAGS.search_repeats)
    sides: dict[str, list[Estimate]] = {"ours": [], "defaults": [], "best": []}
    for repeat in range(
        1, FLAGS.repeats + 1
    ):  # in turn: what else the machine does meets all alike
        sides["ours"].append(mine(repeat))
        sides["defaults"].append(peer(100 + repeat, **DEFAULTS))
        sides["best"].append(peer(200 + repeat, **best))
    print(line("ours", sides["ours"]))
    print(line(f"devinterp at its defaults, {DEFAULTS}", sides["defaults"]))
    print(line(f"devinterp at its best, {best}", sides["best"]))
    for name in ("defaults", "best"):
        ratio = product(sides[name]) / product(sides["ours"])
        low, high = interval(ratio, FLAGS.repeats)
        print(
            f"variance x time, devinterp at its {name} over ours: {ratio:.3g}, 90 % interval"
            f" {low:.3g} to {high:.3g}"
        )


if __name__ == "__main__":
    app.run(main)
