"""Seconds and peak memory of the KL between every pair of seeds, here and in a plain torch
pipeline.

    python -m benchmarks.kl_vs_torch

A minute on 2 idle cores: five models of 14m shape, 2,048 predicted tokens, V = 50304. The peer is
what a paper's script does: a forward pass for each model, the log-softmax of all its logits, and
for each of the 20 ordered pairs the sum of p (log p - log q). Ours yields the surprisal and the
entropy of every seed in the same pass; --js adds the Jensen-Shannon divergence. Same weights,
tokens, float32 and threads.

Models at initialisation are far apart (0.4 nats); --apart=1e-3 makes the seeds one model with each
weight moved by a thousandth, where ours sums a series for every pair of every token and the peer's
digits are gone. Peak memory is that of a process for each side which loads the models from disk and
measures once.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags

from benchmarks import setting
from dynamics import checkpoints
from dynamics.measures import divergence
from dynamics.models import gpt_neox

FLAGS = flags.FLAGS
MODELS = gpt_neox.PYTHIA | {
    "tiny": gpt_neox.Config(
        hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16, vocab_size=64
    )
}
flags.DEFINE_enum("model", "14m", list(MODELS), "which shape")
flags.DEFINE_integer("models", 5, "of one shape", lower_bound=2)
flags.DEFINE_integer("pairs", 5, "timings of each side", lower_bound=1)
flags.DEFINE_integer("windows", 16, "of 128 predicted tokens", lower_bound=1)
flags.DEFINE_float("apart", 0.0, "relative distance of the seeds' weights; 0: seeds of their own")
flags.DEFINE_bool("js", False, "with the Jensen-Shannon divergence on our side")
flags.DEFINE_string("torch_device", "cpu", "of the torch side")


class Run(NamedTuple):
    seconds: float
    kl: np.ndarray  # [S,S,N]


def seeds_of(config: gpt_neox.Config, count: int, apart: float) -> list:
    """Params of `count` models."""
    if not apart:
        return [jax.tree.map(np.asarray, setting.params_of(config, seed)) for seed in range(count)]
    base = jax.tree.map(np.asarray, setting.params_of(config))

    def moved(seed: int):
        rng = np.random.default_rng(seed)
        return jax.tree.map(
            lambda p: p * (1 + apart * rng.normal(size=p.shape)).astype(np.float32), base
        )

    return [moved(seed) for seed in range(count)]


def ours(config, seeds: list, tokens: np.ndarray, js: bool = False) -> Callable[[], Run]:
    params = jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *seeds))

    def timed() -> Run:
        begun = time.perf_counter()
        found = divergence.seed_divergence(config, params, tokens, js=js, full=True)
        kl = found["kl_pairs"]
        return Run(time.perf_counter() - begun, kl.reshape(*kl.shape[:2], -1))

    return timed


def theirs(models: list, tokens: np.ndarray, device: str = "cpu") -> Callable[[], Run]:
    import torch

    models = [model.to(device).eval() for model in models]
    ids = torch.tensor(tokens[:, :-1], dtype=torch.long, device=device)

    @torch.no_grad()
    def timed() -> Run:
        begun = time.perf_counter()
        log_p = [
            torch.log_softmax(model(ids).logits.flatten(0, 1).float(), dim=-1) for model in models
        ]
        kl = torch.zeros(len(models), len(models), log_p[0].shape[0])
        for i, own in enumerate(log_p):
            p = own.exp()
            for j, other in enumerate(log_p):
                if i != j:
                    kl[i, j] = (p * (own - other)).sum(-1)
        return Run(time.perf_counter() - begun, kl.numpy())

    return timed


def compare(
    config, seeds: list, tokens: np.ndarray, pairs: int, js: bool = False, device: str = "cpu"
):
    """[(ours, theirs)] one after the other, after one of either that is not kept."""
    sides = (
        ours(config, seeds, tokens, js),
        theirs([setting.in_torch(config, p) for p in seeds], tokens, device),
    )
    for side in sides:
        print(f"the first time: {side().seconds:.2f} s")
    return [(sides[0](), sides[1]()) for _ in range(pairs)]


def disagreement(pairs: list[tuple[Run, Run]]) -> float:
    """The largest difference of a token's KL, relative to the mean KL."""
    return max(float(np.abs(mine.kl - other.kl).max()) / mean_kl(other.kl) for mine, other in pairs)


def mean_kl(kl: np.ndarray) -> float:
    """Mean over ordered pairs of different models and tokens, of [S,S,N]."""
    return float(kl.mean() * len(kl) / (len(kl) - 1))


_ALONE = """
import sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
folders = sorted(folder.glob("seed*"))
tokens = np.load(folder / "tokens.npy")
from benchmarks import kl_vs_torch
if sys.argv[2] == "ours":
    from dynamics import checkpoints
    loaded = [checkpoints.load(one) for one in folders]
    side = kl_vs_torch.ours(loaded[0].config, [one.params for one in loaded], tokens)
    del loaded
else:
    import transformers
    load = transformers.GPTNeoXForCausalLM.from_pretrained
    side = kl_vs_torch.theirs([load(one, dtype="float32") for one in folders], tokens)
side()
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

        def alone(side: str) -> int:
            command = [sys.executable, "-c", _ALONE, folder, side]
            return 1024 * int(
                subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[
                    -1
                ]
            )

        return {side: alone(side) for side in ("ours", "torch")}


def main(_):
    config = MODELS[FLAGS.model]
    seeds, tokens = (
        seeds_of(config, FLAGS.models, FLAGS.apart),
        setting.tokens_of(config, FLAGS.windows, 129),
    )
    pairs = compare(config, seeds, tokens, FLAGS.pairs, FLAGS.js, FLAGS.torch_device)
    print(setting.machine(("jax", "torch", "transformers")))
    for name, runs in zip(("ours", "torch"), zip(*pairs, strict=True), strict=True):
        print(f"{name}: {setting.spread([run.seconds for run in runs])} s")
    print(
        f"ratio: {setting.spread([y.seconds / x.seconds for x, y in pairs])} over {len(pairs)} pairs"
    )
    print(
        f"mean KL {mean_kl(pairs[0][0].kl):.3g}; tokens at most {disagreement(pairs):.1g} of it apart"
    )
    memory = peak_memory(config, seeds, tokens)
    share = memory["ours"] / memory["torch"]
    print(
        f"peak memory: ours {memory['ours'] / 1e9:.2f} GB, torch {memory['torch'] / 1e9:.2f} GB: {share:.2f}"
    )


if __name__ == "__main__":
    app.run(main)
