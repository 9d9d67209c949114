"""The sentences of the overview on convergence, each with what it rests on and how sure it is."""

import itertools
from collections.abc import Sequence

from dynamics.analysis.phases import Estimate, Phase
from dynamics.figures.style import short_step
from dynamics.questions.convergence.events import CONTEXT, UNIGRAM, Events
from dynamics.questions.convergence.findings import Convergence, Findings
from dynamics.questions.convergence.phases import Phases
from dynamics.questions.convergence.record_ngram import Record as Ngrams
from dynamics.questions.seed_divergence import courses
from dynamics.report import grades, words
from dynamics.report.section import Finding, Grade


def sentences(findings: Findings) -> list[Finding]:
    """Each model's course, phases and last loss, and how the last slope goes with size."""
    models = findings.models
    lines = courses([m.divergence for m in models], "KL between seeds", "nats per token")
    lines += [_phases(model) for model in models]
    lines += [
        _together(model, events)
        for model in models
        for events in model.events
        if events.together is not None
    ]
    lines += [_loss(model, findings.ngrams) for model in models]
    return lines + _size_effect(findings)


def _phases(model: Convergence) -> Finding:
    if model.phases is None:
        return Finding(
            sentence=f"{model.model} has no phases: {model.no_phases.rstrip('.')}.",
            rests_on=model.divergence.evidence,
            grade="open",
        )
    return Finding(
        sentence=f"The seeds of {model.model} go through {_passage(model.phases.phases)}.",
        rests_on=f"{model.phases.pieces.rests_on}; 95 % intervals of straight pieces",
        grade=_phases_grade(model.phases, len(model.divergence.seeds)),
    )


_MEANING = {
    UNIGRAM: "the predictions are nearest to word frequency",
    CONTEXT: "the in-context score begins to fall most steeply",
}


def _together(model: Convergence, events: Events) -> Finding:
    """Whether a boundary lies where something else happens."""
    both = events.together
    assert both is not None
    gap = words.number(abs(both.gap.value))
    limits = f"{words.number(both.gap.low)} to {words.number(both.gap.high)}"
    side = "before" if both.gap.value > 0 else "after"
    sure = not 0.05 < both.probability < 0.95 and len(model.divergence.seeds) > 2
    return Finding(
        sentence=f"{_capital(events.phase)} in {model.model} {gap} e-folds of step {side} "
        f"{_MEANING[events.other]}, at step {short_step(both.step)} (the latter less the former: "
        f"{limits}). They are no farther apart than neighbouring checkpoints, "
        f"{words.number(both.spacing)} e-folds, with a probability of {both.probability:.2f}.",
        rests_on=f"{model.divergence.evidence}, drawn together",
        grade="sure" if sure else "unsure",
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _passage(phases: Sequence[Phase]) -> str:
    if len(phases) == 1:
        return f"{_with_article(phases[0].name)} over all steps measured, and no other phase"
    parts = [
        f"{_with_article(phase.name)} until step {_estimate(phase.end)}"
        if phase.end
        else f"then {_with_article(phase.name)} until the last step"
        for phase in phases
    ]
    return ", ".join(parts)


def _with_article(name: str) -> str:
    return f"a {name}{' phase' if name == 'uniform' else ''}"


def _estimate(step: Estimate) -> str:
    return f"{short_step(step.value)} ({short_step(step.low)} to {short_step(step.high)})"


def _phases_grade(phases: Phases, num_seeds: int) -> Grade:
    """Sure where neighbouring slopes have intervals apart; a single slope has to be apart from 0.

    Under three seeds the intervals are over documents alone, which is not enough.
    """
    slopes = [phase.slope for phase in phases.phases]
    if len(slopes) == 1:
        slopes.append(Estimate(0.0, 0.0, 0.0))
    neighbours = list(itertools.pairwise(slopes))
    apart = all(a.high < b.low or b.high < a.low for a, b in neighbours)
    return "sure" if neighbours and apart and num_seeds > 2 else "unsure"


def _loss(model: Convergence, ngrams: Ngrams | None) -> Finding:
    """The last loss against every n-gram. The text is the same, so that seeds alone are sampled."""
    curve, seeds = model.divergence.surprisal, len(model.divergence.seeds)
    last, sem = float(curve.value[-1]), float(curve.sem[-1])
    ends = f"{model.model} ends at a loss of {words.number(last)} nats per token"
    if ngrams is None:
        return Finding(sentence=f"{ends}.", rests_on=f"{seeds} seeds", grade="open")
    losses = ngrams.cross_entropy
    beaten = [str(n) for n, loss in zip(ngrams.orders, losses, strict=True) if last < loss]
    rank = f"below Kneser–Ney with n = {words.listed(beaten)}" if beaten else "above every n-gram's"
    return Finding(
        sentence=f"{ends}, {rank} on the same text.",
        rests_on=f"{seeds} seeds, these documents",
        grade=grades.judge(losses - last, sem) if seeds > 2 else "open",
    )


def _size_effect(findings: Findings) -> list[Finding]:
    effect = findings.size_effect
    if effect is None:
        return []
    apart_from_zero = grades.excludes(effect.low, effect.high)
    limits = f"{words.number(effect.low)} to {words.number(effect.high)}"
    return [
        Finding(
            sentence=f"For each factor e in size the slope of the last phase changes by "
            f"{words.number(effect.mean)} ({limits}) nats per e-fold of step. "
            f"{findings.size_caution}".strip(),
            rests_on=effect.rests_on,
            grade="unsure" if findings.size_caution else apart_from_zero,
        )
    ]
