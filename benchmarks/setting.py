"""What every benchmark states and shares: the machine, the versions, the commit, the shapes, and a
model on both sides."""

import importlib.metadata
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import jax
import numpy as np

from dynamics import checkpoints, models
from dynamics.models import gpt_neox

MODELS: dict[str, gpt_neox.Config] = {
    **gpt_neox.PYTHIA,
    "50k": gpt_neox.Config(
        hidden_size=32, num_layers=2, num_heads=4, intermediate_size=128, vocab_size=400
    ),
    "tiny": gpt_neox.Config(
        hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16, vocab_size=64
    ),
}


def params_of(config: gpt_neox.Config, seed: int = 0):
    """An untrained model's params."""
    return models.init(jax.random.key(seed), config)


def tokens_of(config: gpt_neox.Config, windows: int, length: int) -> np.ndarray:
    """[windows, length] random ids; the time of a step does not depend on them."""
    return (
        np.random.default_rng(0).integers(0, config.vocab_size, (windows, length)).astype(np.int32)
    )


def in_torch(config: gpt_neox.Config, params, attention: str = "sdpa"):
    """The same weights in transformers' GPTNeoXForCausalLM, by way of a folder that both read.

    `attention` is its implementation: "sdpa" is its default, "eager" the only one that can be
    differentiated twice.
    """
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        saved = checkpoints.save(Path(folder) / "model", config, jax.tree.map(np.asarray, params))
        return transformers.GPTNeoXForCausalLM.from_pretrained(
            saved, dtype="float32", attn_implementation=attention
        )


def synchronize(device: str):
    """Waits for what torch has queued on `device`; on a CPU nothing is queued."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def machine(packages: Sequence[str]) -> str:
    """One line: processor, threads, device, versions, commit."""
    installed = " ".join(f"{name} {version}" for name, version in versions(packages).items())
    return (
        f"{processor()}, {_threads()} threads, {jax.devices()[0].device_kind}; {installed};"
        f" commit {commit()}"
    )


def versions(packages: Iterable[str]) -> dict[str, str]:
    """package -> its installed version, or "missing"."""

    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return "missing"

    return {name: version(name) for name in packages}


def processor() -> str:
    """The CPU's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def commit() -> str:
    """The checkout's commit, with a "+" where tracked files differ from it.

    Where git knows none, as in a copy of the files: DYNAMICS_COMMIT of the environment, or
    "unknown".
    """

    def git(*words: str) -> str:
        command = ["git", *words]
        try:
            return subprocess.run(
                command, capture_output=True, text=True, cwd=Path(__file__).parent
            ).stdout.strip()
        except FileNotFoundError:
            return ""

    head = git("rev-parse", "--short", "HEAD")
    if not head:
        return os.environ.get("DYNAMICS_COMMIT", "unknown")
    return head + ("+" if git("status", "--porcelain", "-uno") else "")


def spread(values: Sequence[float]) -> str:
    """ "median [least, most]" of values."""
    return f"{np.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"
