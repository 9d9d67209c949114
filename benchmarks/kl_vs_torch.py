"""Seconds and peak memory of the KL between every pair of seeds, here and in a plain torch
pipeline.

    python -m benchmarks.kl_vs_torch

A minute on 2 idle cores: five models of 14m shape, 2,048 predicted tokens, V = 50304.
`benchmarks.kl` has both sides; --js adds the Jensen-Shannon divergence to ours. Same weights,
tokens, float32 and threads.

Models at initialisation are far apart (0.4 nats); --apart=1e-3 makes the seeds one model with each
weight moved by a thousandth, where ours sums a series for every pair of every token and the peer's
digits are gone. Peak memory is that of a process for each side which loads the models from disk and
measures once.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from benchmarks import kl, pairs, setting
from dynamics import checkpoints

FLAGS = flags.FLAGS
flags.DEFINE_enum("model", "14m", list(setting.MODELS), "which shape")
flags.DEFINE_integer("models", 5, "of one shape", lower_bound=2)
flags.DEFINE_integer("pairs", 5, "timings of each side", lower_bound=1)
flags.DEFINE_integer("windows", 16, "of 128 predicted tokens", lower_bound=1)
flags.DEFINE_float("apart", 0.0, "relative distance of the seeds' weights; 0: seeds of their own")
flags.DEFINE_bool("js", False, "with the Jensen-Shannon divergence on our side")
flags.DEFINE_string("torch_device", "cpu", "of the torch side")


def compare(
    config, seeds: list, tokens: np.ndarray, count: int, js: bool = False, device: str = "cpu"
) -> pairs.Pairs:
    """`count` pairs of passes."""
    ours, build_torch = kl.sides(config, seeds, tokens, js, device)
    return pairs.interleave(ours, build_torch(), count)


_MEASURE_ONCE = """
import sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
folders = sorted(folder.glob("seed*"))
tokens = np.load(folder / "tokens.npy")
from benchmarks import kl
if sys.argv[2] == "ours":
    from dynamics import checkpoints
    models = [checkpoints.load(folder) for folder in folders]
    side = kl.ours(models[0].config, [model.params for model in models], tokens)
    del models
else:
    import transformers
    load = transformers.GPTNeoXForCausalLM.from_pretrained
    side = kl.plain_torch([load(folder, dtype="float32") for folder in folders], tokens)
side(0)
# Not getrusage: its peak is that of the parent, where that was the greater.
(peak,) = (line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(peak)
"""


def peak_memory(config, seeds: list, tokens: np.ndarray) -> dict[str, int]:
    """side -> the greatest number of bytes that its process held; needs Linux, which counts in
    KiB."""
    with tempfile.TemporaryDirectory() as folder:
        for seed, params in enumerate(seeds):
            checkpoints.save(Path(folder) / f"seed{seed}", config, params)
        np.save(Path(folder) / "tokens.npy", tokens)

        def peak_of(side: str) -> int:
            command = [sys.executable, "-c", _MEASURE_ONCE, folder, side]
            output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
            return 1024 * int(output.split()[-1])

        return {side: peak_of(side) for side in ("ours", "torch")}


def main(_):
    config = setting.MODELS[FLAGS.model]
    seeds = kl.seeds_of(config, FLAGS.models, FLAGS.apart)
    tokens = setting.tokens_of(config, FLAGS.windows, 129)
    runs = compare(config, seeds, tokens, FLAGS.pairs, FLAGS.js, FLAGS.torch_device)
    print(
        f"the first time: ours {runs.first_ours.seconds:.2f} s,"
        f" torch {runs.first_peer.seconds:.2f} s"
    )
    print(setting.machine(("jax", "torch", "transformers")))
    for name, passes in (("ours", runs.ours), ("torch", runs.peer)):
        print(f"{name}: {setting.spread([timed.seconds for timed in passes])} s")
    print(f"ratio: {setting.spread(runs.ratios())} over {len(runs.ours)} pairs")
    print(
        f"mean KL {kl.mean_kl(runs.ours[0].kl):.3g}; tokens at most"
        f" {kl.largest_difference(runs.ours, runs.peer):.1g} of it apart"
    )
    memory = peak_memory(config, seeds, tokens)
    print(
        f"peak memory: ours {memory['ours'] / 1e9:.2f} GB, torch {memory['torch'] / 1e9:.2f} GB:"
        f" {memory['ours'] / memory['torch']:.2f}"
    )


if __name__ == "__main__":
    app.run(main)
