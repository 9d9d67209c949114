"""Faults that show only in weights: a run's checkpoints as points on a path.

d(a, b) is the Euclidean distance of two checkpoints' weight matrices. On the path of an optimiser
d(t-1, t+1) is about the root of d(t-1, t)^2 + d(t, t+1)^2 (diffusion) or more (drift). Around a
checkpoint of another run, or of another part of this run, it is far below either distance.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from dynamics.checkpoints.audit.fault import Fault
from dynamics.checkpoints.formats import INTEGERS
from dynamics.errors import InputError
from dynamics.suite import Cell

Tensors = Mapping[str, Shaped[np.ndarray, "..."]]  # matrices of a checkpoint, by name

DETOUR = 0.5  # of the shorter leg; 1 is uncorrelated noise around a mean, 1.4 diffusion
JUMP = 0.8  # of the distance from the start at the checkpoint before
EARLY = 64  # by this step a run still resembles its initialisation


def check_trajectory(cells: Sequence[Cell], read: Callable[[Cell], Tensors]) -> list[Fault]:
    """Faults of one run, read checkpoint by checkpoint: the first and three others are in memory.

    Args:
        cells: of one model and seed, in any order.
        read: a cell to its matrices, all of them or a sample that is the same at every step.
    """
    faults, path = [], []  # the path: the first checkpoint and the last two that belong to it
    for cell in sorted(cells):
        try:
            stored = read(cell)
            _check_floats(stored)
            tensors = _flat(stored)
        except InputError as error:
            faults.append(Fault(cell, "unreadable", str(error).removeprefix("got ")))
            continue
        broken = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
        if broken:
            faults.append(Fault(cell, "non-finite", ", ".join(broken[:3])))
        elif path and _shapes(path[0][1]) != _shapes(tensors):
            faults.append(
                Fault(cell, "unreadable", "tensors of other names or sizes than at the start")
            )
        else:
            path, new_faults = _extended(path, (cell, tensors))
            faults += new_faults
    return faults


def _extended(path: list, newest: tuple[Cell, Tensors]) -> tuple[list, list[Fault]]:
    """The path with one more checkpoint, and the faults that it shows.

    A checkpoint that now proves not to belong to the path is taken off.
    """
    cell, faults = newest[0], []
    if len(path) == 2 and cell.step <= EARLY:
        faults = list(_foreign_start([*path, newest]))
    if faults:
        path = path[1:]  # nothing is measured from a start that is another run's
    elif len(path) > 1:
        faults = list(_detour(path[-2], path[-1], newest))
        path = path[:-1] if faults else path
    if path:
        faults += _jump_back(path[0], path[-1], newest)
    return [*path[:1], *path[1:][-1:], newest], faults


def _detour(
    before: tuple[Cell, Tensors], middle: tuple[Cell, Tensors], after: tuple[Cell, Tensors]
):
    legs = _distance(before[1], middle[1]), _distance(middle[1], after[1])
    across = _distance(before[1], after[1])
    if across < DETOUR * min(legs):
        detail = (
            f"{legs[0]:.3g} and {legs[1]:.3g} from its neighbours, which are {across:.3g} apart"
        )
        yield Fault(middle[0], "detour", detail)


def _jump_back(
    start: tuple[Cell, Tensors], before: tuple[Cell, Tensors], newest: tuple[Cell, Tensors]
):
    far, near = _distance(before[1], start[1]), _distance(newest[1], start[1])
    if near < JUMP * far:
        yield Fault(
            newest[0], "jump back", f"{near:.3g} from step {start[0].step}, after {far:.3g}"
        )


def _foreign_start(path: list):
    """A start that is unrelated to two early checkpoints which resemble each other."""
    (cell, start), (_, first), (_, second) = path
    away, along = _cosine(start, first), _cosine(first, second)
    if away < 0.5 < along:
        steps = path[1][0].step, path[2][0].step
        detail = (
            f"cosine {away:.2f} with step {steps[0]}, "
            f"whose cosine with step {steps[1]} is {along:.2f}"
        )
        yield Fault(cell, "foreign start", detail)


def _check_floats(tensors: Tensors):
    """Raises InputError for a matrix that holds integers, which no loader takes for weights."""
    for name, tensor in tensors.items():
        if tensor.dtype.kind in INTEGERS:
            raise InputError(f"{name} of {tensor.dtype} numbers")


def _flat(tensors: Tensors) -> dict[str, np.ndarray]:
    # A float64 that is too large becomes infinite, and is reported as that.
    with np.errstate(over="ignore"):
        return {
            name: np.asarray(tensor, np.float32).ravel() for name, tensor in sorted(tensors.items())
        }


def _shapes(tensors: Tensors) -> dict[str, int]:
    return {name: tensor.size for name, tensor in tensors.items()}


def _distance(a: Tensors, b: Tensors) -> float:
    return float(np.sqrt(sum(np.square(a[name] - b[name], dtype=np.float64).sum() for name in a)))


def _cosine(a: Tensors, b: Tensors) -> float:
    def inner(x, y):
        return sum(float(np.dot(x[name], y[name])) for name in x)

    return inner(a, b) / max(np.sqrt(inner(a, a) * inner(b, b)), np.finfo(np.float32).tiny)


def matrices(names: Iterable[str], sample: bool) -> list[str]:
    """The tensors to compare: every weight matrix, or a sample.

    The sample is of the first and the last layer, and of the matrices that move most.
    """
    weights = sorted(name for name in names if name.endswith(".weight") and "norm" not in name)
    if not sample:
        return weights
    ends = [
        name
        for name in weights
        if name.endswith(("attention.dense.weight", "mlp.dense_4h_to_h.weight"))
    ]
    by_layer = sorted(
        ends, key=lambda name: [int(part) for part in name.split(".") if part.isdigit()]
    )
    return list(dict.fromkeys(itertools.chain(by_layer[:2], by_layer[-2:]))) or weights[:2]
