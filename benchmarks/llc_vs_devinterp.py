"""Seconds per SGLD step here and in devinterp 2.0.1: same weights, batches, float32, threads and
step.

    python -m benchmarks.llc_vs_devinterp --case=14m
    python -m benchmarks.llc_vs_devinterp --case=small

A few minutes each on 2 cores. Expect a ratio of at least 2 for 14m (one chain) and 3 for small
(four chains).

Both sides move w by -(eps/2) [n beta grad l + gamma (w - w*)] + N(0, eps) (theirs is their default,
SGMCMC.sgld with lr = eps). The data are as many windows as a batch has, so that every step of both
sees the same batch, and the loss is compared with l(w*) on it; neither side then makes a second
forward pass. `--drawn` draws batches from 8 times as many windows instead, with our default
baseline, "same_batch", which costs us one more forward pass per step and them none.

A pair is one run of each, one after the other. Ours is timed between the ends of segments, theirs
between calls of the loss, so that neither has its start-up in it: compilation, data, deep copies.
Estimates are compared over the pairs, whose chains are independent, within four standard errors.

On a CPU our chains are spread over devices of a core each, which share the two threads: small
products do not fill two threads, two chains do. `--cpu_devices=1` is JAX's own default.

On an accelerator: `--torch_device=cuda` moves the torch side there; ours runs where JAX does. The
cases of interest there are `--case=small --chains=10` and `--case=70m`.
"""

import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags

from benchmarks import setting
from dynamics import slt
from dynamics.measures import surprisal
from dynamics.models import gpt_neox

FLAGS = flags.FLAGS
SMALL = gpt_neox.Config(
    hidden_size=32, num_layers=2, num_heads=4, intermediate_size=128, vocab_size=400
)
TINY = gpt_neox.Config(
    hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16, vocab_size=64
)
SEGMENTS = 4


class Case(NamedTuple):
    config: gpt_neox.Config
    windows: int  # of a batch
    length: int  # tokens of a window
    chains: int
    draws: int
    step_size: float
    localization: float


CASES = {
    "14m": Case(gpt_neox.PYTHIA["14m"], 8, 128, 1, 16, 3e-5, 100.0),
    "70m": Case(gpt_neox.PYTHIA["70m"], 8, 128, 1, 16, 3e-5, 100.0),
    "small": Case(SMALL, 8, 64, 4, 100, 1e-4, 100.0),
    "tiny": Case(TINY, 4, 16, 4, 40, 1e-3, 100.0),
}
flags.DEFINE_enum("case", "14m", list(CASES), "which model")
flags.DEFINE_integer("pairs", 5, "runs of each side", lower_bound=2)
flags.DEFINE_integer("draws", 0, "steps of a chain (0: the case's own)", lower_bound=0)
flags.DEFINE_integer("chains", 0, "chains (0: the case's own)", lower_bound=0)
flags.DEFINE_integer(
    "chain_batch", 0, "our chains at once (0: the library's own choice)", lower_bound=0
)
flags.DEFINE_integer(
    "cpu_devices",
    0,
    "that the cores are split into for ours (0: one for each chain, while they last)",
)
flags.DEFINE_bool("drawn", False, "draw batches, and take our default baseline")
flags.DEFINE_string("torch_device", "cpu", "of the torch side")


class Timed(NamedTuple):
    per_step: float  # seconds, all chains together
    llc: float
    start: float  # seconds before steps go at that pace


