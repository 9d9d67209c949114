"""Whether seeds converge to one model: their divergence over training, its phases and its errors.

Axes: K steps (ascending), S seeds, G documents, W windows, P predictions of a window. Nats per
token.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dynamics.analysis import slopes, uncertainty
from dynamics.analysis.curve import Curve
from dynamics.analysis.leave_one_out import SeedEffect, seed_effects
from dynamics.analysis.pairs import pair_curve
from dynamics.analysis.uncertainty import Interval
from dynamics.errors import InputError
from dynamics.questions.committed import Committed, by_largest_seed_set, natural
from dynamics.questions.convergence import record, record_ngram
from dynamics.questions.convergence.events import Events, events
from dynamics.questions.convergence.phases import Phases, find_phases
from dynamics.questions.in_context.findings import ContextBenefit
from dynamics.questions.in_context.findings import find as find_context_benefit
from dynamics.questions.seed_divergence import Divergence, divergence

# What else might have been sampled -> the interval that holds for it, shortest name first.
TARGETS: Mapping[str, Callable[[np.ndarray, np.ndarray], Interval]] = {
    "other seeds, these documents": uncertainty.seed_interval,
    "these seeds, other documents": uncertainty.document_interval,
    "other seeds, other documents": uncertainty.population_interval,
}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True, eq=False)
class Intervals:
    """The 95 % intervals of one model's seed-pair KL, by target.

    Attributes:
        curves: target -> the KL with its interval, where every step has one.
        shares: target -> [K] half the width of that interval, % of the KL.
        last: target -> the interval at the last step.
        refusals: target -> why the last step has none.
    """

    curves: Mapping[str, Curve]
    shares: Mapping[str, np.ndarray]
    last: Mapping[str, Interval]
    refusals: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class LastSlope:
    """Slope of a straight line through the steps of the last of several phases.

    Attributes:
        influences: the slope and what every seed and document adds to its error.
        interval: 95 %, over other seeds and documents, the steps held fixed; nats per e-fold of
            step + 1.
        phase: name of the phase.
        first_step: of the line.
    """

    influences: slopes.Influences = field(repr=False)
    interval: Interval
    phase: str
    first_step: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenSpread:
    """How the pair-mean KL of single predictions is spread: no error of its mean.

    Attributes:
        quantiles: [K,5] at `QUANTILES`.
        mean, sd: [K] over predictions.
    """

    quantiles: np.ndarray
    mean: np.ndarray
    sd: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Convergence:
    """What the seeds of one model show.

    Attributes:
        divergence: how far apart they predict, and what they became.
        js: pair mean of the Jensen-Shannon divergence, with its interval over seeds, these
            documents held fixed; None in older results.
        intervals: of the KL.
        phases: of the KL; None where there are none.
        no_phases: why there are none; "" where there are.
        last_slope: of the KL in the last phase; None where there are fewer than two phases.
        events: boundaries of phases beside what is said to coincide with them.
        spread: over single predictions.
        seed_effects: [S] what each seed does to the mean at the last step.
        outlier_steps: [S] at how many of the K steps each seed lies apart.
        learning_rate: at each step; None where it is not known.
        size: parameters of the model, as stored or as its name has it; None where neither does.
    """

    divergence: Divergence
    js: Curve | None
    intervals: Intervals
    phases: Phases | None
    no_phases: str
    last_slope: LastSlope | None
    events: tuple[Events, ...]
    spread: TokenSpread
    seed_effects: tuple[SeedEffect, ...]
    outlier_steps: tuple[int, ...]
    learning_rate: Curve | None
    size: float | None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.divergence.model


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """What all models show.

    Attributes:
        models: by size.
        ngrams: the yardstick; None where it was not measured.
        contexts: the findings on in-context learning, which the overview shows too.
        size_effect: change of the last slope per e-fold of size; None with fewer than two sizes.
        size_caution: why there is none, or what it must not be taken for; "" for nothing.
    """

    models: tuple[Convergence, ...]
    ngrams: record_ngram.Record | None
    contexts: Sequence[ContextBenefit]
    size_effect: Interval | None
    size_caution: str


def find(committed: Committed) -> Findings | None:
    """Findings on the largest set of seeds of every model. What cannot be computed says why."""
    units = by_largest_seed_set(committed.of(record.MEASURE))
    if not units:
        return None
    contexts = committed.findings(find_context_benefit) or []
    by_model = {benefit.model: benefit for benefit in contexts}
    models = tuple(
        _convergence(
            divergence(model, pairs, [record.from_dataset(data) for _, data in pairs]),
            by_model.get(model),
        )
        for model, pairs in units.items()
    )
    yardsticks = [record_ngram.from_dataset(data) for _, data in committed.of(record_ngram.MEASURE)]
    size_effect, size_caution = _size_effect(models)
    return Findings(
        models=models,
        ngrams=yardsticks[0] if yardsticks else None,  # the suite's own before an older form
        contexts=contexts,
        size_effect=size_effect,
        size_caution=size_caution,
    )


def _convergence(seeds: Divergence, benefit: ContextBenefit | None) -> Convergence:
    try:
        phases, no_phases = find_phases(seeds.steps, seeds.kl, seeds.tokens), ""
    except InputError as error:
        phases, no_phases = None, str(error)
    effects = [seed_effects(step, seeds.tokens) for step in seeds.kl]
    named_size = natural(seeds.model)[0][0]
    return Convergence(
        divergence=seeds,
        js=_jensen_shannon(seeds),
        intervals=_intervals(seeds),
        phases=phases,
        no_phases=no_phases,
        last_slope=_last_slope(seeds, phases),
        events=events(seeds, phases, benefit),
        spread=_token_spread(seeds),
        seed_effects=effects[-1],
        outlier_steps=tuple(
            sum(effect.outlier for effect in of_seed) for of_seed in zip(*effects, strict=True)
        ),
        learning_rate=_learning_rate(seeds),
        size=seeds.records[0].num_parameters or named_size or None,
    )


def _jensen_shannon(seeds: Divergence) -> Curve | None:
    js = [numbers.js for numbers in seeds.records if numbers.js is not None]
    if len(js) < len(seeds.records):
        return None
    return pair_curve(seeds.model, seeds.steps, js, seeds.tokens, "seeds")


def _intervals(seeds: Divergence) -> Intervals:
    curves, last, refusals = {}, {}, {}
    for target in TARGETS:
        by_step, refusal = _by_step(seeds, target)
        if refusal:
            refusals[target] = refusal
        else:
            last[target] = by_step[-1]
        if len(by_step) == len(seeds.steps):
            curves[target] = Curve.with_limits(
                seeds.model,
                seeds.steps,
                [interval.mean for interval in by_step],
                [interval.low for interval in by_step],
                [interval.high for interval in by_step],
                f"95 % interval over {by_step[0].rests_on}",
            )
    shares = {
        target: 50 * (curve.high - curve.low) / curve.value for target, curve in curves.items()
    }
    return Intervals(curves=curves, shares=shares, last=last, refusals=refusals)


def _by_step(seeds: Divergence, target: str) -> tuple[list[Interval], str]:
    """Intervals of the steps that have one, and why the last has none ("" where it has)."""
    by_step, refusal = [], ""
    for kl in seeds.kl:
        refusal = ""
        try:
            by_step.append(TARGETS[target](kl, seeds.tokens))
        except InputError as error:
            refusal = str(error)
    return by_step, refusal


def _last_slope(seeds: Divergence, phases: Phases | None) -> LastSlope | None:
    begin = phases.phases[-1].begin if phases else None
    if phases is None or begin is None:
        return None
    inside = np.flatnonzero(seeds.steps >= begin.value * (1 - 1e-9))
    if len(inside) < 2:
        return None
    influences = slopes.slope(seeds.steps[inside], seeds.kl[inside], seeds.tokens)
    return LastSlope(
        influences=influences,
        interval=slopes.interval(influences),
        phase=phases.phases[-1].name,
        first_step=int(seeds.steps[inside[0]]),
    )


def _token_spread(seeds: Divergence) -> TokenSpread:
    tokens = [numbers.token_kl.astype(np.float64) for numbers in seeds.records]
    return TokenSpread(
        quantiles=np.stack([np.quantile(step, QUANTILES) for step in tokens]),
        mean=np.array([step.mean() for step in tokens]),
        sd=np.array([step.std() for step in tokens]),
    )


def _learning_rate(seeds: Divergence) -> Curve | None:
    rates = [numbers.learning_rate for numbers in seeds.records]
    rates = [rate for rate in rates if rate is not None]
    if len(rates) < len(seeds.records):
        return None
    nothing = np.full(len(rates), np.nan)
    return Curve.with_limits(seeds.model, seeds.steps, rates, nothing, nothing, "")


def _size_effect(models: Sequence[Convergence]) -> tuple[Interval | None, str]:
    """How the last slope goes with size, and what is to be said of it."""
    sized = [(m.size, m.last_slope) for m in models if m.size and m.last_slope]
    sizes = [size for size, _ in sized]
    distinct = len(set(sizes))
    if distinct < 2:
        return None, (
            "There is no regression on size: it needs the last slope of two models of different, "
            "known size."
        )
    cautions = []
    if distinct == 2:
        cautions.append(
            "Two sizes only: a line through two points shows no misfit, and nothing of other sizes."
        )
    names = sorted({slope.phase for _, slope in sized})
    if len(names) > 1:
        cautions.append(f"The last phases are not of one kind ({', '.join(names)}).")
    effect = slopes.against_size(sizes, [slope.influences for _, slope in sized])
    return effect, " ".join(cautions)
