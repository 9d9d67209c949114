"""Stage boundaries of every single run in a store: one model, one seed, one curve. K
checkpoints."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynamics.analysis import curves
from dynamics.analysis.curves import Committed, Curve
from dynamics.analysis.stages import Stages, find_stages
from dynamics.errors import InputError

# label -> measure, variable, its standard error. The error of an eigenvalue is that of the solver,
# which says nothing of how far neighbouring checkpoints scatter: the rule estimates that.
CURVES = {
    "LLC": ("llc", "llc", "sem"),
    "Hessian trace": ("curvature", "trace", "trace_sem"),
    "largest Hessian eigenvalue": ("curvature", "largest", None),
}


@dataclass(frozen=True, kw_only=True)
class RunStages:
    """A curve of one run and what was found on it."""

    model: str
    seed: int
    label: str  # a key of CURVES
    curve: Curve  # finite values only
    local: int | None  # of the LLC's estimates, how many are local; None for other curves
    found: Stages | None
    refusal: str  # why nothing was looked for; "" where it was


def all_runs(committed: Mapping[str, Committed]) -> list[RunStages]:
    """Every curve of every run: LLC, Hessian trace, largest eigenvalue; models by size."""
    return [
        _stages(list(group), model, seed, label)
        for label, (measure, _, _) in CURVES.items()
        for (model, seed), group in _runs(committed.get(measure, ()))
    ]


def _runs(committed: Committed):
    """((model, seed), its units by step)."""

    def key(pair):
        return curves.natural(pair[0].model), pair[0].model, pair[0].seeds

    single = sorted(
        (pair for pair in committed if len(pair[0].seeds) == 1), key=lambda p: (*key(p), p[0].step)
    )
    for (_, model, (seed,)), group in itertools.groupby(single, key=key):
        yield (model, seed), group


def _stages(group: list, model: str, seed: int, label: str) -> RunStages:
    _, name, error = CURVES[label]
    (whole,) = curves.scalars(group, name, error)
    kept = np.isfinite(whole.value)
    curve = Curve(
        model=model,
        rests_on=whole.rests_on,
        **{part: getattr(whole, part)[kept] for part in ("steps", "value", "low", "high")},
    )
    sem = (curve.high - curve.low) / 2
    found, refusal = None, ""
    try:
        found = find_stages(
            curve.steps, curve.value, sem if error and np.isfinite(sem).all() else None
        )
    except InputError as problem:
        refusal = str(problem).removeprefix("got ")
    local = [data.attrs.get("verdict") == "local" for _, data in group] if label == "LLC" else None
    return RunStages(
        model=model,
        seed=seed,
        label=label,
        curve=curve,
        local=None if local is None else sum(local),
        found=found,
        refusal=refusal,
    )
