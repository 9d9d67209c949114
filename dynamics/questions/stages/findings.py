"""Where the curves of single runs pause: one model, one seed, one curve. K checkpoints."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.stages import Stages, find_stages
from dynamics.errors import InputError
from dynamics.questions.committed import Committed
from dynamics.questions.curvature import findings as curvature
from dynamics.questions.llc import findings as llc

LLC, TRACE, LARGEST = "LLC", curvature.TRACE, "largest Hessian eigenvalue"


@dataclass(frozen=True, kw_only=True, eq=False)
class RunStages:
    """A curve of one run and its stages.

    Attributes:
        model, seed: whose run.
        label: what the curve is of: LLC, TRACE or LARGEST.
        curve: its finite values.
        num_local: of the LLC's estimates, how many are local; None for other curves.
        stages: None where none were looked for.
        refusal: why they were not; "" where they were.
    """

    model: str
    seed: int
    label: str
    curve: Curve
    num_local: int | None
    stages: Stages | None
    refusal: str

    @property
    def name(self) -> str:
        """Of curve and run, in words."""
        return f"{self.label} of {self.model}, seed {self.seed}"

    @property
    def all_local(self) -> bool:
        """Whether a pause of the curve is one of the landscape, not of the loss alone."""
        return self.num_local is None or self.num_local >= len(self.curve.steps)


def find(committed: Committed) -> list[RunStages] | None:
    """Every LLC, then every Hessian trace, then every largest eigenvalue; models by size."""
    estimates = committed.findings(llc.find) or []
    curvatures = committed.findings(curvature.find) or []
    runs = [*_llc_runs(estimates), *_trace_runs(curvatures), *_largest_runs(curvatures)]
    return runs or None


def _llc_runs(estimates: list[llc.Estimates]) -> Iterator[RunStages]:
    for model in estimates:
        for run in model.runs:
            local = int(run.local.sum())
            yield run_stages(model.model, run.seed, LLC, run.llc, local)


def _trace_runs(curvatures: list[curvature.Curvature]) -> Iterator[RunStages]:
    for model in curvatures:
        for run in model.runs:
            yield run_stages(model.model, run.seed, TRACE, run.trace)


def _largest_runs(curvatures: list[curvature.Curvature]) -> Iterator[RunStages]:
    """The error of an eigenvalue is the solver's, which says nothing of how far neighbouring
    checkpoints scatter: the rule estimates that."""
    for model in curvatures:
        for run in model.runs:
            largest = run.largest
            nothing = np.full(len(largest.steps), np.nan)
            bare = Curve.with_limits(
                model.model, largest.steps, largest.value, nothing, nothing, ""
            )
            yield run_stages(model.model, run.seed, LARGEST, bare)


def run_stages(
    model: str, seed: int, label: str, curve: Curve, num_local: int | None = None
) -> RunStages:
    """The stages of a curve, its finite values alone, or why none were looked for."""
    finite, stages, refusal = curve.finite(), None, ""
    sem = finite.sem if np.isfinite(finite.sem).all() else None
    try:
        stages = find_stages(finite.steps, finite.value, sem)
    except InputError as error:
        refusal = str(error).removeprefix("got ")
    return RunStages(
        model=model,
        seed=seed,
        label=label,
        curve=finite,
        num_local=num_local,
        stages=stages,
        refusal=refusal,
    )
