"""The page on phases under several warm-ups."""

from collections import Counter
from collections.abc import Sequence

from dynamics.analysis.moves import Verdict
from dynamics.figures import style
from dynamics.questions.warmup import figures
from dynamics.questions.warmup.findings import BoundaryMove, WarmedUp, WarmUps
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table

INTRODUCTION = (
    "These models differ in their warm-up alone: they see the same tokens in the same order, and "
    "their learning rate reaches the same height sooner or later. An event that comes with the "
    "tokens lies at one step in all; one that comes with the warm-up moves by as much as the "
    "warm-up does. Intervals are over seeds, and over documents that all models share."
)
_SAID: dict[Verdict, str] = {
    "stays": "it may stay where it is in tokens, and does not go all the way along",
    "goes along": "it goes along with the warm-up",
    "neither": "it neither stays nor goes all the way along",
    "not told apart": "whether it stays or goes along is not told apart",
}

_COUNTED: dict[Verdict, str] = {
    "stays": "may be none and cannot be as long as the warm-up's",
    "goes along": "may be as long as the warm-up's and cannot be none",
    "neither": "can be neither none nor as long as the warm-up's",
    "not told apart": "may be none or as long as the warm-up's",
}


def section(warmups: WarmUps, look: style.Look) -> Section:
    """Where phases begin against the warm-up, and the divergence of every model."""
    models = warmups.models
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, warmups.alike, look),
        findings=_findings(warmups),
        tables={"Moves of the boundaries": _moves(warmups.moves)} if warmups.moves else {},
        numbers={
            "kl_by_warmup": [model.seed_kl for model in models],
            "boundaries_by_warmup": {
                model.model: {
                    "warmup": model.warmup,
                    **{event: list(begin) for event, begin in model.boundaries.items()},
                }
                for model in models
            },
        },
    )


def _panels(models: Sequence[WarmedUp], alike: bool, look: style.Look) -> list[Panel]:
    curves = [model.seed_kl for model in models]
    seeds = min(model.seeds for model in models)
    divergence = Panel(
        name="warmup-kl",
        title="Divergence under every warm-up",
        caption="Mean over pairs of seeds. "
        + words.bands(curves, seeds, "these documents held fixed", end=style.ceiling(curves)),
        draw=lambda: figures.divergence(models, look),
        table=Table.of_curves(curves, "KL between seeds (nats)"),
    )
    if not any(model.boundaries for model in models):
        return [divergence]
    begins = Panel(
        name="warmup-boundaries",
        title="Where the divergence turns, and phases begin",
        caption="Level: an event comes with the tokens, whatever the warm-up. Bars: 95\u00a0% "
        f"intervals over seeds and documents. {_phases_compared(alike, models)}".strip(),
        draw=lambda: figures.boundaries(models),
        table=_boundaries(models),
    )
    return [begins, divergence]


def _phases_compared(alike: bool, models: Sequence[WarmedUp]) -> str:
    """Why boundaries of phases are left out; "" where they are not."""
    if alike:
        return ""
    passages = [
        f"{model.model} through {', '.join(model.phases) or 'none that is seen'}"
        for model in models
    ]
    return (
        f"The models are not seen to go through the same phases ({'; '.join(passages)}), so that "
        "beginnings of phases are not compared."
    )


def _boundaries(models: Sequence[WarmedUp]) -> Table:
    return Table.of_rows(
        [
            {
                "model": model.model,
                "warm-up (steps)": model.warmup,
                "event": event,
                "at step": begin.value,
                "low": begin.low,
                "high": begin.high,
            }
            for model in models
            for event, begin in model.boundaries.items()
        ]
    )


def _moves(moves: Sequence[BoundaryMove]) -> Table:
    return Table.of_rows(
        [
            {
                "event": each.event,
                "from a warm-up of": each.shorter.warmup,
                "to one of (steps)": each.longer.warmup,
                "moves by (e-folds)": each.move.shift.value,
                "low": each.move.shift.low,
                "high": each.move.shift.high,
                "the warm-up by (e-folds)": each.move.full,
                "so that": each.move.verdict,
            }
            for each in moves
        ]
    )


def _findings(warmups: WarmUps) -> list[Finding]:
    own = [_finding(each) for each in warmups.moves]
    listed = words.listed([f"{model.warmup} ({model.model})" for model in warmups.models])
    evidence = f"{min(model.seeds for model in warmups.models)} seeds of each model"
    if not own:
        reasons = dict.fromkeys(m.no_phases for m in warmups.models if m.no_phases)
        why = words.listed(list(reasons)) or "no event is seen in two neighbours of them"
        sentence = f"Under warm-ups of {listed} steps no event can be compared: {why}."
        return [Finding(sentence=sentence, rests_on=evidence, grade="open")]
    counts: Counter[Verdict] = Counter(each.move.verdict for each in warmups.moves)
    summary = words.listed([f"{count} {_COUNTED[verdict]}" for verdict, count in counts.items()])
    return [
        Finding(
            sentence=f"Under warm-ups of {listed} steps, of {words.counted(len(own), 'move')} of "
            f"an event from one to the next: {summary}.",
            rests_on=evidence,
            grade=grades.weakest(finding.grade for finding in own),
        ),
        *own,
    ]


def _finding(each: BoundaryMove) -> Finding:
    """Whether a boundary moved from one warm-up to the next."""
    shift, full, verdict = each.move
    shorter, longer = (m.boundaries[each.event].value for m in (each.shorter, each.longer))
    return Finding(
        sentence=f"From a warm-up of {each.shorter.warmup} steps to one of {each.longer.warmup}, "
        f"{words.number(full)} e-folds, the {each.event} moves from step "
        f"{shorter:.0f} to {longer:.0f}, by {words.number(shift.value)} e-folds (95 % interval "
        f"{words.number(shift.low)} to {words.number(shift.high)}): {_SAID[verdict]}.",
        rests_on=f"{each.shorter.seeds} and {each.longer.seeds} seeds",
        grade="unsure" if verdict == "not told apart" else "sure",
    )
