"""What of an LLC's course the structure of the weights accounts for.

Axes: K checkpoints, R random sets of weights.

Source: Hoogland et al. 2024, appendix D.2.6, which leaves it open.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.partial import Partial, partial_correlation
from dynamics.errors import InputError
from dynamics.questions.committed import Committed, by_model
from dynamics.questions.degeneracy import record
from dynamics.questions.degeneracy.record import Record
from dynamics.questions.development import findings as development
from dynamics.questions.llc import findings as llc
from dynamics.questions.single_seeds import of_whole_runs

STRUCTURE = {
    "weight_norm": "weight norm",
    "embed_rank": "effective rank of the embedding",
    "position_in_embed": "positions within the embedding",
    "small_scales": "collapsed scales of norms",
    "least_entropy": "lowest attention entropy",
}


@dataclass(frozen=True, kw_only=True)
class EmbeddingFall:
    """The fall of the LLC that a lost rank of the embedding would make, beside the measured one.

    Attributes:
        first, last: steps, of the highest LLC and the last.
        lost_rank: effective ranks r - r' lost between them.
        predicted: D3 (r - r') / 2, D3 the outputs of the next linear map (D.2.1).
        measured, sem: LLC at `first` less that at `last`.
    """

    first: int
    last: int
    lost_rank: float
    predicted: float
    measured: float
    sem: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Degeneracy:
    """Of one model.

    Attributes:
        model: its name.
        seeds: that the LLC is a mean over.
        partials: structural measure -> its correlation with the LLC given the loss; {} where
            checkpoints are too few.
        fall: None where neither is known.
        zeroed: (seed, step) -> what it does to set collapsed weights to 0.
    """

    model: str
    seeds: tuple[int, ...]
    partials: Mapping[str, Partial]
    fall: EmbeddingFall | None
    zeroed: Mapping[tuple[int, int], Record]


def find(committed: Committed) -> list[Degeneracy] | None:
    """One per model whose LLC and structure were measured, models by size."""
    behaviours = {m.model: m for m in committed.findings(development.find) or []}
    if not behaviours:
        return None
    units = by_model(committed.of(record.MEASURE))
    by_size = []
    for estimates in committed.findings(llc.find) or []:
        if estimates.model in behaviours:
            zeroed = {
                (unit.seeds[0], int(unit.step)): record.from_dataset(data)
                for unit, data in units.get(estimates.model, [])
                if unit.step is not None
            }
            by_size.append(_degeneracy(estimates, behaviours[estimates.model], zeroed))
    return by_size or None


def _degeneracy(
    estimates: llc.Estimates,
    behaviour: development.Development,
    zeroed: Mapping[tuple[int, int], Record],
) -> Degeneracy:
    curve = of_whole_runs(estimates.llc, [run.llc for run in estimates.runs])
    whole = [run.seed for run in estimates.runs if len(run.llc.steps) == len(curve.steps)]
    seeds = tuple(whole) or estimates.seeds
    widths = {r.outputs_after_embedding for r in zeroed.values()}
    return Degeneracy(
        model=estimates.model,
        seeds=seeds,
        partials=_partials(curve, behaviour),
        fall=_fall(curve, behaviour.embed_rank, widths.pop()) if widths else None,
        zeroed=zeroed,
    )


def _partials(llc_curve: Curve, behaviour: development.Development) -> dict[str, Partial]:
    partials = {}
    for name, words in STRUCTURE.items():
        (steps, first), (_, second), (_, loss) = _shared(
            llc_curve, getattr(behaviour, name), behaviour.loss
        )
        try:
            partials[words] = partial_correlation(first, second, [loss])
        except InputError:  # too few checkpoints
            continue
        assert len(steps) == partials[words].count
    return partials


def _shared(*curves: Curve) -> list[tuple[np.ndarray, np.ndarray]]:
    """(steps, values) of every curve where all of them are finite."""
    steps = curves[0].finite().steps
    for curve in curves[1:]:
        steps = np.intersect1d(steps, curve.finite().steps)
    return [(steps, curve.value[np.isin(curve.steps, steps)]) for curve in curves]


def _fall(llc_curve: Curve, rank: Curve, outputs: int) -> EmbeddingFall | None:
    (steps, values), (_, ranks) = _shared(llc_curve, rank)
    if len(steps) < 2:
        return None
    sem = llc_curve.sem[np.isin(llc_curve.steps, steps)]
    top = int(np.argmax(values))
    lost = float(ranks[top] - ranks[-1])
    return EmbeddingFall(
        first=int(steps[top]),
        last=int(steps[-1]),
        lost_rank=lost,
        predicted=outputs * lost / 2,
        measured=float(values[top] - values[-1]),
        sem=float(np.hypot(sem[top], sem[-1])),
    )
