"""Seeds of one model side by side: whether they can be compared, and their params as one tree."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from dynamics import checkpoints
from dynamics.errors import InputError
from dynamics.results import Unit


def check(unit: Unit, loaded: Sequence[checkpoints.Checkpoint]):
    """Raises InputError unless the unit's seeds are of one architecture."""
    for seed, checkpoint in zip(unit.seeds, loaded, strict=True):
        first, other = dataclasses.asdict(loaded[0].config), dataclasses.asdict(checkpoint.config)
        unlike = [
            f"{name} {first[name]!r} and {other[name]!r}"
            for name in first
            if first[name] != other.get(name)
        ]
        if unlike:
            raise InputError(
                f"{unit.model} with seeds {unit.seeds[0]} and {seed} of different architecture ({', '.join(unlike)})",
                expected="one architecture and vocabulary per comparison",
                mend="Leave one out with --seeds (`python -m experiments.audit` shows which differ), or compare models "
                "of different tokenizers byte by byte: python -m experiments.convergence --bytes.",
            )
        if _tokenizer(checkpoint) != _tokenizer(loaded[0]):
            raise InputError(
                f"{unit.model} with seeds {unit.seeds[0]} and {seed} of different tokenizers",
                expected="one vocabulary per comparison, whose ids mean the same",
                mend="Compare them byte by byte: python -m experiments.convergence --bytes.",
            )


def _tokenizer(checkpoint: checkpoints.Checkpoint) -> bytes:
    """Its file, where there is one."""
    path = Path(checkpoint.provenance.get("folder", "")) / "tokenizer.json"
    return path.read_bytes() if path.is_file() else b""


def stack(trees: Sequence):
    """Params of several seeds to one tree with a leading S."""
    shapes = [jax.tree.map(np.shape, tree) for tree in trees]
    if any(shape != shapes[0] for shape in shapes):
        raise InputError(
            "seeds of different shapes", expected="one architecture and vocabulary per comparison"
        )
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
