"""The page on minimal pairs."""

from collections.abc import Sequence

from dynamics.figures import style
from dynamics.questions.minimal_pairs import figures
from dynamics.questions.minimal_pairs.findings import Judgements
from dynamics.report import words
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
        findings=[_finding(judgements) for judgements in models],
        tracks=[Track(label="accuracy on minimal pairs", curves=right)],
        numbers={"pairs_kl": kl, "pairs_accuracy": right},
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
            draw=lambda: figures.seed_kl(models, look),
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
            f"divergent at the last step above. {_extremes(largest)}".strip(),
            draw=lambda: figures.phenomena(largest),
            table=_phenomena(largest),
        ),
    ]


def _extremes(judgements: Judgements) -> str:
    farthest, nearest = map(words.listed, judgements.extremes(3))
    if not farthest:
        return ""
    return f"Of single tasks {farthest} divide the seeds most at the last step, {nearest} least."


def _phenomena(judgements: Judgements) -> Table:
    pooled, count = judgements.phenomena, len(judgements.phenomena.names)
    return Table(
        columns={
            "phenomenon": pooled.names,
            "model": [judgements.model] * count,
            "step": [int(judgements.steps[-1])] * count,
            "pairs": pooled.sizes.astype(int).tolist(),
            "KL between seeds (nats per pair)": pooled.kl[-1].tolist(),
            "accuracy": pooled.accuracy[-1].tolist(),
        }
    )


def _finding(judgements: Judgements) -> Finding:
    """Whether the last accuracy is surely better, or worse, than a guess."""
    curve = judgements.accuracy
    share, sem = float(curve.value[-1]), float(curve.sem[-1])
    sure = abs(share - 0.5) > 3 * sem  # False where the error is NaN
    side = "better than" if share > 0.5 else "worse than"
    verdict = f", {side} a guess" if sure else ", not surely other than a guess"
    return Finding(
        sentence=f"{judgements.model} judges {100 * share:.1f} % of minimal pairs right at step "
        f"{curve.steps[-1]}{verdict}.",
        rests_on=f"{len(judgements.tasks)} tasks, {len(judgements.seeds)} seeds",
        grade="sure" if sure else "unsure",
    )
