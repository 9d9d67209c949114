"""Synthetic curves over training whose pauses are known: what a stage finder is judged by.

Axes: K checkpoints, P planted plateaus, P+1 ramps. x = ln(step + 1), in e-folds.

A curve is flat, climbs or falls along ramps with a plateau between any two, and is flat again. Flat
stretches at either end of training lie between no two stages and are no boundaries. Every ramp has
a raised-cosine slope; a plateau has a slope of its own, below a fifth of the gentlest ramp's.
"""

import itertools
from dataclasses import dataclass

import numpy as np

END = 300_000  # the last step
RAMP, PLATEAU = (0.5, 1.5), (0.4, 1.0)  # lengths in e-folds
LEAST_SLOPE, TILT = (
    0.15,
    0.03,
)  # of a ramp (mean) and of a plateau (at most), as shares of the range per e-fold
LEAST_HELD = 3  # checkpoints that show a plateau or a ramp


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A curve as a study would measure it, and the truth about it."""

    steps: np.ndarray  # [K]
    value: np.ndarray  # [K], noise and all
    sem: np.ndarray  # [K], the noise's standard deviation
    truth: np.ndarray  # [K], without noise
    boundaries: np.ndarray  # [P], the middles of the plateaus, in steps
    kinds: tuple[str, ...]  # [P]


def curve(seed: int, noise: float | None = None) -> Planted:
    """One curve of 1 to 4 plateaus at random places, of random spacing, unit and noise.

    `noise` is a share of the curve's range; without it, 0.1 to 1 %.
    """
    rng = np.random.default_rng(seed)
    count, rise = int(rng.integers(1, 5)), None
    while rise is None:
        edges, steps = _edges(rng, count), spacing(rng)
        x = np.log1p(steps)
        rise = _rises(rng, edges, x)
    truth = _level(x, edges, rise)
    scale, shift = 10 ** rng.uniform(-3, 3), rng.normal(0, 1000)
    level = 10 ** rng.uniform(-3, -2) if noise is None else noise
    sem = scale * level * np.exp(rng.normal(0, 0.3, len(x)))
    truth = shift + scale * truth
    ramps = np.sign(rise[::2])
    return Planted(
        steps=steps,
        value=truth + sem * rng.standard_normal(len(x)),
        sem=sem,
        truth=truth,
        boundaries=np.expm1((edges[1:-1:2] + edges[2:-1:2]) / 2),
        kinds=tuple(
            "shoulder" if a == b else "peak" if a > 0 else "valley"
            for a, b in itertools.pairwise(ramps)
        ),
    )


def spacing(rng) -> np.ndarray:
    """Checkpoints [K] of one of three schedules: log and linear united, powers of two then linear,
    or random."""
    kind = rng.integers(3)
    if kind == 0:
        parts = [
            np.geomspace(1, END, rng.integers(60, 110)),
            np.linspace(0, END, rng.integers(20, 110)),
        ]
    elif kind == 1:
        parts = [[0], 2 ** np.arange(11), np.arange(2000, END + 1, 2000)]
    else:
        parts = [[0, END], np.exp(rng.uniform(0, np.log(END), rng.integers(80, 200)))]
    return np.unique(np.concatenate(parts).astype(int))


def _edges(rng, count: int) -> np.ndarray:
    """Where ramps and plateaus begin and end [2 (P+1)], in e-folds; all within the steps 100 to
    END."""
    while True:
        lengths = rng.uniform(*RAMP, 2 * count + 1)
        lengths[1::2] = rng.uniform(*PLATEAU, count)
        edges = np.cumsum(np.r_[rng.uniform(np.log(100), np.log(1000)), lengths])
        if edges[-1] < np.log(END) - 0.2 and edges[1] > np.log(400):
            return edges


def _rises(rng, edges: np.ndarray, x: np.ndarray) -> np.ndarray | None:
    """What each ramp and plateau adds [2P+1], the range being 1; None where one would not be
    seen."""
    lengths = np.diff(edges)
    rise = rng.uniform(0.3, 1.5, len(lengths)) * rng.choice([1, 1, -1], len(lengths))
    rise[1::2] = 0
    rise /= np.ptp(np.r_[0, np.cumsum(rise)])
    rise[1::2] = rng.uniform(-TILT, TILT, len(rise[1::2])) * lengths[1::2]
    held = np.histogram(x, edges)[0]
    seen = held.min() >= LEAST_HELD and (np.abs(rise) / lengths)[::2].min() >= LEAST_SLOPE
    return rise if seen else None


def _level(x: np.ndarray, edges: np.ndarray, rise: np.ndarray) -> np.ndarray:
    """The curve at x [K]."""
    part = np.clip((x[:, None] - edges[:-1]) / np.diff(edges), 0, 1)  # [K,2P+1]
    part[:, ::2] -= np.sin(2 * np.pi * part[:, ::2]) / (2 * np.pi)
    return part @ rise