def ours(case: Case, params, tokens, seed: int, drawn: bool, chain_batch: int | None) -> Timed:
    """One estimate, timed between the ends of its segments."""
    sampler = slt.SGLD(
        step_size=case.step_size,
        localization=case.localization,
        num_chains=case.chains,
        num_draws=case.draws,
        batch_size=case.windows,
        baseline="same_batch" if drawn else "fixed",
        chain_batch=chain_batch,
        segment=case.draws // SEGMENTS,
    )
    marks = [time.perf_counter()]
    key = jax.random.key(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = slt.estimate_llc(
            surprisal.loss_fn(case.config),
            params,
            tokens,
            key,
            sampler,
            progress=lambda done, total: marks.append(time.perf_counter()),
        )
    steady = (marks[-1] - marks[1]) / (len(marks) - 2)
    return Timed(steady / (case.draws // SEGMENTS), found.llc, marks[1] - marks[0] - steady)


def theirs(case: Case, model, tokens, seed: int, device: str = "cpu") -> Timed:
    """One `sample` and `compute_llc` of devinterp, timed between the losses of a chain."""
    import datasets
    from devinterp.slt import llc, lm_loss, sampling

    calls: list[float] = []

    def loss(model, input_ids):
        calls.append(time.perf_counter())
        return lm_loss.compute_per_token_loss(model, input_ids)

    data = datasets.Dataset.from_dict({"input_ids": tokens.tolist()})
    data.set_format(type="torch", columns=["input_ids"])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = time.perf_counter()
        samples = sampling.sample(
            model,
            data,
            observables={},
            lr=case.step_size,
            n_beta=case.windows / np.log(case.windows),
            localization=case.localization,
            num_chains=case.chains,
            num_draws=case.draws,
            batch_size=case.windows,
            num_init_loss_batches=max(1, len(tokens) // case.windows),
            init_seed=seed,
            match_sampling_input_ids_across_chains=False,
            device=device,
            output_path=Path(folder) / "samples.zarr",
            loss_fn=loss,
        )
        whole = time.perf_counter() - begun
        found = float(llc.compute_llc(samples).llc_mean)
    per_chain = np.reshape(calls[-case.chains * case.draws :], (case.chains, case.draws))
    per_step = float((per_chain[:, -1] - per_chain[:, 0]).sum()) / (case.draws - 1)
    return Timed(per_step, found, whole - per_step * case.draws)


def disagreement(one, other) -> float:
    """How many standard errors two sets of independent estimates lie apart."""
    error = np.hypot(np.std(one, ddof=1), np.std(other, ddof=1)) / np.sqrt(len(one))
    return float(abs(np.mean(one) - np.mean(other)) / error)


def compare(
    case: Case, pairs: int, drawn: bool = False, chain_batch: int | None = None, device: str = "cpu"
) -> tuple[list[Timed], list[Timed]]:
    """Pairs of runs, interleaved, after one of ours that compiles and one of theirs that warms
    up."""
    params = setting.params_of(case.config)
    tokens = setting.tokens_of(case.config, case.windows * (8 if drawn else 1), case.length)
    model = setting.in_torch(case.config, params)
    mine, other = [], []
    for seed in range(pairs + 1):
        mine.append(ours(case, params, tokens, seed, drawn, chain_batch))
        other.append(
            theirs(case, model, tokens, seed * case.chains, device)
        )  # their chains take seeds from here on
        print(
            f"pair {seed}: {mine[-1].per_step:.4g} s a step and {other[-1].per_step:.4g} s",
            flush=True,
        )
    print(
        f"before the first steady step: ours {mine[0].start:.1f} s, theirs {other[0].start:.1f} s"
    )
    return mine[1:], other[1:]


def main(_):
    logging.disable(logging.WARNING)
    case = CASES[FLAGS.case]
    case = case._replace(draws=FLAGS.draws or case.draws, chains=FLAGS.chains or case.chains)
    jax.config.update(
        "jax_num_cpu_devices", FLAGS.cpu_devices or min(case.chains, os.cpu_count() or 1)
    )
    mine, other = compare(
        case, FLAGS.pairs, FLAGS.drawn, FLAGS.chain_batch or None, FLAGS.torch_device
    )
    ratios = [y.per_step / x.per_step for x, y in zip(mine, other, strict=True)]
    print(setting.machine(("jax", "torch", "devinterp", "transformers")))
    size = f"{case.chains} chains x {case.draws} draws, {case.windows} x {case.length} tokens"
    print(f"{FLAGS.case}, {size}, ours on {jax.device_count()} devices")
    for name, runs in (("ours", mine), ("devinterp", other)):
        llcs = [run.llc for run in runs]
        error = np.std(llcs, ddof=1) / np.sqrt(len(llcs))
        print(
            f"{name}: {setting.spread([run.per_step for run in runs])} s a step, LLC {np.mean(llcs):.5g} +- {error:.2g}"
        )
    apart = disagreement([run.llc for run in mine], [run.llc for run in other])
    print(
        f"ratio: {setting.spread(ratios)} over {len(ratios)} pairs; estimates {apart:.1f} standard errors apart"
    )


if __name__ == "__main__":
    app.run(main)
