"""The page on where curves pause."""

from collections.abc import Sequence

from dynamics.analysis.stages import RULE, Boundary, Stages, coincidence, over_runs
from dynamics.figures import style
from dynamics.questions.stages import figures
from dynamics.questions.stages.findings import LLC, TRACE, RunStages
from dynamics.report import grades, numbers, words
from dynamics.report.section import Change, Finding, Grade, Panel, Section, Table, Track

INTRODUCTION = (
    "A stage boundary is a turning point, a sharp fall, or a pause: a stretch in which the curve "
    f"surely moves by less than {100 * RULE.tolerance:g} % of its range per e-fold of training, "
    "between movements that are surely faster. A pause that the measured steps cut off is an edge. "
    "One rule, fixed in advance, serves every curve; it asks first whether a boundary exists, then "
    "where it is."
)


def section(runs: Sequence[RunStages], look: style.Look) -> Section:
    """Boundaries of all runs; then each curve with its own; or in plain words why there is none."""
    searched = [(run, run.stages) for run in runs if run.stages is not None]
    if not searched:
        return Section(
            introduction=INTRODUCTION,
            panels=[],
            absent=f"No boundaries were looked for. {_refusals(runs)}",
            tables={"Stage boundaries of every curve": _run_table(runs)},
        )
    return Section(
        introduction=INTRODUCTION,
        panels=[_answer(runs, look), *(_panel(run, stages) for run, stages in searched)],
        findings=_findings(searched),
        tracks=[_track(label, searched) for label in (LLC, TRACE)],
        tables={
            "Stage boundaries of every curve": _run_table(runs),
            **_unsure_table(searched),
            **_seed_table(searched),
            **_coincidence_table(searched),
        },
        numbers={"stages": _numbers(searched)},
    )


def _refusals(runs: Sequence[RunStages]) -> str:
    """One sentence for all curves that were refused for one reason; tables say what would help."""
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if run.refusal:
            reasons.setdefault(run.refusal, []).append(run.name)
    return " ".join(
        f"{_shortened(curves)}: {reason.removesuffix('.').split('. ')[0]}."
        for reason, curves in sorted(reasons.items())
    )


def _shortened(names: list[str]) -> str:
    if len(names) <= 3:
        return words.listed(names)
    return f"{names[0]}, and {len(names) - 1} other curves"


def _answer(runs: Sequence[RunStages], look: style.Look) -> Panel:
    return Panel(
        name="stage-boundaries",
        title="Where curves pause",
        caption="A row for each curve, a marker for each boundary: curves pause together where "
        f"markers stand above each other. {_BARS} Dotted: where checkpoints are too few, or noise "
        "is too large, to say.",
        draw=lambda: figures.boundaries(runs, look),
        table=_boundary_table(runs),
    )


_BARS = f"Bars: {100 * RULE.level:g} % intervals of the place, given that there is a boundary."


def _boundary_table(runs: Sequence[RunStages]) -> Table:
    """A row for each boundary."""
    rows = [
        (run, boundary)
        for run in runs
        if run.stages is not None
        for boundary in run.stages.boundaries
    ]
    return Table(
        columns={
            "curve": [run.label for run, _ in rows],
            "model": [run.model for run, _ in rows],
            "seed": [run.seed for run, _ in rows],
            "kind": [boundary.kind for _, boundary in rows],
            "step": [boundary.step for _, boundary in rows],
            "low": [boundary.low for _, boundary in rows],
            "high": [boundary.high for _, boundary in rows],
            "begin of the pause": [boundary.begin for _, boundary in rows],
            "end of the pause": [boundary.end for _, boundary in rows],
            "confidence": [boundary.confidence for _, boundary in rows],
            "found in so many halves of the checkpoints": [
                "too few to say" if boundary.repeats is None else boundary.repeats
                for _, boundary in rows
            ],
        }
    )


