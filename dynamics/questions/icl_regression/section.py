"""The page on loss, weights and landscape of in-context regression together."""

from collections.abc import Sequence

from dynamics.analysis.stages import RULE, Boundary
from dynamics.figures import style
from dynamics.questions.headline import headline
from dynamics.questions.icl_regression import figures
from dynamics.questions.icl_regression.findings import Meeting, Picture, Quantity
from dynamics.questions.stages.findings import LLC
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table

INTRODUCTION = (
    "Loss, local learning coefficient, length of the weights and trace of the Hessian of one model "
    "above one another, with their slopes over ln(step + 1) (Hoogland et al. 2024, figures 1b and "
    "B.1 to B.4). Boundaries are those of each curve itself, found by one rule that was fixed in "
    "advance; the paper's rule stands beside it."
)
CHANCE = 0.05  # above which a meeting is one of chance


def section(pictures: Sequence[Picture], look: style.Look) -> Section:
    """A picture for each model, then tables of its boundaries."""
    del look  # each picture is of one model
    tables = {"Stage boundaries": _boundary_table(pictures)}
    for title, meetings in (
        ("Boundaries of two seeds, against chance", [m for p in pictures for m in p.over_seeds]),
        ("LLC and Hessian, against chance", [m for p in pictures for m in p.between_curves]),
    ):
        if meetings:
            tables[title] = _meeting_table(meetings)
    return Section(
        introduction=INTRODUCTION,
        panels=[_panel(picture) for picture in pictures],
        findings=_findings(pictures),
        tables=tables,
        numbers={
            f"{p.model}, {q.label}": {
                "curve": q.curve,
                "slope": q.slope,
                "boundaries": [vars(b) for b in q.ours.boundaries] if q.ours else [],
            }
            for p in pictures
            for q in p.quantities
        },
    )


def _panel(picture: Picture) -> Panel:
    curves = [one.curve for one in picture.quantities]
    return Panel(
        name=f"icl-regression-{picture.model}",
        title=f"{picture.model} over training",
        caption="Below each quantity its slope per e-fold, smoothed, with ± 2 standard "
        "deviations. Lines: boundaries, edges dashed; shaded: "
        f"{100 * RULE.level:g} % intervals of the place, given that there is a boundary. "
        f"{_not_local(picture)}{words.bars(curves, 'Bands')}",
        draw=lambda: figures.stack(picture),
        table=Table.of_rows([row for one in picture.quantities for row in _rows(one)]),
    )


def _not_local(picture: Picture) -> str:
    """How many of the LLCs are of the landscape."""
    for one in picture.quantities:
        if one.label == LLC:
            return f"{one.trusted.sum()} of {len(one.trusted)} LLCs are of chains that were local. "
    return ""


def _rows(one: Quantity) -> list[dict[str, object]]:
    curve = one.curve
    return [
        {
            "quantity": one.label,
            "step": int(curve.steps[k]),
            "value": float(curve.value[k]),
            "low": float(curve.low[k]),
            "high": float(curve.high[k]),
            "slope per e-fold": float(one.slope[k]),
            "slope, low": float(one.slope[k] - 2 * one.slope_sd[k]),
            "slope, high": float(one.slope[k] + 2 * one.slope_sd[k]),
            "local": "yes" if one.trusted[k] else "no",
        }
        for k in range(len(curve.steps))
    ]


def _boundary_table(pictures: Sequence[Picture]) -> Table:
    """A row for each curve: what is found over ln(step + 1), over the step, and by the paper."""
    rows = [(picture, one) for picture in pictures for one in picture.quantities]
    return Table(
        columns={
            "model": [picture.model for picture, _ in rows],
            "curve": [one.label for _, one in rows],
            "over ln(step + 1)": [
                _listed(one.ours.boundaries) if one.ours else one.refusal for _, one in rows
            ],
            "over the step": [_listed(one.over_steps) for _, one in rows],
            "by the paper's rule": [
                _listed(one.published.boundaries) if one.published else "" for _, one in rows
            ],
        }
    )


def _listed(boundaries: Sequence[Boundary]) -> str:
    return ", ".join(f"{b.kind} {style.short_step(b.step)}" for b in boundaries) or "none"


def _meeting_table(meetings: Sequence[Meeting]) -> Table:
    return Table(
        columns={
            "boundaries of": [m.first for m in meetings],
            "in intervals of": [m.second for m in meetings],
            "inside": [f"{m.inside} of {m.of}" for m in meetings],
            "expected by chance": [m.expected for m in meetings],
            "probability by chance": [m.chance for m in meetings],
        }
    )


def _findings(pictures: Sequence[Picture]) -> list[Finding]:
    own = [_boundaries(picture) for picture in pictures]
    counts = words.listed([f"{_count(p)} ({p.model})" for p in pictures])
    sentence = f"Stage boundaries of all curves together: {counts}."
    met = [
        finding
        for p in pictures
        for finding in (
            *_met(p, p.over_seeds, "one curve in two seeds"),
            *_met(p, p.between_curves, "LLC and Hessian trace"),
        )
    ]
    return [*headline(sentence, own), *own, *met]


def _count(picture: Picture) -> int:
    return sum(len(one.ours.boundaries) for one in picture.quantities if one.ours)


def _boundaries(picture: Picture) -> Finding:
    """Where each curve pauses, or why none was searched."""
    each = [
        f"{one.label}: {_listed(one.ours.boundaries) if one.ours else 'not searched'}"
        for one in picture.quantities
    ]
    searched = [one.ours for one in picture.quantities if one.ours]
    sure = [b.confidence >= RULE.level for s in searched for b in s.boundaries]
    return Finding(
        sentence=f"Boundaries of {picture.model}, means over seeds. {'; '.join(each)}.",
        rests_on=f"{words.counted(len(picture.seeds), 'seed')}, "
        f"{len(picture.quantities[0].curve.steps)} checkpoints",
        grade="open" if not sure else "sure" if all(sure) else "unsure",
    )


def _met(picture: Picture, meetings: Sequence[Meeting], what: str) -> list[Finding]:
    """Whether boundaries meet more often than a shift in time would have it."""
    if not meetings:
        return []
    inside, of = sum(m.inside for m in meetings), sum(m.of for m in meetings)
    expected = sum(m.expected for m in meetings)
    surely = all(m.chance < CHANCE for m in meetings)
    return [
        Finding(
            sentence=f"Of boundaries of {what} of {picture.model}, {inside} of {of} lie in "
            f"intervals of the other; chance would have {words.number(expected)}.",
            rests_on=f"{words.counted(len(meetings), 'comparison')}, each way counted",
            grade=grades.weakest(["sure" if surely else "unsure"]),
        )
    ]
