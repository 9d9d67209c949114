"""What every benchmark states and shares: the machine, the versions, the commit, and one model on
both sides."""

import importlib.metadata
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from dynamics import checkpoints, models
from dynamics.models import gpt_neox


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

    `attention` is its implementation: "sdpa" is its default, "eager" the one that can be
    differentiated twice.
    """
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        saved = checkpoints.save(Path(folder) / "model", config, jax.tree.map(np.asarray, params))
        return transformers.GPTNeoXForCausalLM.from_pretrained(
            saved, dtype="float32", attn_implementation=attention
        )


def machine(packages: Sequence[str]) -> str:
    """One line: processor, threads, versions, commit."""
    versions = " ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return f"{_processor()}, {_threads()} threads, {jax.devices()[0].device_kind}; {versions}; commit {_commit()}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], capture_output=True, text=True, cwd=Path(__file__).parent
        ).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + (
        "+" if git("status", "--porcelain", "-uno") else ""
    )


def spread(values: Sequence[float]) -> str:
    """ "median [least, most]" of values."""
    return f"{np.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"
