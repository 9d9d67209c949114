"""The page on what structure accounts for."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.significance import SURE
from dynamics.figures import style
from dynamics.questions.degeneracy.findings import Degeneracy
from dynamics.questions.headline import headline
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table

INTRODUCTION = (
    "Collapsed embeddings and norms could make a loss landscape more degenerate (Hoogland et al. "
    "2024, appendix D.2). Curves of one run all bend where the run does, so that a correlation "
    "proves little: here the loss is taken off both first, chance is asked of what is left, and "
    "collapsed weights are set exactly to 0."
)
CHANCE = 0.05


def section(models: Sequence[Degeneracy], look: style.Look) -> Section:
    """Correlations given the loss; then what it does to set weights to 0."""
    with_partials = [m for m in models if m.partials]
    if not with_partials:
        return Section(
            introduction=INTRODUCTION,
            panels=[],
            absent="LLC and structure were measured together at too few checkpoints.",
        )
    zeroed = _zeroed_table(models)
    return Section(
        introduction=INTRODUCTION,
        panels=[_panel(with_partials, look)],
        findings=_findings(models),
        tables={"Collapsed weights set to 0, against random ones": zeroed} if zeroed.rows else {},
        numbers={
            "partial_correlation": {
                m.model: {name: list(p) for name, p in m.partials.items()} for m in with_partials
            },
            "embedding_fall": {m.model: vars(m.fall) for m in models if m.fall},
        },
    )


def _panel(models: Sequence[Degeneracy], look: style.Look) -> Panel:
    rows = [(m.model, name, p) for m in models for name, p in m.partials.items()]
    return Panel(
        name="degeneracy-partial",
        title="The LLC and structure, given the loss",
        caption="Correlation over checkpoints of what a line in the loss leaves of LLC and "
        "structure; small marks: of LLC and structure themselves. Filled where changes between "
        f"checkpoints correlate beyond chance (below {CHANCE:g}). Without error bars: checkpoints "
        "of a run are no independent draws.",
        draw=lambda: _figure(models, look),
        table=Table(
            columns={
                "model": [model for model, _, _ in rows],
                "structure": [name for _, name, _ in rows],
                "partial correlation": [p.value for _, _, p in rows],
                "correlation": [p.raw for _, _, p in rows],
                "rank correlation of changes": [p.changes for _, _, p in rows],
                "probability by chance": [p.chance for _, _, p in rows],
                "checkpoints": [p.count for _, _, p in rows],
            }
        ),
    )


def _figure(models: Sequence[Degeneracy], look: style.Look):
    names = list(dict.fromkeys(name for m in models for name in m.partials))
    figure, ax = style.axes("", "correlation with the LLC", size=(4.4, 0.9 + 0.38 * len(names)))
    for m in models:
        places = np.array([names.index(name) for name in m.partials])
        partials = list(m.partials.values())
        chance = np.array([p.chance for p in partials])
        for rows, filled in ((chance < CHANCE, "full"), (~(chance < CHANCE), "none")):
            values = np.array([p.value for p in partials])[rows]
            ax.plot(values, places[rows], **look[m.model], linestyle="none", fillstyle=filled)
        raw = np.array([p.raw for p in partials])
        ax.plot(raw, places, color=look[m.model]["color"], marker="|", linestyle="none")
    ax.axvline(0, color=style.QUIET, linewidth=0.8)
    ax.set_xlim(-1.05, 1.05)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    return figure


def _zeroed_table(models: Sequence[Degeneracy]) -> Table:
    rows = [(m.model, seed, step, r) for m in models for (seed, step), r in m.zeroed.items()]
    return Table(
        columns={
            "model": [model for model, _, _, _ in rows],
            "seed": [seed for _, seed, _, _ in rows],
            "step": [step for _, _, step, _ in rows],
            "collapsed": [f"{r.num_collapsed} of {r.num_candidates}" for _, _, _, r in rows],
            "change of loss": [r.loss for _, _, _, r in rows],
            "its error": [r.loss_sem for _, _, _, r in rows],
            "of random sets, mean": [_mean(r.random_loss) for _, _, _, r in rows],
            "change of LLC": [r.llc for _, _, _, r in rows],
            "error of that": [r.llc_sem for _, _, _, r in rows],
            "LLC, random sets, mean": [_mean(r.random_llc) for _, _, _, r in rows],
        }
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _findings(models: Sequence[Degeneracy]) -> list[Finding]:
    own = [_partial(m) for m in models if m.partials]
    names = words.listed([m.model for m in models])
    sentence = f"Given the loss, structure of {names} goes with the LLC as the figure says."
    rest = [f for m in models for f in (*_fall(m), *_zeroed(m))]
    return [*headline(sentence, own), *own, *rest]


def _partial(m: Degeneracy) -> Finding:
    """The measures whose changes go with the LLC's beyond chance, once the loss is taken off."""
    surely = {name: p.value for name, p in m.partials.items() if p.chance < CHANCE}
    count = next(iter(m.partials.values())).count
    what = words.by_model(surely) if surely else "no structural measure"
    return Finding(
        sentence=f"Given the loss, {what} of {len(m.partials)} measures goes with the LLC of "
        f"{m.model} beyond chance.",
        rests_on=f"{count} checkpoints, {words.counted(len(m.seeds), 'seed')}",
        grade="unsure" if surely else "open",
    )


def _fall(m: Degeneracy) -> list[Finding]:
    fall = m.fall
    if fall is None or fall.first == fall.last:
        return []
    return [
        Finding(
            sentence=f"From step {fall.first}, where it is highest, to step {fall.last} the LLC of "
            f"{m.model} falls by {words.number(fall.measured)}; the "
            f"{words.number(fall.lost_rank)} ranks that the embedding loses meanwhile would make "
            f"it fall by {words.number(fall.predicted)}.",
            rests_on=f"{words.counted(len(m.seeds), 'seed')}; the highest checkpoint is picked",
            grade=grades.judge(fall.measured - fall.predicted, fall.sem),
        )
    ]


def _zeroed(m: Degeneracy) -> list[Finding]:
    """What collapsed weights do, of the last checkpoint of the first seed."""
    if not m.zeroed:
        return []
    (seed, step), r = max(m.zeroed.items(), key=lambda item: (-item[0][0], item[0][1]))
    if not r.num_collapsed:
        return [
            Finding(
                sentence=f"No scale of a norm of {m.model}, of {r.num_candidates}, has collapsed "
                f"at step {step}: there is none to set to 0.",
                rests_on=f"seed {seed}",
                grade="open",
            )
        ]
    least = float(r.random_loss.min()) if len(r.random_loss) else np.nan
    return [
        Finding(
            sentence=f"Set to 0, the {r.num_collapsed} collapsed scales of {m.model} change its "
            f"loss by {words.number(r.loss)} and its LLC by {words.number(r.llc)} at step {step}; "
            f"of {len(r.random_loss)} random sets as large the least change of the loss is "
            f"{words.number(least)}.",
            rests_on=f"seed {seed}, contexts and chains of common noise",
            grade="sure" if abs(r.llc) > SURE * r.llc_sem else "unsure",
        )
    ]
