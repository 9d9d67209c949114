"""Loss, LLC, weight norm and Hessian trace of in-context regression, and where each of them pauses.

Axes: K steps (ascending). x = ln(step + 1), in e-folds.

Source: Hoogland et al. 2024, figures 1b, B.1 to B.4, where the boundaries of one curve are drawn
through all. Here every curve has its own, by two rules and in two times, and chance is asked how
often they meet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis import smooth
from dynamics.analysis.curve import Curve
from dynamics.analysis.stages import (
    PUBLISHED_RULE,
    RULE,
    Boundary,
    PublishedRule,
    Rule,
    Stages,
    coincidence,
    find_stages,
)
from dynamics.errors import InputError
from dynamics.questions.committed import Committed
from dynamics.questions.curvature import findings as curvature
from dynamics.questions.development import findings as development
from dynamics.questions.llc import findings as llc
from dynamics.questions.single_seeds import of_whole_runs
from dynamics.questions.stages import findings as stages

LOSS, NORM = "test loss", "weight norm"


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantity:
    """One curve of a model, mean over its seeds, and its boundaries.

    Attributes:
        label: what it is of.
        curve: its finite values.
        trusted: bool [K] whether a value is of the landscape: for an LLC, its chains were local.
        slope, slope_sd: [K] of the smoothed curve per e-fold; NaN where none was smoothed.
        ours: boundaries by the rule of this project, over ln(step + 1); None where none were looked
            for.
        published: by the paper's rule.
        over_steps: by the rule of this project, over the step itself.
        refusal: why none were looked for; "" where they were.
    """

    label: str
    curve: Curve
    trusted: np.ndarray
    slope: np.ndarray
    slope_sd: np.ndarray
    ours: Stages | None
    published: Stages | None
    over_steps: tuple[Boundary, ...]
    refusal: str


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """How many boundaries of one run's curve lie in intervals of another's, against chance.

    Attributes:
        first, second: the curves, in words.
        inside, of: boundaries of the first within intervals of the second, and all of them.
        expected: how many would by chance, a common shift in time.
        chance: probability of so many or more.
    """

    first: str
    second: str
    inside: int
    of: int
    expected: float
    chance: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """Of one model.

    Attributes:
        model: its name.
        seeds: that its behaviour was measured of.
        quantities: loss first; what was not measured, or is nowhere finite, is left out.
        over_seeds: boundaries of one curve in two seeds.
        between_curves: boundaries of a seed's LLC and of its Hessian trace.
    """

    model: str
    seeds: tuple[int, ...]
    quantities: tuple[Quantity, ...]
    over_seeds: tuple[Meeting, ...]
    between_curves: tuple[Meeting, ...]


def find(committed: Committed) -> list[Picture] | None:
    """One per model of in-context regression, models by size."""
    models = committed.findings(development.find) or []
    estimates = {m.model: m for m in committed.findings(llc.find) or []} if models else {}
    curvatures = {m.model: m for m in committed.findings(curvature.find) or []} if models else {}
    runs = committed.findings(stages.find) or [] if models else []
    pictures = [
        _picture(
            m,
            estimates.get(m.model),
            curvatures.get(m.model),
            [run for run in runs if run.model == m.model],
        )
        for m in models
    ]
    return [picture for picture in pictures if picture.quantities] or None


def _picture(
    behaviour: development.Development,
    estimates: llc.Estimates | None,
    curvatures: curvature.Curvature | None,
    runs: Sequence[stages.RunStages],
) -> Picture:
    quantities = [quantity(LOSS, behaviour.loss)]
    if estimates is not None:
        quantities.append(_of_llc(estimates))
    quantities.append(quantity(NORM, behaviour.weight_norm))
    if curvatures is not None:
        traces = [run.trace for run in curvatures.runs]
        quantities.append(quantity(stages.TRACE, of_whole_runs(curvatures.trace, traces)))
    return Picture(
        model=behaviour.model,
        seeds=behaviour.seeds,
        quantities=tuple(one for one in quantities if len(one.curve.steps)),
        over_seeds=tuple(_over_seeds(runs)),
        between_curves=tuple(_between_curves(runs)),
    )


def _of_llc(estimates: llc.Estimates) -> Quantity:
    curve = of_whole_runs(estimates.llc, [run.llc for run in estimates.runs])
    whole = [run.local for run in estimates.runs if len(run.local) == len(curve.steps)]
    return quantity(stages.LLC, curve, np.all(whole, axis=0) if whole else estimates.local)


def quantity(label: str, curve: Curve, trusted: np.ndarray | None = None) -> Quantity:
    """A curve with its boundaries, its finite values alone, or why none were looked for.

    Example:
        >>> steps = np.geomspace(20, 100_000, 60).round()
        >>> shape = -np.abs(np.log1p(steps) - 7)
        >>> peak = quantity("made up", Curve.with_sem("toy", steps, shape, 0 * steps + 0.01, ""))
        >>> [boundary.kind for boundary in peak.ours.boundaries]
        ['peak']
    """
    finite = np.isfinite(curve.value)
    trusted = np.ones(len(finite), bool) if trusted is None else trusted
    curve, trusted = curve.where(finite), trusted[finite]
    nothing = np.full(len(curve.steps), np.nan)
    ours, published, over_steps, refusal = None, None, (), ""
    slope, slope_sd = nothing, nothing
    try:
        ours = _stages(curve.steps, curve, RULE)
        published = _stages(curve.steps, curve, PUBLISHED_RULE)
        over_steps = _over_steps(curve)
        slope, covariance = smooth.slope(ours.fitted, np.log1p(ours.steps_used))
        slope_sd = np.sqrt(np.maximum(np.diag(covariance), 0))
    except InputError as error:
        refusal = str(error).removeprefix("got ")
    return Quantity(
        label=label,
        curve=curve,
        trusted=trusted,
        slope=slope,
        slope_sd=slope_sd,
        ours=ours,
        published=published,
        over_steps=over_steps,
        refusal=refusal,
    )


def _stages(steps: np.ndarray, curve: Curve, rule: Rule | PublishedRule) -> Stages:
    sem = curve.sem if np.isfinite(curve.sem).all() else None
    return find_stages(steps, curve.value, sem, rule)


def _over_steps(curve: Curve) -> tuple[Boundary, ...]:
    """Boundaries by the same rule with the step in the place of ln(step + 1).

    The rule takes logarithms itself: it is given steps whose logarithms grow as the steps do, over
    as many e-folds, and what it finds is turned back.
    """
    last = float(curve.steps[-1])
    per_step = np.log1p(last) / last
    found = _stages(np.expm1(per_step * curve.steps), curve, RULE)

    def back(step: float) -> float:
        return float(np.log1p(step) / per_step)

    return tuple(
        Boundary(
            step=back(b.step),
            low=back(b.low),
            high=back(b.high),
            begin=back(b.begin),
            end=back(b.end),
            kind=b.kind,
            confidence=b.confidence,
            repeats=b.repeats,
        )
        for b in found.boundaries
    )


def _over_seeds(runs: Sequence[stages.RunStages]) -> Iterator[Meeting]:
    """Of each curve every two seeds, in both orders: the first's boundaries in the second's."""
    for first in runs:
        for second in runs:
            if first.label == second.label and first.seed != second.seed:
                yield from _meeting(first, second)


def _between_curves(runs: Sequence[stages.RunStages]) -> Iterator[Meeting]:
    """Of each seed its LLC and its Hessian trace, in both orders."""
    both = {stages.LLC, stages.TRACE}
    for first in runs:
        for second in runs:
            if {first.label, second.label} == both and first.seed == second.seed:
                yield from _meeting(first, second)


def _meeting(first: stages.RunStages, second: stages.RunStages) -> Iterator[Meeting]:
    """Nothing where the first has no boundary, or one of them was not searched."""
    if first.stages is None or second.stages is None or not first.stages.boundaries:
        return
    met = coincidence(first.stages, second.stages)
    yield Meeting(
        first=f"{first.label}, seed {first.seed}",
        second=f"{second.label}, seed {second.seed}",
        inside=met.inside,
        of=met.of,
        expected=met.expected,
        chance=met.chance,
    )
