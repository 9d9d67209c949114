"""The measure "curvature" over training: per part, beside the LLC, and against the learning rate.

Axes: K checkpoints (ascending), M parts. Units: nats per squared weight.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.analysis import curves
from dynamics.analysis.agreement import RankCorrelation, rank_correlation
from dynamics.analysis.curves import Committed, Curve

NAMES = {
    "trace": "Hessian trace",
    "gauss_newton_trace": "Gauss–Newton trace",
    "largest": "largest eigenvalue",
    "effective_rank": "effective rank",
}
_ERRORS = {"largest": "largest_error"}


@dataclass(frozen=True, kw_only=True)
class Hessians:
    """Curvature of one model's first seed. Curves lack checkpoints at which they were not
    measured."""

    model: str
    seed: int
    steps: np.ndarray  # [K]
    curves: dict[str, Curve]  # by a key of NAMES
    parts: tuple[str, ...]  # M names
    part_trace: np.ndarray  # [K,M]
    part_sem: np.ndarray  # [K,M]
    partition: bool  # whether the parts sum to the whole
    block: str  # names of the parts whose block of the Hessian all this is of; "" for the whole
    sharpness: (
        np.ndarray
    )  # [K], learning rate times largest eigenvalue over 2; NaN where no rate is known
    llc: Curve | None  # of the same seed, at the same checkpoints; None where it was not measured
    agreement: dict[str, RankCorrelation]  # with the LLC, by a key of NAMES


def hessians(committed: Committed, llc: Committed = ()) -> list[Hessians]:
    """One per model, of its first seed; models by size."""
    models = sorted({unit.model for unit, _ in committed}, key=curves.natural)
    return [_hessians(model, list(committed), list(llc)) for model in models]


def _hessians(model: str, committed: list, llc: list) -> Hessians:
    seed = min(unit.seeds for unit, _ in committed if unit.model == model)
    pairs, estimates = (
        sorted(
            (pair for pair in found if (pair[0].model, pair[0].seeds) == (model, seed)),
            key=lambda p: p[0].step,
        )
        for found in (committed, llc)
    )
    steps, data = np.array([unit.step for unit, _ in pairs]), [one for _, one in pairs]
    found = {}
    for name in NAMES:
        if all(name in one for one in data):
            (found[name],) = curves.scalars(pairs, name, _ERRORS.get(name, f"{name}_sem"))
    named = all("part_trace" in one for one in data)
    by_part = (
        np.stack([one["part_trace"].values for one in data]) if named else np.zeros((len(data), 0))
    )
    whole = np.array([float(one["trace"]) for one in data])
    rate = [float(one["learning_rate"]) if "learning_rate" in one else np.nan for one in data]
    beside = _beside(estimates, steps)
    return Hessians(
        model=model,
        seed=seed[0],
        steps=steps,
        curves=found,
        parts=tuple(map(str, data[0]["part"].values)) if named else (),
        part_trace=by_part,
        part_sem=np.stack([one["part_trace_sem"].values for one in data])
        if named
        else np.zeros((len(data), 0)),
        partition=bool(
            np.allclose(
                by_part.sum(1), whole, rtol=1e-3, atol=1e-3 * float(np.abs(by_part).sum(1).max())
            )
        ),
        block=data[0].attrs.get("block", ""),
        sharpness=np.array(rate) * np.array([float(one["largest"]) for one in data]) / 2,
        llc=beside,
        agreement={}
        if beside is None
        else {name: _agreement(beside, curve) for name, curve in found.items()},
    )


def _beside(estimates: list, steps: np.ndarray) -> Curve | None:
    """The LLC at these checkpoints, three or more."""
    kept = [pair for pair in estimates if pair[0].step in steps]
    if len(kept) < 3 or len(kept) < len(steps):
        return None
    return curves.scalars(kept, "llc", "sem")[0]


def _agreement(llc: Curve, curve: Curve) -> RankCorrelation:
    """Over the checkpoints at which both are finite: a chain may have diverged, and zeros have no
    effective rank."""
    both = np.isfinite(llc.value) & np.isfinite(curve.value)
    if both.sum() < 3:
        return RankCorrelation(rho=np.nan, low=np.nan, high=np.nan, count=int(both.sum()))
    errors = [(one.high - one.low)[both] / 2 for one in (llc, curve)]
    return rank_correlation(llc.value[both], curve.value[both], *errors)
