"""Seconds per SGLD step here and in devinterp 2.0.1: same weights, batches, float32, threads and
step.

    python -m benchmarks.llc_vs_devinterp --case=14m
    python -m benchmarks.llc_vs_devinterp --case=small

A few minutes each on 2 cores. Expect a ratio of at least 2 for 14m (one chain) and 3 for small
(four chains).

`benchmarks.llc` has both sides. A pair is one run of each, one after the other. Ours is timed
between the ends of segments, theirs between calls of the loss, so that neither has its start-up in
it: compilation, data, deep copies. Estimates are compared over the pairs, whose chains are
independent, within four standard errors. `--drawn` draws batches from 8 times as many windows, with
our default baseline, "same_batch", which costs us one more forward pass per step and them none.

On a CPU our chains are spread over devices of a core each, which share the two threads: small
products do not fill two threads, two chains do. `--cpu_devices=1` is JAX's own default.
"""

import logging
import os

import jax
import numpy as np
from absl import app, flags

from benchmarks import llc, pairs, setting

FLAGS = flags.FLAGS
CASES = {
    "14m": llc.Case(setting.MODELS["14m"], 8, 128, 1, 16, 3e-5, 100.0),
    "70m": llc.Case(setting.MODELS["70m"], 8, 128, 1, 16, 3e-5, 100.0),
    "small": llc.Case(setting.MODELS["50k"], 8, 64, 4, 100, 1e-4, 100.0),
    "tiny": llc.Case(setting.MODELS["tiny"], 4, 16, 4, 40, 1e-3, 100.0),
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


def compare(
    case: llc.Case,
    count: int,
    drawn: bool = False,
    chain_batch: int | None = None,
    device: str = "cpu",
) -> pairs.Pairs:
    """`count` pairs of estimates."""
    ours, build_devinterp = llc.sides(case, drawn, chain_batch, device)
    return pairs.interleave(ours, build_devinterp(), count)


def main(_):
    logging.disable(logging.WARNING)
    case = CASES[FLAGS.case]
    case = case._replace(draws=FLAGS.draws or case.draws, chains=FLAGS.chains or case.chains)
    jax.config.update(
        "jax_num_cpu_devices", FLAGS.cpu_devices or min(case.chains, os.cpu_count() or 1)
    )
    runs = compare(case, FLAGS.pairs, FLAGS.drawn, FLAGS.chain_batch or None, FLAGS.torch_device)
    print(
        f"before the first steady step: ours {runs.first_ours.start:.1f} s,"
        f" theirs {runs.first_peer.start:.1f} s"
    )
    print(setting.machine(("jax", "torch", "devinterp", "transformers")))
    size = f"{case.chains} chains x {case.draws} draws, {case.windows} x {case.length} tokens"
    print(f"{FLAGS.case}, {size}, ours on {jax.device_count()} devices")
    for name, estimates in (("ours", runs.ours), ("devinterp", runs.peer)):
        llcs = [estimate.llc for estimate in estimates]
        error = np.std(llcs, ddof=1) / np.sqrt(len(llcs))
        seconds = setting.spread([estimate.seconds for estimate in estimates])
        print(f"{name}: {seconds} s a step, LLC {np.mean(llcs):.5g} +- {error:.2g}")
    errors = pairs.standard_errors_apart(
        [estimate.llc for estimate in runs.ours], [estimate.llc for estimate in runs.peer]
    )
    print(
        f"ratio: {setting.spread(runs.ratios())} over {len(runs.ours)} pairs; estimates"
        f" {errors:.1f} standard errors apart"
    )


if __name__ == "__main__":
    app.run(main)
