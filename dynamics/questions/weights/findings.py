"""How weights are spread over training: densities with all seeds pooled, and moments over seeds.

Axes: K steps (ascending), S seeds, M matrices, N bins. Units are those of the weights.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.pairs import single_seed_curve
from dynamics.questions.committed import Committed, Pairs, by_model, by_step
from dynamics.questions.weights import record


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """The spread of one model's weights.

    Attributes:
        model: its name.
        seeds: every seed that was measured.
        steps: [K].
        center: [N] of each bin.
        density: matrix -> [K,N] per unit of weight, seeds pooled.
        outside: the largest share of any matrix's weights beyond the bins.
        sd: matrix -> standard deviation.
        width: matrix -> sd over that of the same seed at its first step.
        excess_kurtosis: matrix -> 0 for a normal distribution.
    """

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    center: np.ndarray
    density: dict[str, np.ndarray]
    outside: float
    sd: dict[str, Curve]
    width: dict[str, Curve]
    excess_kurtosis: dict[str, Curve]


def find(committed: Committed) -> list[Spread] | None:
    """One per model, models by size."""
    groups = by_model(committed.of(record.MEASURE))
    return [_spread(model, pairs) for model, pairs in groups.items()] or None


def _spread(model: str, pairs: Pairs) -> Spread:
    steps = {
        step: {unit.seeds: record.from_dataset(data) for unit, data in units}
        for step, units in by_step(pairs).items()
    }
    records = [list(seeds.values()) for seeds in steps.values()]
    first = records[0][0]
    counts = np.stack([np.sum([r.counts for r in seeds], axis=0) for seeds in records])  # [K,M,N]
    beyond = np.stack([np.sum([r.below + r.above for r in seeds], axis=0) for seeds in records])
    total = counts.sum(-1) + beyond
    density = counts / total[..., None] / (first.center[1] - first.center[0])
    starts = {}
    for seeds in steps.values():
        for seed, one_record in seeds.items():
            starts.setdefault(seed, one_record.sd)

    def curves(values) -> dict[str, Curve]:
        """matrix -> a curve of `values(record, seed)`, [M] each, for every step and seed."""
        table = [[values(r, seed) for seed, r in seeds.items()] for seeds in steps.values()]
        return {
            name: _curve(model, list(steps), [[row[m] for row in step] for step in table])
            for m, name in enumerate(first.matrices)
        }

    return Spread(
        model=model,
        seeds=tuple(sorted({seed for unit, _ in pairs for seed in unit.seeds})),
        steps=np.array(list(steps)),
        center=first.center,
        density={name: density[:, m] for m, name in enumerate(first.matrices)},
        outside=float((beyond / total).max()),
        sd=curves(lambda r, seed: r.sd),
        width=curves(lambda r, seed: r.sd / starts[seed]),
        excess_kurtosis=curves(lambda r, seed: r.excess_kurtosis),
    )


def _curve(model: str, steps: list[int], values: list[list[float]]) -> Curve:
    """Over seeds; a census of a single one has no error of its own."""
    return single_seed_curve(model, steps, values, np.full(len(steps), np.nan))
