"""The page on the causes of divergence."""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import over_training, style
from dynamics.questions.causes import figures
from dynamics.questions.causes.findings import CausesOfDivergence
from dynamics.questions.headline import headline
from dynamics.report import words
from dynamics.report.section import Finding, Grade, Panel, Section, Table, Track

INTRODUCTION = (
    "Every initialisation is trained on every data order. Runs that share one of the two are "
    "nearer to each other than runs that share nothing; what sharing a cause saves is what that "
    "cause makes of the divergence. Of close runs, whose KL is half a squared distance, these are "
    "the variance components of their log-probabilities; of runs far apart they are differences "
    "of means all the same, and what is made by both at once may fall below 0."
)


def section(models: Sequence[CausesOfDivergence], look: style.Look) -> Section:
    """The shares of both causes, their parts with intervals, and the divergences they are of."""
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, look),
        findings=_findings(models),
        tracks=[
            Track(
                label=f"KL made by the {cause} (nats)",
                curves=[causes.parts[cause] for causes in models],
            )
            for cause in ("initialisation", "data order")
        ],
        numbers={
            "kl_by_cause": {causes.model: dict(causes.parts) for causes in models},
            "kl_by_what_runs_share": {causes.model: dict(causes.kinds) for causes in models},
            "kl_shares_of_causes": {
                causes.model: {"steps": causes.steps, **causes.shares} for causes in models
            },
            "causes_loss": [causes.loss for causes in models],
        },
    )


def _panels(models: Sequence[CausesOfDivergence], look: style.Look) -> list[Panel]:
    losses = [causes.loss for causes in models]
    return [
        Panel(
            name="causes-shares",
            title="What sets runs apart",
            caption="Of the divergence of runs that share nothing, the share that the "
            "initialisation makes (solid), the data order (dashed) and both at once (dotted); the "
            "three sum to 100 %. Their intervals are in the panels of each model.",
            draw=lambda: figures.shares(models, look),
            table=_share_table(models),
        ),
        *(panel for causes in models for panel in _panels_of(causes)),
        Panel(
            name="causes-loss",
            title="Cross-entropy",
            caption=f"Of all runs on the same text. {words.bars(losses)}",
            draw=lambda: over_training.panel(losses, look, "cross-entropy (nats per token)"),
            table=Table.of_curves(losses, "cross-entropy (nats per token)"),
        ),
    ]


def _panels_of(causes: CausesOfDivergence) -> list[Panel]:
    fixed = (
        "Bands: 95\u00a0% intervals over other initialisations and data orders, these "
        f"{words.counted(causes.documents, 'document')} held fixed; a band may leave the panel."
    )
    return [
        Panel(
            name=f"causes-parts-{causes.model}",
            title=f"What each cause makes of the divergence, {causes.model}",
            caption="What runs that share nothing are nearer by if they come to share the "
            f"initialisation or the data order, and what is made by both at once. {fixed}",
            draw=lambda: figures.curves(causes.parts),
            table=_table(causes.parts),
            group=causes.model,
        ),
        Panel(
            name=f"causes-kinds-{causes.model}",
            title=f"Divergence by what runs share, {causes.model}",
            caption=f"Mean KL of {causes.inits} × {causes.orders} runs, by what two of them share. "
            f"{fixed}",
            draw=lambda: figures.curves({f"share {name}": c for name, c in causes.kinds.items()}),
            table=_table(causes.kinds),
            group=causes.model,
        ),
    ]


def _table(named: Mapping[str, Curve]) -> Table:
    first, *others = (
        Table.of_curves([curve], f"{name} (nats)", f", {name}") for name, curve in named.items()
    )
    return first.beside(*others)


def _share_table(models: Sequence[CausesOfDivergence]) -> Table:
    return Table.of_rows(
        [
            {
                "model": causes.model,
                "step": int(step),
                **{f"{name} (%)": float(share[k]) for name, share in causes.shares.items()},
            }
            for causes in models
            for k, step in enumerate(causes.steps)
        ]
    )


def _findings(models: Sequence[CausesOfDivergence]) -> list[Finding]:
    own = [_finding(causes) for causes in models]
    shares = {
        causes.model: float(causes.shares["initialisation"][causes.last])
        for causes in models
        if causes.last is not None
    }
    if len(shares) < len(models):
        return own
    sentence = (
        "Of the divergence of runs that share nothing, the initialisation ends with making "
        f"{words.by_model(shares, ' %')}."
    )
    return [*headline(sentence, own), *own]


def _finding(causes: CausesOfDivergence) -> Finding:
    """The three parts at the last step, and when the initialisation came to make less than half."""
    evidence = (
        f"{causes.inits} initialisations × {causes.orders} data orders, these "
        f"{words.counted(causes.documents, 'document')}"
    )
    at = causes.last
    if at is None:
        return Finding(
            sentence=f"{causes.model}: runs that share the initialisation alone, the data order "
            "alone, and nothing were not all measured, and the causes cannot be told apart.",
            rests_on=evidence,
            grade="open",
        )
    parts = words.listed([_said(name, curve, at) for name, curve in causes.parts.items()])
    whole = words.number(float(causes.kinds["nothing"].value[at]))
    since = (
        "more than half to the end"
        if causes.forgotten is None
        else f"less than half from step {causes.forgotten} on"
    )
    first, other = (causes.parts[name] for name in ("initialisation", "data order"))
    return Finding(
        sentence=f"{causes.model} at step {causes.steps[at]}: of {whole} nats between runs that "
        f"share nothing, {parts}; the initialisation makes {since}.",
        rests_on=evidence,
        grade=_apart(first, other, at),
    )


def _said(name: str, curve: Curve, at: int) -> str:
    mean, low, high = (words.number(float(v[at])) for v in (curve.value, curve.low, curve.high))
    made = "made by" if name.startswith("both") else "by the"
    limits = f" (95 % interval {low} to {high})" if curve.has_errors else ""
    return f"{mean} {made} {name}{limits}"


def _apart(part: Curve, other: Curve, at: int) -> Grade:
    """Whether the intervals say which of two causes makes more."""
    gap = max(part.low[at] - other.high[at], other.low[at] - part.high[at])
    if not np.isfinite(gap):
        return "open"
    return "sure" if gap > 0 else "unsure"