def _unsure_table(searched: Sequence[tuple[RunStages, Stages]]) -> dict[str, Table]:
    """What values suggest and checkpoints cannot make sure."""
    rows = [(run, dropped) for run, stages in searched for dropped in stages.dropped]
    if not rows:
        return {}
    columns = {
        "curve": [run.name for run, _ in rows],
        "kind": [dropped.kind for _, dropped in rows],
        "low": [dropped.low for _, dropped in rows],
        "high": [dropped.high for _, dropped in rows],
        "why it is not reported": [dropped.reason for _, dropped in rows],
    }
    return {"Suggested and not sure": Table(columns=columns)}


def _seed_table(searched: Sequence[tuple[RunStages, Stages]]) -> dict[str, Table]:
    """Boundaries of one curve over seeds, of models that have two or more."""
    rows = []
    for label, model in dict.fromkeys((run.label, run.model) for run, _ in searched):
        runs = [stages for run, stages in searched if (run.label, run.model) == (label, model)]
        if len(runs) > 1:
            rows += [(label, model, recurrence) for recurrence in over_runs(runs)]
    if not rows:
        return {}
    columns = {
        "curve": [label for label, _, _ in rows],
        "model": [model for _, model, _ in rows],
        "kind": [recurrence.kind for _, _, recurrence in rows],
        "step": [recurrence.step for _, _, recurrence in rows],
        "seeds that have it": [f"{again.runs} of {again.of}" for _, _, again in rows],
        "spread over seeds (e-folds)": [recurrence.spread for _, _, recurrence in rows],
    }
    return {"Boundaries over seeds": Table(columns=columns)}


def _coincidence_table(searched: Sequence[tuple[RunStages, Stages]]) -> dict[str, Table]:
    """How many boundaries of a run's LLC lie in intervals of its other curves, against chance."""
    rows = []
    for run, stages in searched:
        for other, beside in searched:
            same_run = (run.model, run.seed) == (other.model, other.seed)
            if run.label == LLC and other.label != LLC and same_run and stages.boundaries:
                rows.append((run, other, coincidence(stages, beside)))
    if not rows:
        return {}
    columns = {
        "boundaries of": [run.name for run, _, _ in rows],
        "in intervals of": [other.label for _, other, _ in rows],
        "inside": [f"{both.inside} of {both.of}" for _, _, both in rows],
        "expected by chance": [both.expected for _, _, both in rows],
        "probability by chance": [both.chance for _, _, both in rows],
    }
    return {"Do curves pause together? Chance is a common shift in time": Table(columns=columns)}


def _run_table(runs: Sequence[RunStages]) -> Table:
    """A row for each curve, whether it was searched or not."""
    return Table(
        columns={
            "curve": [run.label for run in runs],
            "model": [run.model for run in runs],
            "seed": [run.seed for run in runs],
            "checkpoints": [len(run.curve.steps) for run in runs],
            "stage boundaries": [_summary(run) for run in runs],
        }
    )


def _summary(run: RunStages) -> str:
    if run.stages is None:
        return run.refusal
    boundaries = [boundary_words(boundary) for boundary in run.stages.boundaries]
    return "; ".join(text.split(" ", 1)[1] for text in boundaries) or "none"


def _panel(run: RunStages, stages: Stages) -> Panel:
    interval = "" if not stages.boundaries else f"Shaded: {_BARS.removeprefix('Bars: ')} "
    quantity = run.label if run.label == LLC else f"{run.label} (nats / weight²)"
    return Panel(
        name=f"stages-{run.model}-{run.seed}-{run.label.split()[-1].lower()}",
        title=f"{run.label[0].upper()}{run.label[1:]}, {run.model}, seed {run.seed}",
        caption=f"Vertical lines: boundaries, edges dashed. {interval}Below: slope per e-fold with "
        f"± 2 standard deviations, and the tolerance in grey. {words.bars([run.curve])}",
        draw=lambda: figures.curve_with_stages(run.curve, stages, quantity),
        table=Table.of_curves([run.curve], quantity),
        group=f"{run.label[0].upper()}{run.label[1:]}",
    )


