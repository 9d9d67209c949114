"""Made-up paths of a run: a Gaussian walk that widens from a step on, beside one that forks.

Axes: K checkpoints, N weights, D columns.
"""

import numpy as np
import xarray as xr

from dynamics.analysis import bifurcation
from dynamics.measures import displacement
from dynamics.questions.paths import record

STEPS = np.r_[0, 2 ** np.arange(14)]
TENSORS = ("embed_out.weight", "embed_out.weight, centred")
BATCH, TOLERANCE, PLACE = np.array([16, 32]), np.array([0.1, 0.5, 1.0]), np.array([1, 2, 4, 8])
NUM_WEIGHTS = 2000
CHANGE = 64  # the step from which the walk moves


def walks(seed: int) -> list[np.ndarray]:
    """[K,N] of each tensor: still until `CHANGE`; the first has two modes in the end."""
    rng = np.random.default_rng(seed)
    moved = np.diff(np.clip(STEPS, CHANGE, None).astype(float), prepend=CHANGE)
    moves = rng.normal(size=(len(STEPS), NUM_WEIGHTS)) * np.sqrt(moved / STEPS[-1])[:, None]
    centred = rng.normal(size=NUM_WEIGHTS) + np.cumsum(moves, 0)
    side = np.where(np.arange(NUM_WEIGHTS) % 2, 1.0, -1.0)
    return [centred + 4.0 * side * (STEPS >= 1024)[:, None], centred]


def made(seed: int, num_parameters: int = 1000) -> record.Record:
    """The record that an experiment would make of the walks, ranks and loss made up."""
    paths = walks(seed)
    kinds = [
        [displacement.mean_square_displacement(moments, kind) for kind in record.KINDS]
        for moments in (displacement.moments(STEPS, walk) for walk in paths)
    ]
    count = len(STEPS)

    def field(name: str) -> np.ndarray:
        rows = [[getattr(kind, name) for kind in of_tensor] for of_tensor in kinds]
        return np.array(
            [[np.r_[row, np.full(count - len(row), np.nan)] for row in each] for each in rows]
        )

    forks = [bifurcation.find_bifurcation(STEPS, walk) for walk in paths]
    gaps = [displacement.gaps(displacement.moments(STEPS, walk)) for walk in paths]
    return record.Record(
        steps=STEPS,
        repeats={3: 2},
        tensors=TENSORS,
        size=np.array([10_000, 10_000]),
        sampled=np.array([NUM_WEIGHTS, NUM_WEIGHTS]),
        num_parameters=num_parameters,
        spread=record.Spread(
            quantile=np.array([0.1, 0.5, 0.9]),
            fan=np.array([np.quantile(walk, [0.1, 0.5, 0.9], axis=1).T for walk in paths]),
            shown=np.array([walk[:, :5] for walk in paths]),
            excess_kurtosis=np.random.default_rng(seed).normal(size=(2, count)),
        ),
        movement=record.Movement(
            steps=field("steps")[0],
            value=field("value"),
            sem=field("sem"),
            exponent=field("exponent"),
            exponent_low=field("exponent_low"),
            exponent_high=field("exponent_high"),
            expected=np.repeat(field("value")[:, None], 3, axis=1) * 1.5,
            gap=np.array([np.r_[np.nan, squared] for squared, _ in gaps]),
            gap_sem=np.array([np.r_[np.nan, sem] for _, sem in gaps]),
        ),
        fork=record.Fork(
            depth=np.array([fork.depth for fork in forks]),
            modes=np.array([fork.modes for fork in forks]),
            step=np.array([np.nan if fork.step is None else fork.step for fork in forks]),
            low=np.array([fork.low for fork in forks]),
            high=np.array([fork.high for fork in forks]),
            loyal=np.array([fork.loyal for fork in forks]),
            threshold=forks[0].threshold,
        ),
        rank=_ranks(seed),
        loss=_losses(seed),
    )


def data_set(seed: int, num_parameters: int = 1000) -> xr.Dataset:
    """As it is stored."""
    return record.to_dataset(made(seed, num_parameters))


def _ranks(seed: int) -> record.Rank:
    rng, count = np.random.default_rng([1, seed]), len(STEPS)

    def some(*axes: int) -> np.ndarray:
        return rng.uniform(1, 8, (2, *axes, count))

    return record.Rank(
        batch=BATCH,
        tolerance=TOLERANCE,
        absolute=some(2, 3),
        absolute_sem=some(2, 3),
        relative=some(2, 3),
        exact_absolute=some(3),
        exact_relative=some(3),
        stable=some(),
        entropy=np.tile(8 - 3.0 * (STEPS >= CHANGE), (2, 1)) + 0.01 * some(),
        batch_stable=some(2),
        batch_entropy=some(2),
        place=PLACE,
        spectrum=some(4),
    )


def _losses(seed: int) -> record.Loss:
    value = 5.0 - 2.0 * (STEPS >= 512) + 0.01 * np.random.default_rng(seed).normal(size=len(STEPS))
    sem = np.full(len(STEPS), 0.05)
    return record.Loss(value=value, sem=sem, excess=value - value[-1], excess_sem=sem / 5)
