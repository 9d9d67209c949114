"""The page on development."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynamics.figures import over_training, style
from dynamics.questions.development.findings import Development
from dynamics.questions.headline import headline
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "What a transformer that learns in-context linear regression does, and what its weights look "
    "like, checkpoint by checkpoint (Hoogland et al. 2024, appendix D): first it predicts the mean "
    "task, then it uses the pairs before, then weights and norms collapse. The stages of its loss "
    "landscape are on the page of stages, by rule and not by eye."
)
BEHAVIOUR, STRUCTURE = "Behaviour", "Structure"


@dataclass(frozen=True)
class _Quantity:
    """One panel: the curve's name in `Development`, and its words."""

    name: str
    title: str
    label: str
    caption: str
    group: str


_QUANTITIES = (
    _Quantity(
        "loss", "Test loss", "mean squared error",
        "Over contexts and pairs. Between the trivial predictor, which says 0, and ridge "
        "regression on the pairs before, the best there is; both are in the findings.", BEHAVIOUR,
    ),
    _Quantity(
        "mean_square", "Distance from predicting 0", "E[ŷ²]",
        "The mean square of predictions. With fresh tasks of mean 0 it is also the distance from "
        "the task prior; it falls where the context is ignored and rises where it is used.",
        BEHAVIOUR,
    ),
    _Quantity(
        "from_prior", "Distance from the task prior", "E[(ŷ − x·t̄)²]",
        "Of predictions from those of the mean task t̄ of a finite set. Where its lowest value lies "
        "below that of E[ŷ²] the model learns the prior and not just to say 0.", BEHAVIOUR,
    ),
    _Quantity(
        "icl_early", "In-context learning of the first pairs", "ICL 1:D (squared error)",
        "Error at pair D, the size of a task, less the error at the first. Below 0 the pairs "
        "between help.", BEHAVIOUR,
    ),
    _Quantity(
        "icl_late", "In-context learning of the later pairs", "ICL D:K (squared error)",
        "Error at the last pair less the error at pair D.", BEHAVIOUR,
    ),
    _Quantity(
        "far_inputs", "Inputs out of distribution", "squared error / g",
        "Inputs scaled by √g, targets with them; errors divided by g.", BEHAVIOUR,
    ),
    _Quantity(
        "far_tasks", "Tasks out of distribution", "squared error / g",
        "Tasks scaled by √g, targets with them; errors divided by g.", BEHAVIOUR,
    ),
    _Quantity(
        "weight_norm", "Length of the weights", "norm of all weights",
        "It grows without weight decay.", STRUCTURE,
    ),
    _Quantity(
        "least_embed_share", "Embedding collapse", "share of squared singular values",
        "Of the weakest component of the embedding. Where it vanishes inputs and targets share a "
        "subspace.", STRUCTURE,
    ),
    _Quantity(
        "position_in_embed", "Positions within the embedding", "share of squares",
        "Of the positions, projected onto the span of the embedding.", STRUCTURE,
    ),
    _Quantity(
        "small_scales", "Layer norm collapse", "share of scales below 0.1",
        "Of all layer norms together.", STRUCTURE,
    ),
    _Quantity(
        "final_scales", "Unembedding collapse", "share of scales below 0.1",
        "Of the last layer norm, which feeds the unembedding.", STRUCTURE,
    ),
    _Quantity(
        "least_entropy", "The hardest head", "attention entropy / log length",
        "The lowest normalised entropy of any head's attention from x-tokens or from y-tokens: 1 "
        "looks at all alike, 0 at one place.", STRUCTURE,
    ),
)  # fmt: skip


def section(models: Sequence[Development], look: style.Look) -> Section:
    """Behaviour first, structure below."""
    losses = [m.loss for m in models]
    # Of fresh tasks the distance from the prior is that from 0.
    finite = any(m.finite for m in models)
    quantities = [q for q in _QUANTITIES if finite or q.name != "from_prior"]
    return Section(
        introduction=INTRODUCTION,
        panels=[_panel(models, look, quantity) for quantity in quantities],
        findings=_findings(models),
        tracks=[Track(label="test loss (squared error)", curves=losses)],
        numbers={f"development_{q.name}": [getattr(m, q.name) for m in models] for q in quantities},
    )


def _panel(models: Sequence[Development], look: style.Look, quantity: _Quantity) -> Panel:
    curves = [getattr(m, quantity.name) for m in models]
    return Panel(
        name=f"development-{quantity.name.replace('_', '-')}",
        title=quantity.title,
        caption=f"{quantity.caption} {words.bars(curves)}".strip(),
        draw=lambda: over_training.panel(curves, look, quantity.label),
        table=Table.of_curves(curves, quantity.label),
        group=quantity.group,
    )


def _findings(models: Sequence[Development]) -> list[Finding]:
    learned = [_learned(m) for m in models]
    scores = {m.model: float(m.icl_early.value[-1]) for m in models}
    sentence = f"ICL 1:D ends at {words.by_model(scores)}: below 0 the context helps."
    rest = [finding for m in models for finding in (_prior(m), _loss(m), _heads(m))]
    return [*headline(sentence, learned), *learned, *rest]


def _evidence(m: Development) -> str:
    return f"{words.counted(len(m.seeds), 'seed')}, {m.num_contexts:,} contexts"


def _learned(m: Development) -> Finding:
    """Whether it surely learns in context at the last step."""
    last, sem = float(m.icl_early.value[-1]), float(m.icl_early.sem[-1])
    helps = "less" if last < 0 else "more"
    return Finding(
        sentence=f"{m.model} errs by {words.number(abs(last))} {helps} at pair D than at the first "
        f"pair, at step {m.icl_early.steps[-1]}.",
        rests_on=_evidence(m),
        grade=grades.judge(last, sem),
    )


def _prior(m: Development) -> Finding:
    """Whether it came nearer to the mean task than it began, before it left it."""
    value, step = m.lowest_from_prior
    first, last = float(m.from_prior.value[0]), float(m.from_prior.value[-1])
    begun, sem = m.from_prior.value[0] - value, float(m.from_prior.sem[0])
    distance, zero = "E[ŷ²]", ""
    if m.finite:
        distance = "E[(ŷ − x·t̄)²]"
        nearest, at = m.lowest_mean_square
        zero = f" The nearest to predicting 0 it comes is {words.number(nearest)}, at step {at}."
    return Finding(
        sentence=f"{m.model} is nearest to the mean task at step {step}: {distance} is "
        f"{words.number(value)} there, {words.number(first)} at the first step and "
        f"{words.number(last)} at the last.{zero}",
        rests_on=_evidence(m),
        grade=grades.judge(float(begun), sem),
    )


def _loss(m: Development) -> Finding:
    last, sem = float(m.loss.value[-1]), float(m.loss.sem[-1])
    return Finding(
        sentence=f"The loss of {m.model} ends at {words.number(last)}; predicting 0 loses "
        f"{words.number(m.trivial_loss)}, ridge regression {words.number(m.ridge_loss)}.",
        rests_on=_evidence(m),
        grade=grades.judge(m.trivial_loss - last, sem),
    )


def _heads(m: Development) -> Finding:
    seen = [f"{head.name} ({head.target}-tokens: {head.kind})" for head in m.heads]
    what = words.listed(seen) if seen else "none"
    return Finding(
        sentence=f"Heads of {m.model} that surely look at one place at its last step: {what}.",
        rests_on=f"seed {m.seeds[0]}, {m.num_contexts:,} contexts; 80 % of the attention and "
        "variability below 0.2",
        grade="sure" if seen else "open",
    )