def boundary_words(boundary: Boundary) -> str:
    """A boundary in words: a peak at step 32k (21k to 45k, confidence 95 %, in both halves)."""
    low, high = style.short_step(boundary.low), style.short_step(boundary.high)
    halves = {None: "", 0: ", in no half", 1: ", in one half", 2: ", in both halves"}
    article = "an" if boundary.kind == "edge" else "a"
    return (
        f"{article} {boundary.kind} at step {style.short_step(boundary.step)} ({low} to {high}, "
        f"confidence {100 * boundary.confidence:g} %{halves[boundary.repeats]})"
    )


def _findings(searched: Sequence[tuple[RunStages, Stages]]) -> list[Finding]:
    """How many curves of how many models pause, and then each of them."""
    own = [_finding(run, stages) for run, stages in searched]
    if len(own) < 2:
        return own
    models = list(dict.fromkeys(run.model for run, _ in searched))
    pausing = sum(bool(stages.boundaries) for _, stages in searched)
    total = sum(len(stages.boundaries) for _, stages in searched)
    verb = "pauses" if pausing == 1 else "pause"
    first = Finding(
        sentence=f"{pausing} of {len(searched)} curves of {words.listed(models)} {verb}, with "
        f"{_counted(total)} in all.",
        rests_on=f"{len(searched)} curves, each of one seed",
        grade=grades.weakest(finding.grade for finding in own),
    )
    return [first, *own]


def _finding(run: RunStages, stages: Stages) -> Finding:
    """Where a curve pauses; unsure where half of its checkpoints do not say so.

    That a curve does not pause is open: nothing measured says how surely a pause would be seen.
    """
    return Finding(
        sentence=finding_sentence(run, stages),
        rests_on=f"one seed, {len(run.curve.steps)} checkpoints, and every second of them",
        grade=_grade(run, stages),
    )


def _grade(run: RunStages, stages: Stages) -> Grade:
    if not run.all_local:
        return "unsure"
    of_boundaries: list[Grade] = [
        "sure" if boundary.confidence >= RULE.level and boundary.repeats == 2 else "unsure"
        for boundary in stages.boundaries
    ]
    return grades.weakest(of_boundaries)


def finding_sentence(run: RunStages, stages: Stages) -> str:
    """The boundaries of a curve in words, and whether they are of the landscape."""
    boundaries, name = stages.boundaries, f"{run.name[0].upper()}{run.name[1:]}"
    doubt = ""
    if not run.all_local:
        doubt = f"; only {run.num_local} of {len(run.curve.steps)} estimates are local: elsewhere "
        doubt += "a pause is one of the loss"
    if not boundaries:
        return f"{name}: no stage boundary{doubt}."
    count = _counted(len(boundaries))
    return f"{name}: {count}, {words.listed([boundary_words(b) for b in boundaries])}{doubt}."


def _counted(count: int) -> str:
    return "one stage boundary" if count == 1 else f"{count} stage boundaries"


def _track(label: str, searched: Sequence[tuple[RunStages, Stages]]) -> Track:
    """Boundaries as changes of the curve that another question puts on the time axis."""
    return Track(
        label=label,
        curves=[],
        changes=[
            Change(
                model=run.model,
                step=boundary.step,
                low=boundary.low,
                high=boundary.high,
                name=f"{boundary.kind}, seed {run.seed}",
            )
            for run, stages in searched
            if run.label == label
            for boundary in stages.boundaries
        ],
    )


def _numbers(searched: Sequence[tuple[RunStages, Stages]]) -> dict:
    """Each curve with its boundaries, by run."""
    return {
        f"{run.model}, seed {run.seed}, {run.label}": numbers.plain(run.curve)
        | {"boundaries": [vars(boundary) for boundary in stages.boundaries]}
        for run, stages in searched
    }
