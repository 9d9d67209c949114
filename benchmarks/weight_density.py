"""The density of one float16 tensor over checkpoints, against NumPy that only reads and sums it.

Axes: K checkpoints, V rows, D columns, N bins. Three passes over the same files, each of which
opens every checkpoint and reads the tensor from it: ours counts bit patterns and places the bins
afterwards, `total` is the sum that no reader can do without, `numpy_histogram` is np.histogram
with the bins given.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy

from dynamics.checkpoints.formats import TensorFolder
from dynamics.measures import weights

NAME = "embed_out.weight"
BINS = 256


@dataclasses.dataclass(frozen=True)
class Timed:
    """One pass over all checkpoints."""

    seconds: float
    result: list  # of each checkpoint


def write(root: Path, checkpoints: int, shape: tuple[int, int]) -> list[Path]:
    """Folders with a float16 tensor of normal weights that grow wider, and another as large."""
    folders = []
    for k in range(checkpoints):
        folder = root / f"step{k}"
        folder.mkdir(parents=True)
        width = 0.02 * (1 + k / checkpoints)
        rng = np.random.default_rng(k)
        drawn = {
            name: (width * rng.standard_normal(shape, np.float32)).astype(np.float16)
            for name in (NAME, "gpt_neox.embed_in.weight")
        }
        safetensors.numpy.save_file(drawn, folder / "model.safetensors")
        folders.append(folder)
    return folders


def ours(folders: Sequence[Path]) -> Callable[[int], Timed]:
    """A whole census of each: histogram, moments, norms, zeros and modes."""
    return _pass(folders, lambda tensor: weights.census(tensor, BINS))


def total(folders: Sequence[Path]) -> Callable[[int], Timed]:
    """The sum of all numbers."""
    return _pass(folders, lambda tensor: tensor.sum())


def numpy_histogram(folders: Sequence[Path]) -> Callable[[int], Timed]:
    """Counts in bins that are given."""
    edges = np.linspace(-0.25, 0.25, BINS + 1)
    return _pass(folders, lambda tensor: np.histogram(tensor, edges)[0])


def _pass(folders: Sequence[Path], measure: Callable) -> Callable[[int], Timed]:
    def timed(_: int) -> Timed:
        start = time.perf_counter()
        results = [measure(TensorFolder(folder).read(NAME)) for folder in folders]
        return Timed(time.perf_counter() - start, results)

    return timed
