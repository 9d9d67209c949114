"""The page on the divergence of seeds beside the surprisal of n-grams."""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.headline import headline
from dynamics.questions.predictability import figures
from dynamics.questions.predictability.findings import Predictability
from dynamics.report import grades, words
from dynamics.report.section import Finding, Grade, Panel, Section, Table, Track

INTRODUCTION = (
    "n-grams of the training text (interpolated Kneser-Ney) say how predictable a token is from "
    "the few before it. Does that say where seeds agree? Every prediction belongs to the n whose "
    "n-gram is least surprised at the token; and the KL between seeds at a single prediction is "
    "regressed on the surprisals under all n."
)
EXPLAINED, DIVERGENCE = "variance of KL explained (%)", "KL (nats)"


def section(models: Sequence[Predictability], look: style.Look) -> Section:
    """What n-grams explain, for every model; of the largest the divergence by n."""
    curves = [model.explained for model in models]
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, look),
        findings=_findings(models),
        tracks=[Track(label="KL that n-grams explain (%)", curves=curves)],
        numbers={
            "kl_explained_by_ngrams": curves,
            "kl_explained_by_order": {m.model: _named(m.explained_by) for m in models},
            "kl_by_best_ngram": {m.model: _named(m.by_order) for m in models},
            "predictions_by_best_ngram": {m.model: _named(m.predictions) for m in models},
        },
    )


def _named(by_order: Mapping[int, object]) -> dict[str, object]:
    return {f"n = {n}": number for n, number in by_order.items()}


def _panels(models: Sequence[Predictability], look: style.Look) -> list[Panel]:
    curves, largest = [model.explained for model in models], models[-1]
    of_order, alone = largest.by_order, largest.explained_by
    return [
        Panel(
            name="predictability-explained",
            title="What n-grams explain of the divergence",
            caption="Share of the variance, over single predictions, of the KL between seeds that "
            "a linear function of the n-grams' surprisals explains (R²). "
            f"{words.bars(curves, 'Bands')}",
            draw=lambda: figures.explained(models, look),
            table=Table.of_curves(curves, EXPLAINED),
        ),
        Panel(
            name="predictability-by-order",
            title=f"Divergence by the n-gram that predicts best, {largest.model}",
            caption="Mean KL between seeds over the predictions that the n-gram is least surprised "
            f"at of all: {_shares(largest)}. {words.bars(list(of_order.values()))}",
            draw=lambda: figures.by_order(of_order, DIVERGENCE),
            table=_table(of_order, DIVERGENCE),
        ),
        Panel(
            name="predictability-alone",
            title=f"What a single n explains, {largest.model}",
            caption="The same share as of all n together, for the surprisal under each n alone. "
            f"{words.bars(list(alone.values()))}",
            draw=lambda: figures.by_order(alone, EXPLAINED),
            table=_table(alone, EXPLAINED),
        ),
    ]


def _shares(model: Predictability) -> str:
    """How many of all predictions each n has, in words."""
    total = sum(model.predictions.values())
    parts = [f"n = {n} at {round(100 * k / total)} %" for n, k in model.predictions.items()]
    return words.listed(parts)


def _table(by_order: Mapping[int, Curve], quantity: str) -> Table:
    first, *others = (
        Table.of_curves([curve], f"{quantity}, n = {n}", f", n = {n}")
        for n, curve in by_order.items()
    )
    return first.beside(*others)


def _findings(models: Sequence[Predictability]) -> list[Finding]:
    own = [_finding(model) for model in models]
    shares = {model.model: float(model.explained.value[-1]) for model in models}
    if not np.isfinite(list(shares.values())).all():
        return own
    sentence = (
        f"n-grams explain {words.by_model(shares, ' %')} of the variance of the divergence of "
        "single predictions at the last step."
    )
    return [*headline(sentence, own), *own]


def _finding(model: Predictability) -> Finding:
    """When n-grams explain most, how much at the end, and on which predictions seeds agree."""
    evidence = f"{words.counted(model.documents, 'document')}, these {model.seeds} seeds"
    curve = model.explained.finite()
    if not len(curve.steps):
        return Finding(
            sentence=f"{model.model}: no share of the divergence that n-grams explain is known.",
            rests_on=evidence,
            grade="open",
        )
    most = int(np.argmax(curve.value))
    last = {n: float(by_order.value[-1]) for n, by_order in model.by_order.items()}
    near, far = min(last, key=last.__getitem__), max(last, key=last.__getitem__)
    return Finding(
        sentence=f"{model.model}: of the divergence of single predictions n-grams explain the "
        f"largest share at step {curve.steps[most]}, {words.number(float(curve.value[most]))} % of "
        "its variance, "
        f"and {words.number(float(curve.value[-1]))} % at step {curve.steps[-1]} (95 % interval "
        f"{words.number(float(curve.low[-1]))} to {words.number(float(curve.high[-1]))}); there "
        f"seeds are nearest on tokens that n = {near} predicts best ({words.number(last[near])} "
        f"nats) and farthest on those of n = {far} ({words.number(last[far])}).",
        rests_on=evidence,
        # The sentence says two things: that something is explained, and where seeds are nearer.
        grade=grades.weakest(
            [grades.excludes(float(curve.low[-1]), float(curve.high[-1])), _apart(model, near, far)]
        ),
    )


def _apart(model: Predictability, near: int, far: int) -> Grade:
    """Whether the predictions of two n surely differ in divergence at the last step."""
    of_near, of_far = model.by_order[near], model.by_order[far]
    gap = of_far.value[-1] - of_near.value[-1]
    return grades.judge(gap, np.hypot(of_near.sem[-1], of_far.sem[-1]))
