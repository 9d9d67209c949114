"""The page on convergence."""

from collections.abc import Sequence

from dynamics.analysis.coincidence import Coincidence
from dynamics.analysis.curve import Curve
from dynamics.analysis.phases import Phase
from dynamics.figures import style
from dynamics.questions.convergence import tables
from dynamics.questions.convergence.events import CONTEXT, UNIGRAM
from dynamics.questions.convergence.findings import (
    QUANTILES,
    TARGETS,
    Convergence,
    Findings,
    LastSlope,
)
from dynamics.questions.convergence.panels import panels
from dynamics.questions.convergence.phases import Phases
from dynamics.questions.convergence.sentences import sentences
from dynamics.report.section import Change, Section, Table, Track

INTRODUCTION = (
    "Models that differ only in their random seed read the same text. The "
    "Kullback–Leibler divergence between their next-token distributions is how far apart they are; "
    "entropy and loss are what they became."
)


def section(findings: Findings, look: style.Look) -> Section:
    """The divergence of seeds, and what it rests on."""
    return Section(
        introduction=_introduction(findings.models),
        panels=panels(findings, look),
        findings=sentences(findings),
        tracks=_tracks(findings.models),
        tables=_tables(findings),
        numbers=_numbers(findings),
    )


def _introduction(models: Sequence[Convergence]) -> str:
    """What is compared, how much text is measured, and what one document cannot say."""
    coverage = models[0].divergence.records[0].coverage
    lines = [INTRODUCTION, *([f"Measured: {coverage}"] if coverage else [])]
    lines += [f"{model.model}: {caution}" for model in models for caution in _cautions(model)]
    if len(models[0].divergence.tokens) == 1:
        lines.append(
            "The text is one document: these are its numbers, and no interval says what another "
            "document would give, since that takes two or more."
        )
    return " ".join(lines)


def _cautions(model: Convergence) -> list[str]:
    """What is on record of its seeds; how much hangs on each is in the table of single seeds."""
    return list(dict.fromkeys(r.caution for r in model.divergence.records if r.caution))


def _tables(findings: Findings) -> dict[str, Table]:
    models = findings.models
    absent = tables.absent_phases(models)
    shown = {"Models": tables.at_a_glance(models), "Single seeds": tables.single_seeds(models)}
    phases = tables.phases(models)
    if phases.rows:
        shown["Phases"] = phases
    if absent.rows:
        shown["Phases that are not seen"] = absent
    shown["Events that may be one"] = tables.events(models)
    if findings.ngrams:
        shown["Kneser–Ney n-grams on the same text"] = tables.ngrams(findings.ngrams)
    return shown


def _tracks(models: Sequence[Convergence]) -> list[Track]:
    """The divergence with its phases, the loss, and where models are nearest to word frequency."""
    to_unigram = [model.divergence.kl_unigram for model in models]
    return [
        Track(
            label="KL between seeds (nats per token)",
            curves=[model.divergence.seed_kl for model in models],
            changes=[
                _boundary(model.model, phase)
                for model in models
                if model.phases
                for phase in model.phases.boundaries
            ],
        ),
        Track(
            label="loss (nats per token)",
            curves=[model.divergence.surprisal for model in models],
        ),
        Track(
            label="KL to word frequency (nats per token)",
            curves=to_unigram,
            changes=[_minimum(curve) for curve in to_unigram],
        ),
    ]


def _boundary(model: str, phase: Phase) -> Change:
    assert phase.begin is not None
    step, low, high = phase.begin
    return Change(model=model, step=step, low=low, high=high, name=phase.name)


def _minimum(curve: Curve) -> Change:
    step, unknown = float(curve.steps[curve.value.argmin()]), float("nan")
    return Change(model=curve.model, step=step, low=unknown, high=unknown, name="lowest")


def _numbers(findings: Findings) -> dict[str, object]:
    """Curves by name, intervals by target, phases as plain lists."""
    models, ngrams = findings.models, findings.ngrams
    seeds = [model.divergence for model in models]
    numbers: dict[str, object] = {
        "seed_kl": [seed.seed_kl for seed in seeds],
        "surprisal": [seed.surprisal for seed in seeds],
        "entropy": [seed.entropy for seed in seeds],
        "kl_uniform": [seed.kl_uniform for seed in seeds],
        "kl_unigram": [seed.kl_unigram for seed in seeds],
    }
    js = [model.js for model in models if model.js is not None]
    if js:
        numbers["seed_js"] = js
    for target in TARGETS:
        curves = [m.intervals.curves[target] for m in models if target in m.intervals.curves]
        if curves:
            numbers[f"seed_kl, {target}"] = curves
    phases = {
        model.model: [_plain(phase) for phase in model.phases.phases]
        for model in models
        if model.phases
    }
    if phases:
        numbers["phases"] = phases
        numbers["phases_fit"] = {m.model: _fit(m.phases) for m in models if m.phases}
    for name, other in (
        ("sharp_convergence_and_unigram", UNIGRAM),
        ("reconvergence_and_context", CONTEXT),
    ):
        together = {
            model.model: _gap(events.together)
            for model in models
            for events in model.events
            if events.other == other and events.together is not None
        }
        if together:
            numbers[name] = together
    if ngrams:
        levels = zip(ngrams.orders, ngrams.cross_entropy.tolist(), strict=True)
        numbers["ngram_surprisal"] = {f"n = {order}": loss for order, loss in levels}
    return numbers | _spreads(models)


def _gap(both: Coincidence) -> dict[str, object]:
    return {
        "gap in e-folds of step": list(both.gap),
        "spacing of checkpoints": both.spacing,
        "probability of no farther apart": both.probability,
        "step of the other event": both.step,
    }


def _spreads(models: Sequence[Convergence]) -> dict[str, object]:
    """What is drawn beside the curves: late slopes, interval widths, spreads over predictions."""
    rates = [model.learning_rate for model in models if model.learning_rate is not None]
    slopes = {m.model: m.last_slope for m in models if m.last_slope is not None}
    steps = {model.model: model.divergence.steps for model in models}
    return {
        **({"learning_rate": rates} if rates else {}),
        **({"last_slope": {k: _slope(v) for k, v in slopes.items()}} if slopes else {}),
        "seed_kl_interval_share": {m.model: m.intervals.shares for m in models},
        "token_kl": {
            m.model: {
                "steps": steps[m.model],
                "mean": m.spread.mean,
                "sd": m.spread.sd,
                "quantiles": {
                    f"{level:g}": values
                    for level, values in zip(QUANTILES, m.spread.quantiles.T, strict=True)
                },
            }
            for m in models
        },
    }


def _slope(slope: LastSlope) -> dict[str, object]:
    interval = slope.interval
    return {
        "phase": slope.phase,
        "first_step": slope.first_step,
        "slope": [interval.mean, interval.low, interval.high],
    }


def _fit(phases: Phases) -> dict[str, object]:
    """The fitted pieces at their corners."""
    return {"steps": phases.corners, "value": phases.pieces.at(phases.corners)}


def _plain(phase: Phase) -> dict[str, object]:
    """A phase as lists and numbers alone."""
    return {
        "name": phase.name,
        "slope": list(phase.slope),
        "begin": list(phase.begin) if phase.begin else None,
        "end": list(phase.end) if phase.end else None,
    }
