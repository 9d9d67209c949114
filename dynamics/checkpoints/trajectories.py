"""Paths of single weights: one tensor over the checkpoints of a run, as a memory-mapped array.

Axes: K checkpoints (ascending steps), N weights of one tensor, V rows and D columns of a matrix.

Checkpoints are read one tensor at a time and written row by row, so that memory is one tensor's,
however many checkpoints there are. A tensor that is the same at two steps has no difference to
measure: one of the two is named and left out of `rows`. Of neighbours the first stays; of others
the last, since faulty uploads serve a run's final weights at earlier steps.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from dynamics import files
from dynamics.checkpoints.convert import Tensors
from dynamics.checkpoints.formats import INTEGERS
from dynamics.errors import InputError, located

_WEIGHTS, _CENTRED, _ABOUT = "weights.npy", "centred.npy", "about.json"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trajectories:
    """The weights of one tensor over a run.

    Attributes:
        tensor: its name in the files.
        shape: of the tensor.
        steps: [K] of every checkpoint that was read.
        weights: [K,N] float32, memory-mapped, in the order of `places`.
        places: [N] of the weights in the flattened tensor, ascending.
        centred: [K,N] the same, less the mean over all rows of each weight's column; None where it
            was not asked for. Of an unembedding [V,D] that mean changes no softmax.
        repeats: step -> the other step with the same tensor; these steps are not in `rows`.
        digests: [K] of the whole tensors, the same where tensors are.
    """

    tensor: str
    shape: tuple[int, ...]
    steps: Int[np.ndarray, " K"]
    weights: Float[np.ndarray, "K N"]
    places: Int[np.ndarray, " N"]
    centred: Float[np.ndarray, "K N"] | None
    repeats: Mapping[int, int]
    digests: tuple[str, ...]

    @property
    def rows(self) -> Int[np.ndarray, " rows"]:
        """Of `weights`, without repeated checkpoints."""
        return np.array([k for k, step in enumerate(self.steps) if int(step) not in self.repeats])


def stack(
    folder: str | Path,
    tensor: str,
    checkpoints: Iterable[tuple[int, Callable[[], Tensors]]],
    *,
    num_weights: int | None = 10_000,
    seed: int = 0,
    centred: bool = False,
    each: Callable[[np.ndarray], object] | None = None,
    run: str = "",
) -> Trajectories:
    """Writes the paths of a tensor's weights under `folder`, whole or not at all, and opens them.

    Args:
        folder: is replaced where it exists.
        tensor: name in the files.
        checkpoints: (step, what opens the checkpoint's tensors), in ascending order of steps.
        num_weights: how many weights are drawn, the same at every checkpoint; None for all.
        seed: of the draw.
        centred: whether to write the weights of a matrix less their columns' means as well.
        each: called with the whole tensor of every checkpoint in turn, float32, so that what needs
            all of it costs no second reading.
        run: what errors call the run, such as "nano-32 seed 0".

    Raises:
        InputError: no checkpoint, steps that do not ascend; a tensor that is absent, of integers,
            of another shape than at the first step, or not finite; a folder that cannot be written.

    Example:
        >>> import tempfile, safetensors.numpy
        >>> from dynamics.checkpoints.formats import TensorFolder
        >>> root, paths = Path(tempfile.mkdtemp()), []
        >>> for step, level in ((0, 0.0), (1, 0.0), (2, 1.0)):
        ...     (root / f"step{step}").mkdir()
        ...     weights = {"up.weight": np.full((3, 2), level, np.float32)}
        ...     safetensors.numpy.save_file(weights, root / f"step{step}" / "model.safetensors")
        ...     paths.append((step, lambda step=step: TensorFolder(root / f"step{step}")))
        >>> trajectories = stack(root / "up", "up.weight", paths)
        >>> trajectories.weights[:, 0].tolist(), dict(trajectories.repeats)
        ([0.0, 0.0, 1.0], {1: 0})
    """

    def fill(partial: Path):
        values = _tensors(tensor, checkpoints, run, centred)
        _write(partial, tensor, values, num_weights, seed, centred, each)

    return read(files.write_folder_atomically(folder, fill))


def read(folder: str | Path) -> Trajectories:
    """What `stack` wrote. Raises InputError for a folder of another kind."""
    folder = Path(folder)
    try:
        about = json.loads((folder / _ABOUT).read_text())
        weights = np.load(folder / _WEIGHTS, mmap_mode="r")
        return Trajectories(
            tensor=about["tensor"],
            shape=tuple(about["shape"]),
            steps=np.array(about["steps"], np.int64),
            weights=weights,
            places=sample(tuple(about["shape"]), about["num_weights"], about["seed"]),
            centred=np.load(folder / _CENTRED, mmap_mode="r") if about["centred"] else None,
            repeats=repeated(about["steps"], about["digests"]),
            digests=tuple(map(str, about["digests"])),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}, unreadable as paths of weights ({error})",
            expected="a folder that trajectories.stack wrote",
            mend="Delete it and stack the checkpoints again.",
        ) from error


def sample(shape: Sequence[int], num_weights: int | None, seed: int) -> Int[np.ndarray, " N"]:
    """Places in a flattened tensor, ascending, drawn without replacement; all where it has fewer.

    Example:
        >>> sample((2, 3), 4, seed=0).shape, sample((2, 3), None, seed=0).tolist()
        ((4,), [0, 1, 2, 3, 4, 5])
    """
    size = int(np.prod(shape))
    if num_weights is None or num_weights >= size:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, num_weights, replace=False))


def repeated(steps: Sequence[int], digests: Sequence[str]) -> dict[int, int]:
    """step -> the step that serves the same tensor and stays in its place.

    Example:
        >>> repeated([0, 1, 2, 3, 4], ["a", "a", "b", "c", "b"])
        {1: 0, 2: 4}
    """
    groups: dict[str, list[int]] = {}
    for k, digest in enumerate(digests):
        groups.setdefault(digest, []).append(k)
    repeats = {}
    for group in groups.values():
        neighbours = group[-1] - group[0] == len(group) - 1
        stays = group[0] if neighbours else group[-1]
        repeats |= {int(steps[k]): int(steps[stays]) for k in group if k != stays}
    return dict(sorted(repeats.items()))


def _write(partial: Path, tensor: str, values, num_weights, seed: int, centred: bool, each):
    """The files of a stack, row by row. The header of an array is written last: K is known then."""
    steps, digests, places = [], [], np.zeros(0, np.int64)
    shape: tuple[int, ...] = ()
    names = (_WEIGHTS, _CENTRED) if centred else (_WEIGHTS,)
    with contextlib.ExitStack() as opened:
        arrays = [opened.enter_context(open(partial / name, "wb")) for name in names]
        for array in arrays:
            _header(array, 0, 0)
        for step, matrix in values:
            if not steps:
                shape, places = matrix.shape, sample(matrix.shape, num_weights, seed)
            steps.append(step)
            digests.append(hashlib.sha256(np.ascontiguousarray(matrix).data).hexdigest())
            rows = matrix.reshape(-1)[places]
            arrays[0].write(rows.tobytes())
            if centred:
                common = matrix.mean(0, dtype=np.float64).astype(np.float32)
                arrays[1].write((rows - common[places % matrix.shape[1]]).tobytes())
            if each is not None:
                each(matrix)
        if not steps:
            raise InputError("no checkpoint", expected="one or more")
        for array in arrays:
            array.seek(0)
            _header(array, len(steps), len(places))
    about = {
        "tensor": tensor,
        "shape": shape,
        "steps": steps,
        "digests": digests,
        "centred": centred,
        "num_weights": num_weights,
        "seed": seed,
    }
    (partial / _ABOUT).write_text(json.dumps(about))


def _tensors(tensor: str, checkpoints, run: str, matrix: bool) -> Iterator[tuple[int, np.ndarray]]:
    """(step, the tensor as float32) of every checkpoint, steps ascending, all of one shape."""
    first, last = None, -1
    for step, opened in checkpoints:
        if step <= last:
            raise InputError(f"step {step} after step {last}", expected="ascending steps")
        last = int(step)
        with located(f"{run} step {step}".strip()):
            values = _values(opened(), tensor)
            first = first or (values.shape, last)
            if matrix and values.ndim != 2:
                raise InputError(
                    f"{tensor} of shape {values.shape}", expected="a matrix, to be centred"
                )
            if values.shape != first[0]:
                raise InputError(
                    f"{tensor} of shape {values.shape}",
                    expected=f"{first[0]}, as at step {first[1]}",
                    mend="Paths need checkpoints of one architecture: choose others by --steps or "
                    "--models.",
                )
        yield last, values


def _header(file, checkpoints: int, weights: int):
    """The .npy header of a float32 array; numpy pads it to one length for every K and N."""
    form = {"descr": "<f4", "fortran_order": False, "shape": (checkpoints, weights)}
    np.lib.format.write_array_header_1_0(file, form)


def _values(tensors: Tensors, name: str) -> Shaped[np.ndarray, "..."]:
    """One tensor as finite float32."""
    if name not in tensors.names():
        raise InputError.unknown("tensor", name, sorted(tensors.names()))
    stored = tensors.read(name)
    if stored.dtype.kind in INTEGERS:
        raise InputError(f"{name} of {stored.dtype} numbers", expected="floating-point weights")
    with np.errstate(over="ignore"):  # a float64 that is too large is then not finite
        values = np.asarray(stored, np.float32)
    broken = int(np.count_nonzero(~np.isfinite(values)))
    if broken:
        raise InputError(
            f"{name} with {broken} of {values.size} numbers not finite",
            expected="finite weights",
            mend="The run may have diverged by this step; leave it out by --steps.",
        )
    return values
