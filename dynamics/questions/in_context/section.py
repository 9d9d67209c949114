"""The page on in-context learning."""

from collections.abc import Sequence

from dynamics.figures import style
from dynamics.questions.headline import headline
from dynamics.questions.in_context import figures
from dynamics.questions.in_context.findings import ContextBenefit
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "A model is asked for the same token twice: given many tokens before it, and given few. The "
    "difference of the two surprisals is its in-context score (Olsson et al. 2022): what makes "
    "the token hard by itself cancels, and the score is below 0 where a longer context helps."
)


def section(models: Sequence[ContextBenefit], look: style.Look) -> Section:
    """The score of every model, and the two surprisals of the largest."""
    scores = [benefit.score for benefit in models]
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, look),
        findings=_findings(models),
        tracks=[Track(label="in-context score (nats)", curves=scores)],
        numbers={
            "in_context": scores,
            "in_context_surprisal": {
                benefit.model: {
                    f"given {benefit.short} tokens": benefit.given_short,
                    f"given {benefit.long} tokens": benefit.given_long,
                }
                for benefit in models
            },
        },
    )


def _panels(models: Sequence[ContextBenefit], look: style.Look) -> list[Panel]:
    scores, largest = [benefit.score for benefit in models], models[-1]
    asked = words.listed(sorted({benefit.positions for benefit in models}))
    text = f"{largest.num_windows:,} windows of {words.counted(largest.num_documents, 'document')}"
    by_length = [largest.given_short, largest.given_long]
    return [
        Panel(
            name="in-context-score",
            title="What a longer context is worth",
            caption=f"Surprisal of {asked}: the first less the second, mean over {text} and over "
            f"seeds. Dotted: the longer context makes no difference. {words.bars(scores)}",
            draw=lambda: figures.score(models, look),
            table=Table.of_curves(scores, "in-context score (nats)"),
        ),
        Panel(
            name="in-context-surprisal",
            title=f"Surprisal given either context, {largest.model}",
            caption="The score is the distance between the two curves. They part where the model "
            f"begins to use what stands far before the token. {words.bars(by_length)}",
            draw=lambda: figures.surprisals(largest),
            table=_surprisals(largest),
        ),
    ]


def _surprisals(benefit: ContextBenefit) -> Table:
    by_length = {benefit.short: benefit.given_short, benefit.long: benefit.given_long}
    given_short, given_long = (
        Table.of_curves([curve], f"given {length} tokens (nats)", f", given {length}")
        for length, curve in by_length.items()
    )
    return given_short.beside(given_long)


def _findings(models: Sequence[ContextBenefit]) -> list[Finding]:
    own = [_finding(benefit) for benefit in models]
    scores = {benefit.model: float(benefit.score.value[-1]) for benefit in models}
    sentence = (
        f"The in-context score ends at {words.by_model(scores, ' nats')}: below 0 a longer context "
        "helps."
    )
    return [*headline(sentence, own), *own]


def _finding(benefit: ContextBenefit) -> Finding:
    """Whether the longer context surely helps, or hurts, at the last step."""
    last = float(benefit.score.value[-1])
    grade = grades.judge(last, benefit.last_sem)
    change = f"{words.number(abs(last))} nats {'less' if last < 0 else 'more'} surprising"
    doubt = "" if grade == "sure" else ", which is not surely other than no difference"
    return Finding(
        sentence=f"To {benefit.model} at step {benefit.score.steps[-1]} a token is {change} given "
        f"{benefit.long} tokens before it than given {benefit.short}{doubt}.",
        rests_on=f"{words.counted(len(benefit.seeds), 'seed')}, "
        f"{words.counted(benefit.num_documents, 'document')}",
        grade=grade,
    )
