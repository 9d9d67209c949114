"""The page on what an LLC depends on."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.llc_sweeps import figures
from dynamics.questions.llc_sweeps.findings import (
    SURE,
    NoiseCurves,
    RunningEstimate,
    Sweep,
    Sweeps,
    roughness,
)
from dynamics.report import words
from dynamics.report.section import Finding, Panel, Section, Table

INTRODUCTION = (
    "One thing varied at a time: the size of the data set, the batch and where its loss is taken, "
    "the noise, and whether windows or single predictions are the independent items."
)
BARS = "Bars: ± standard error over chains."


def section(models: Sequence[Sweeps], look: style.Look) -> Section:
    """How far each thing moves the estimate; then the sweeps of every model."""
    return Section(
        introduction=INTRODUCTION,
        panels=[_answer(models, look), *(panel for m in models for panel in _panels(m))],
        findings=[finding for m in models for finding in _findings(m)],
    )


def _answer(models: Sequence[Sweeps], look: style.Look) -> Panel:
    return Panel(
        name="sweep-moves",
        title="How far does the estimate move?",
        caption="A marker for each checkpoint: the difference between the last two sizes of the "
        "data set or of the batch, between a loss on the step's own batch and on a fresh one, "
        "between noise common to all checkpoints and noise of each its own. In standard errors of "
        "the two estimates; beyond the dotted line the move is sure.",
        draw=lambda: figures.moves(models, look),
        table=_move_table(models),
    )


def _move_table(models: Sequence[Sweeps]) -> Table:
    moves = [(sweeps.model, name, move) for sweeps in models for name, move in sweeps.moves.items()]
    return Table(
        columns={
            "model": [model for model, _, move in moves for _ in move.steps],
            "changed": [name for _, name, move in moves for _ in move.steps],
            "step": [int(step) for _, _, move in moves for step in move.steps],
            "move of the LLC (standard errors)": [
                float(size) for _, _, move in moves for size in move.size
            ],
        }
    )


def _panels(sweeps: Sweeps) -> list[Panel]:
    group = f"Sweeps of {sweeps.model}"
    own, fresh = sweeps.own_batch, sweeps.fresh_batch
    panels = [
        Panel(
            name=f"sweep-data-{sweeps.model}",
            title=f"Size of the data set, {sweeps.model}",
            caption=f"Level where the data set is large enough for the estimate. {BARS}",
            draw=lambda: figures.data_size(sweeps),
            table=_sweep_table(sweeps, {"": sweeps.data_size}, "windows of the data set"),
            group=group,
        ),
        Panel(
            name=f"sweep-batch-{sweeps.model}",
            title=f"Size of the batch, {sweeps.model}",
            caption=f"Solid: the loss is taken on the step's own batch; dashed: on a fresh one. "
            f"n β is the same at all sizes. {BARS}",
            draw=lambda: figures.batch_size(sweeps),
            table=_sweep_table(sweeps, {"own": own, "fresh": fresh}, "windows of a batch"),
            group=group,
        ),
        Panel(
            name=f"sweep-likelihood-{sweeps.model}",
            title=f"Loss- and likelihood-based estimates, {sweeps.model}",
            caption="Likelihood-based: an item is one prediction at a position drawn for it, so "
            "that items are independent; 16 are drawn of each window, and a batch has 8 times as "
            "many. Bands: ± standard error over chains.",
            draw=lambda: figures.running(sweeps),
            table=_running_table(sweeps),
            group=group,
        ),
    ]
    return panels + ([_noise_panel(sweeps, sweeps.noise)] if sweeps.noise else [])


def _noise_panel(sweeps: Sweeps, curves: NoiseCurves) -> Panel:
    common = dict(Table.of_curves([curves.common], "LLC, common noise").columns)
    own = Table.of_curves([curves.own], "LLC, own noise").columns
    common |= {
        name if "noise" in name else f"{name}, own noise": own[name] for name in list(own)[2:]
    }
    return Panel(
        name=f"sweep-noise-{sweeps.model}",
        title=f"Common noise or each its own, {sweeps.model}",
        caption="Common noise moves neighbouring checkpoints alike: its curve may be smoother than "
        f"its bars say. {BARS}",
        draw=lambda: figures.noise(curves),
        table=Table(columns=common),
        group=f"Sweeps of {sweeps.model}",
    )


def _sweep_table(sweeps: Sweeps, named: dict[str, Sweep], varied: str) -> Table:
    """A row for each sweep, checkpoint and value."""
    first = next(iter(named.values()))
    k, x = (axis.ravel() for axis in np.indices(first.llc.shape))
    columns: dict = {
        "model": [sweeps.model] * (k.size * len(named)),
        "step": np.tile(sweeps.steps[k], len(named)).tolist(),
        varied: np.tile(first.values[x], len(named)).tolist(),
    }
    if len(named) > 1:
        columns["loss taken on the batch that is"] = np.repeat(list(named), k.size).tolist()
    columns["LLC"] = np.concatenate([sweep.llc.ravel() for sweep in named.values()]).tolist()
    errors = np.concatenate([sweep.sem.ravel() for sweep in named.values()])
    return Table(columns=columns | {"standard error": errors.tolist()})


def _running_table(sweeps: Sweeps) -> Table:
    """The estimates after the last draw."""

    def last(estimate: RunningEstimate) -> tuple[list[float], list[float]]:
        return estimate.llc[:, -1].tolist(), estimate.sem[:, -1].tolist()

    (loss, loss_sem), (likelihood, likelihood_sem) = map(
        last, (sweeps.by_loss, sweeps.by_likelihood)
    )
    return Table(
        columns={
            "model": [sweeps.model] * len(sweeps.steps),
            "step": sweeps.steps.tolist(),
            "LLC after the last draw, loss-based": loss,
            "standard error, loss-based": loss_sem,
            "LLC after the last draw, likelihood-based": likelihood,
            "standard error, likelihood-based": likelihood_sem,
        }
    )


def _findings(sweeps: Sweeps) -> list[Finding]:
    """What moves the estimate, whether the likelihood ranks alike, how rough the curves are."""
    chains = f", {sweeps.num_chains} chains an estimate" if sweeps.num_chains else ""
    rests_on = f"one seed, {words.counted(len(sweeps.steps), 'checkpoint')}{chains}"
    surely = any(move.largest > SURE for move in sweeps.moves.values())
    same = "rank the checkpoints alike" if sweeps.same_order else "rank the checkpoints differently"
    findings = [
        Finding(
            sentence=dependence_sentence(sweeps),
            rests_on=rests_on,
            grade="sure" if surely else "unsure",
        ),
        Finding(
            sentence=f"Loss- and likelihood-based LLCs of {sweeps.model} {same}.",
            rests_on=rests_on,
            grade="sure" if sweeps.order_is_sure else "unsure",
        ),
    ]
    if sweeps.noise and len(sweeps.noise.common.steps) > 2:
        sentence = roughness_sentence(sweeps.model, sweeps.noise)
        findings.append(Finding(sentence=sentence, rests_on=rests_on, grade="open"))
    return findings


def dependence_sentence(sweeps: Sweeps) -> str:
    """What surely moves the LLC, and what does not."""
    largest = {name: move.largest for name, move in sweeps.moves.items()}
    sure = [f"{name} ({move:.1f})" for name, move in largest.items() if move > SURE]
    unsure = [f"{name} ({move:.1f})" for name, move in largest.items() if move <= SURE]
    parts = [f"surely moves with {words.listed(sure)}"] if sure else []
    parts += [f"does not surely move with {words.listed(unsure)}"] if unsure else []
    if not parts:
        return f"Nothing says what moves the LLC of {sweeps.model}."
    return (
        f"The LLC of {sweeps.model} {' and '.join(parts)}: largest moves over checkpoints, in "
        "standard errors."
    )


def roughness_sentence(model: str, curves: NoiseCurves) -> str:
    """Whether common noise makes the curve smoother."""

    def rough(curve: Curve) -> str:
        return words.number(roughness(curve))

    return (
        f"The LLC curve of {model} has a roughness (root mean square second difference along "
        f"checkpoints) of {rough(curves.common)} with common noise and {rough(curves.own)} with "
        "noise of each checkpoint's own."
    )
