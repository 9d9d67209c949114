"""The page on minimal pairs."""

from collections.abc import Sequence

import numpy as np

from dynamics.figures import over_training, style
from dynamics.questions.headline import headline
from dynamics.questions.minimal_pairs import figures
from dynamics.questions.minimal_pairs.findings import Judgements
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "Of two sentences that differ in one thing a grammar allows the first. A model's probabilities "
    "of the two, made a distribution over the pair, are compared between seeds, pair by pair."
)


def section(models: Sequence[Judgements], look: style.Look) -> Section:
    """Divergence between seeds, accuracy, and phenomena of the largest model."""
    kl, right = [m.seed_kl for m in models], [m.accuracy for m in models]
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, look),
        findings=_findings(models),
        tracks=[Track(label="accuracy on minimal pairs", curves=right)],
        tables={"Single tasks at the last step": _tasks(models)},
        numbers={
            "pairs_kl": kl,
            "pairs_accuracy": right,
            "pairs_phenomena": {m.model: _phenomena_numbers(m) for m in models},
        },
    )


def _panels(models: Sequence[Judgements], look: style.Look) -> list[Panel]:
    kl, right = [m.seed_kl for m in models], [m.accuracy for m in models]
    first, largest = models[0], models[-1]
    pairs = f"{first.num_pairs:,} pairs of {len(first.tasks)} tasks ({first.source})"
    bands = words.bands(kl, len(first.seeds), "the pairs held fixed", style.ceiling(kl))
    return [
        Panel(
            name="pairs-kl",
            title="Divergence between seeds on minimal pairs",
            caption=f"Mean over {pairs} and over ordered pairs of seeds; 0 where seeds agree on "
            f"every pair. {bands}",
            draw=lambda: over_training.panel(
                kl, look, "KL between seeds (nats per pair)", band=True, cut=True
            ),
            table=Table.of_curves(kl, "KL between seeds (nats per pair)"),
        ),
        Panel(
            name="pairs-accuracy",
            title="Minimal pairs judged right",
            caption="Share of pairs whose good sentence is the likelier, mean over seeds. "
            f"{words.bars(right)}",
            draw=lambda: figures.accuracy(models, look),
            table=Table.of_curves(right, "accuracy"),
        ),
        Panel(
            name="pairs-phenomena",
            title=f"Where seeds differ, {largest.model}",
            caption="Divergence between seeds by phenomenon, mean over its pairs: the most "
            "divergent at the last step above. The colours have no error.",
            draw=lambda: figures.phenomena(largest),
            table=_phenomena(largest),
        ),
    ]


def _phenomena(judgements: Judgements) -> Table:
    """A row for each step and phenomenon, the last step first."""
    pooled, steps = judgements.phenomena, judgements.steps
    k, r = (axis.ravel() for axis in np.indices(pooled.kl.shape))
    k = k[::-1].reshape(pooled.kl.shape).ravel()
    return Table(
        columns={
            "phenomenon": [pooled.names[place] for place in r],
            "model": [judgements.model] * k.size,
            "step": steps[k].tolist(),
            "pairs": pooled.sizes[r].astype(int).tolist(),
            "KL between seeds (nats per pair)": pooled.kl[k, r].tolist(),
            "accuracy": pooled.accuracy[k, r].tolist(),
        }
    )


def _phenomena_numbers(judgements: Judgements) -> dict[str, object]:
    pooled = judgements.phenomena
    return {
        "names": pooled.names,
        "steps": judgements.steps,
        "kl": pooled.kl,
        "accuracy": pooled.accuracy,
    }


def _tasks(models: Sequence[Judgements]) -> Table:
    """A row for each task of each model, the one that divides its seeds most first."""
    rows = [(m, q) for m in models for q in np.argsort(-m.last_kl, kind="stable").tolist()]
    return Table(
        columns={
            "task": [m.tasks[q] for m, q in rows],
            "model": [m.model for m, _ in rows],
            "pairs": [int(m.sizes[q]) for m, q in rows],
            "KL between seeds (nats per pair)": [float(m.last_kl[q]) for m, q in rows],
        }
    )


def _findings(models: Sequence[Judgements]) -> list[Finding]:
    own = [_finding(judgements) for judgements in models]
    shares = {m.model: 100 * float(m.accuracy.value[-1]) for m in models}
    sentence = (
        f"Of minimal pairs {words.by_model(shares, ' %')} are judged right at the last step; a "
        "guess is right in 50 %."
    )
    return [*headline(sentence, own), *own]


def _finding(judgements: Judgements) -> Finding:
    """Whether the last accuracy is surely better, or worse, than a guess."""
    curve = judgements.accuracy
    share, sem = float(curve.value[-1]), float(curve.sem[-1])
    grade = grades.judge(share - 0.5, sem)
    side = "better than" if share > 0.5 else "worse than"
    verdict = f", {side} a guess" if grade == "sure" else ", not surely other than a guess"
    return Finding(
        sentence=f"{judgements.model} judges {100 * share:.1f} % of minimal pairs right at step "
        f"{curve.steps[-1]}{verdict}.",
        rests_on=f"{len(judgements.tasks)} tasks, {len(judgements.seeds)} seeds",
        grade=grade,
    )
